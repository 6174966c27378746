//! Which backups are kept, and why: one pure function.
//!
//! A policy says how much history is wanted; the floors hold whatever it says. Time is the store's:
//! when the entry was created. A stolen agent that commits a thousand fakes, or claims to live in
//! 2099, must not push out the good backups, so a rule counts intervals of time and keeps one backup
//! in each, the verified before the unverified and the earlier before the later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ids::{BackupId, Digest};
use crate::log::{
    Author, BackupRow, Catalogue, Draft, Event, HoldPurpose, HoldRow, Level, Log, LogError,
    LogHead, Retire,
};

/// No policy retires anything younger: a week is what a person needs to notice that something is
/// wrong with the newer ones.
pub const AGE_MIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// A hold for a mount counts for this long after it was last renewed, which is done daily.
pub const MOUNT_HOLD: Duration = Duration::from_secs(7 * 24 * 3600);

/// A backup that claims to be this much older than its entry was not dated by the store: the vault
/// was copied without its times. More than any clock is wrong by.
const REDATED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How many backups one entry retires; the rest follow in the next run. An entry's head has 1 MiB.
const RETIRED_MAX: usize = 10_000;

/// How much history is wanted. Intervals are of UTC.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Policy {
    /// Everything younger is kept; less than [`AGE_MIN`] has no effect. More costs space.
    pub age_min: Duration,
    /// One backup for each of so many intervals.
    pub rules: Vec<Rule>,
}

/// Keeps one backup in each of the newest `count` intervals that have any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rule {
    /// The interval.
    pub every: Interval,
    /// How many of them. More costs space.
    pub count: u32,
}

/// A length of time by the calendar.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// A clock hour.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

/// What becomes of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub backup: BackupId,
    /// Why it is kept; it is retired if there is no reason.
    pub why: Vec<Reason>,
}

/// A reason to keep a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is the newest.
    Newest,
    /// It is the newest that no verification has found damaged.
    NewestSound,
    /// It is the newest that verification has found good.
    NewestAttested,
    /// Log entry so-and-so holds it.
    Held(u64),
    /// It is younger than the policy's (or [`AGE_MIN`]).
    Young,
    /// The store's date of its entry cannot be right: it was copied without its time.
    Redated,
    /// It stands for an interval of a rule.
    Rule(Interval),
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("the newest"),
            Self::NewestSound => f.write_str("the newest without known damage"),
            Self::NewestAttested => f.write_str("the newest that passed verification"),
            Self::Held(entry) => write!(f, "held by log entry {entry}"),
            Self::Young => f.write_str("young"),
            Self::Redated => f.write_str("its date in the store is not its own"),
            Self::Rule(interval) => write!(f, "one for its {interval}"),
        }
    }
}

impl Verdict {
    /// Whether the backup is kept.
    pub fn is_kept(&self) -> bool {
        !self.why.is_empty()
    }
}

impl Policy {
    /// BLAKE3 of the policy as JSON, which a `retire` entry names.
    ///
    /// # Panics
    /// Never: the policy has no value that JSON lacks.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("a policy is plain JSON"))
    }
}

impl Interval {
    /// The number of the interval that holds this moment: larger is later.
    fn number(self, at: Timestamp) -> i64 {
        let date = at.to_zoned(TimeZone::UTC).date();
        let days = at.as_second().div_euclid(86_400);
        match self {
            Self::Hour => at.as_second().div_euclid(3600),
            Self::Day => days,
            // 1 January 1970 was a Thursday.
            Self::Week => (days + 3).div_euclid(7),
            Self::Month => i64::from(date.year()) * 12 + i64::from(date.month()),
            Self::Year => i64::from(date.year()),
        }
    }
}

/// What becomes of every live backup, in order of their commits. `now` is the store's time: take it
/// from an object that was created just now.
///
/// Reasons to keep, and there are no others:
/// 1. it is the newest, the newest without known damage, or the newest that passed verification;
/// 2. it is held: without end, until later than `now`, or for a mount renewed within [`MOUNT_HOLD`];
/// 3. it is younger than [`AGE_MIN`] or the policy's `age_min`;
/// 4. the store's date of it cannot be right;
/// 5. a rule chose it for its interval.
pub fn keep(catalogue: &Catalogue, policy: &Policy, now: Timestamp) -> Vec<Verdict> {
    let live: Vec<&BackupRow> = catalogue.live().collect();
    let mut why: BTreeMap<BackupId, BTreeSet<Reason>> = BTreeMap::new();
    let mut add = |backup: BackupId, reason| {
        why.entry(backup).or_default().insert(reason);
    };
    if let Some(newest) = live.last() {
        add(newest.id, Reason::Newest);
    }
    if let Some(sound) = live.iter().rev().find(|it| soundness(catalogue, it.id) > 0) {
        add(sound.id, Reason::NewestSound);
    }
    if let Some(attested) = catalogue.newest_attested() {
        add(attested.id, Reason::NewestAttested);
    }
    for backup in &live {
        let age = now.duration_since(backup.stored);
        if age.is_negative() || age.unsigned_abs() < policy.age_min.max(AGE_MIN) {
            add(backup.id, Reason::Young);
        }
        if is_redated(backup) {
            add(backup.id, Reason::Redated);
        }
    }
    for hold in catalogue.holds().filter(|hold| holds_at(hold, now)) {
        add(hold.hold.backup, Reason::Held(hold.sequence));
    }
    for rule in &policy.rules {
        for backup in chosen(catalogue, &live, *rule) {
            add(backup, Reason::Rule(rule.every));
        }
    }
    let reasons = |id| why.get(&id).into_iter().flatten().copied().collect();
    live.iter().map(|it| Verdict { backup: it.id, why: reasons(it.id) }).collect()
}

/// Retires what the policy does not keep. `None` when it keeps everything.
///
/// # Errors
/// What appending can fail with.
pub fn retire(
    log: &mut Log,
    author: &Author,
    policy: &Policy,
    now: Timestamp,
) -> Result<Option<LogHead>, LogError> {
    log.append(author, &mut |catalogue| {
        let verdicts = keep(catalogue, policy, now);
        let gone = verdicts.iter().filter(|verdict| !verdict.is_kept());
        let backups: Vec<_> = gone.map(|verdict| verdict.backup).take(RETIRED_MAX).collect();
        if backups.is_empty() {
            return Ok(None);
        }
        let reason = "the policy does not keep it".to_owned();
        let retire = Retire { backups, reason, policy: Some(policy.digest()) };
        Ok(Some(Draft::of(Event::Retire(retire))))
    })
}

/// 0: found damaged, 1: not looked into, 2: found good. The last word counts.
fn soundness(catalogue: &Catalogue, backup: BackupId) -> u8 {
    match catalogue.attests(backup).last().map(|row| &row.attest) {
        Some(attest) if !attest.passed => 0,
        Some(attest) if attest.level >= Level::Hashed => 2,
        _ => 1,
    }
}

fn is_redated(backup: &BackupRow) -> bool {
    backup.stored > backup.claimed
        && backup.stored.duration_since(backup.claimed).unsigned_abs() > REDATED_AFTER
}

/// Whether a hold that was not lifted still counts.
fn holds_at(row: &HoldRow, now: Timestamp) -> bool {
    let is_renewed = now.duration_since(row.stored).unsigned_abs() < MOUNT_HOLD;
    match row.hold.purpose {
        HoldPurpose::Mount if !is_renewed => false,
        HoldPurpose::Mount | HoldPurpose::Legal | HoldPurpose::Pin => {
            row.hold.until.is_none_or(|until| now < until)
        }
    }
}

/// One backup for each of the newest intervals. Those with a wrong date stand for none.
fn chosen(catalogue: &Catalogue, live: &[&BackupRow], rule: Rule) -> Vec<BackupId> {
    let mut intervals: BTreeMap<i64, &BackupRow> = BTreeMap::new();
    for backup in live.iter().filter(|backup| !is_redated(backup)) {
        let best = intervals.entry(rule.every.number(backup.stored)).or_insert(backup);
        // In order of commits: an equal one that came later does not displace the earlier.
        if soundness(catalogue, backup.id) > soundness(catalogue, best.id) {
            *best = backup;
        }
    }
    let count = usize::try_from(rule.count).unwrap_or(usize::MAX);
    intervals.values().rev().take(count).map(|backup| backup.id).collect()
}

#[cfg(test)]
mod tests;
