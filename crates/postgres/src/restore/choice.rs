//! From which backup, along which timeline, to where: decided before anything is written.
//!
//! A pure function over what the vault holds. The rules:
//! * the timeline is fixed here; a recovery never follows one that appears later;
//! * a backup serves a target if it ended at or before it and the target's timeline descends from
//!   the backup's at or after its end; the newest such backup is taken;
//! * the WAL from the backup's start to the target must be there without a gap;
//! * a target at the very end of the WAL cannot be given to PostgreSQL (it wants one more record to
//!   know that it has arrived): it becomes "to the end", and the end is checked.

use jiff::Timestamp;
use soter_vault::ids::BackupId;

use super::target::Target;
use crate::lsn::{Lsn, Timeline};
use crate::timeline::TimelineHistory;

/// A backup as a restore sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseBackup {
    /// Its id.
    pub id: BackupId,
    /// The timeline it was taken on.
    pub timeline: Timeline,
    /// WAL is replayed from here.
    pub start: Lsn,
    /// It is consistent from here on.
    pub stop: Lsn,
    /// When it ended, by the server's clock.
    pub stopped_at: Timestamp,
}

/// WAL without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalRange {
    /// Of this timeline.
    pub timeline: Timeline,
    /// First byte.
    pub from: Lsn,
    /// One after the last byte.
    pub to: Lsn,
}

/// What is known about the end of the WAL on the timeline that is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalEnd {
    /// End of the last complete record.
    pub record_end: Lsn,
    /// The newest commit.
    pub last_commit: Option<Timestamp>,
    /// Up to this time it is known that no later commit is missing.
    pub known_until: Option<Timestamp>,
}

/// WAL that is in the vault and cannot be read: the end of what is readable is then not the end of
/// what there was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Before this it can be read.
    pub from: Lsn,
    /// Up to here, or further, there is WAL.
    pub to: Lsn,
    /// What is wrong with which object, if it is an object's fault.
    pub objects: Vec<String>,
}

/// All that the decision depends on, of one incarnation of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recoverable {
    /// Backups, in any order.
    pub backups: Vec<BaseBackup>,
    /// WAL ranges, in any order, none overlapping on one timeline.
    pub wal: Vec<WalRange>,
    /// The timeline to restore, with its ancestors.
    pub history: TimelineHistory,
    /// Its end, if any of its WAL is there.
    pub end: Option<WalEnd>,
    /// What is behind that end.
    pub unreadable: Option<Unreadable>,
    /// For targets by transaction or name: its record. For targets by time: the first end of a
    /// transaction later than that; for targets by position: the first record that begins there or
    /// later. If it was found.
    pub located: Option<Located>,
    /// For targets by time: the first end of a transaction at that very time or later.
    pub located_at: Option<Located>,
}

/// A record that decides where a replay stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// Where a replay stands that stops before it.
    pub before: Lsn,
    /// Its first byte.
    pub start: Lsn,
    /// Where a replay stands that stops after it.
    pub end: Lsn,
}

/// When PostgreSQL is to stop replaying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopAt {
    /// Never: at the known end of the WAL Soter itself promotes.
    EndOfWal,
    /// When consistent.
    Consistent,
    /// Before the first commit later than this.
    Time(Timestamp),
    /// Before the first record that begins here or later.
    Lsn(Lsn),
    /// At this transaction's end.
    Xid(u32),
    /// At this restore point.
    Name(String),
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The backup to restore.
    pub backup: BackupId,
    /// The timeline, fixed.
    pub timeline: Timeline,
    /// When to stop.
    pub stop_at: StopAt,
    /// Whether what is exactly at the target is replayed.
    pub inclusive: bool,
    /// The position of the target.
    pub end: Lsn,
    /// So much WAL the server needs: the record at which it stops is read, be it not replayed.
    pub wal_to: Lsn,
    /// Where the replay stands when it has stopped.
    pub stands: Stands,
}

/// Where a replay stands when it has stopped at its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// Exactly here.
    At(Lsn),
    /// Here or later: which record is the last one was not looked for.
    From(Lsn),
}

impl Stands {
    /// Whether a position is where it should be.
    pub fn allows(self, position: Lsn) -> bool {
        match self {
            Self::At(expected) => position == expected,
            Self::From(earliest) => position >= earliest,
        }
    }
}

impl std::fmt::Display for Stands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(expected) => write!(f, "{expected}"),
            Self::From(earliest) => write!(f, "{earliest} or later"),
        }
    }
}

/// Why a target cannot be reached. Nothing has been written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No backup at all leads to this timeline.
    #[error("there is no backup that leads to timeline {timeline}")]
    NoBackup {
        /// The timeline.
        timeline: Timeline,
    },
    /// There is no such backup.
    #[error("there is no backup {0} in this incarnation of the cluster")]
    UnknownBackup(BackupId),
    /// The target is before the end of the oldest backup.
    #[error("the target {target} is before the first point that can be restored")]
    TooEarly {
        /// The target.
        target: String,
        /// The first point.
        first: Point,
    },
    /// The target is after the last WAL.
    #[error("the target {target} is after the last point that can be restored")]
    TooLate {
        /// The target.
        target: String,
        /// The last point.
        last: Point,
    },
    /// No record of this transaction or name was found.
    #[error("no record of {target} is in the WAL that can be restored")]
    NotFound {
        /// The target.
        target: String,
    },
    /// There is WAL behind the last record that can be read.
    #[error(
        "the WAL cannot be read on from {}, although there is more of it, up to {}{}",
        .0.from, .0.to, because(&.0.objects)
    )]
    Unreadable(Unreadable),
    /// WAL is missing on the way.
    #[error("WAL is missing on timeline {timeline} from {from}: the target {target} is behind it")]
    Gap {
        /// The target.
        target: String,
        /// On this timeline.
        timeline: Timeline,
        /// Where the WAL before the gap ends, and so the last point before it.
        from: Lsn,
    },
}

/// A place in the history of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Its position.
    pub lsn: Lsn,
    /// Its time, if known.
    pub at: Option<Timestamp>,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.at {
            Some(at) => write!(f, "{at} (lsn {})", self.lsn),
            None => write!(f, "lsn {}", self.lsn),
        }
    }
}

impl Refusal {
    /// What could be restored instead.
    pub fn hint(&self) -> String {
        match self {
            Self::NoBackup { .. } => "`soter backups` shows what there is".to_owned(),
            Self::UnknownBackup(_) => "`soter backups` lists the ids".to_owned(),
            Self::TooEarly { first, .. } => format!("the nearest point is {first}"),
            Self::TooLate { last, .. } => format!("the nearest point is {last}: --to latest"),
            Self::NotFound { .. } => {
                "`soter backups` shows the recoverable range; the target may be outside it"
                    .to_owned()
            }
            Self::Unreadable(Unreadable { from, .. }) => format!(
                "what is before it comes back with --to lsn:{from}; look for the WAL in another vault"
            ),
            Self::Gap { from, .. } => {
                format!("the nearest point before the gap is --to lsn:{from}")
            }
        }
    }
}

fn because(objects: &[String]) -> String {
    match objects {
        [] => String::new(),
        objects => format!(": {}", objects.join("; ")),
    }
}

/// Decides. `inclusive` is whether what is exactly at a time or transaction is replayed.
///
/// # Errors
/// See [`Refusal`]: each says the nearest point that exists.
pub fn choose(have: &Recoverable, target: &Target, inclusive: bool) -> Result<Choice, Refusal> {
    let usable = usable_backups(have);
    let Some(oldest) = usable.first() else {
        return Err(Refusal::NoBackup { timeline: have.history.timeline() });
    };
    let stop_at = stop_at(have, target, inclusive)?;
    let located = have.located_record(&stop_at, inclusive);
    let backup = match target {
        Target::Backup(id) => {
            usable.iter().find(|backup| backup.id == *id).ok_or(Refusal::UnknownBackup(*id))?
        }
        _ => {
            usable.iter().rev().find(|backup| ended_before(backup, &stop_at, located)).ok_or_else(
                || Refusal::TooEarly {
                    target: target.to_string(),
                    first: Point { lsn: oldest.stop, at: Some(oldest.stopped_at) },
                },
            )?
        }
    };
    let Reach { end, wal_to } = reach(have, backup, (&stop_at, located), target)?;
    let stands = stands(backup, (&stop_at, located), inclusive, end);
    let timeline = have.history.timeline();
    Ok(Choice { backup: backup.id, timeline, stop_at, inclusive, end, wal_to, stands })
}

impl Recoverable {
    /// The record that decides where a replay to this point stops.
    fn located_record(&self, stop_at: &StopAt, inclusive: bool) -> Option<Located> {
        match stop_at {
            StopAt::Time(_) if !inclusive => self.located_at,
            _ => self.located,
        }
    }
}

/// Backups from which the timeline can be reached, oldest first.
fn usable_backups(have: &Recoverable) -> Vec<&BaseBackup> {
    let descends = |backup: &&BaseBackup| have.history.descends_from(backup.timeline, backup.stop);
    let mut usable: Vec<&BaseBackup> = have.backups.iter().filter(descends).collect();
    usable.sort_by_key(|backup| backup.stop);
    usable
}

/// What PostgreSQL is told. Targets at or behind the last record become the end of WAL, if it is
/// known that nothing is missing there.
fn stop_at(have: &Recoverable, target: &Target, inclusive: bool) -> Result<StopAt, Refusal> {
    // Nobody asked for less than everything, so less must not look like it.
    let readable = || match &have.unreadable {
        Some(unreadable) => Err(Refusal::Unreadable(unreadable.clone())),
        None => Ok(()),
    };
    let whole = || readable().map(|()| StopAt::EndOfWal);
    let too_late = |end: &WalEnd| {
        let last = Point { lsn: end.record_end, at: end.known_until.max(end.last_commit) };
        readable().and(Err(Refusal::TooLate { target: target.to_string(), last }))
    };
    let not_found = || readable().and(Err(Refusal::NotFound { target: target.to_string() }));
    match (target, &have.end) {
        (Target::Latest, _) => whole(),
        (Target::Immediate | Target::Backup(_), _) => Ok(StopAt::Consistent),
        (Target::Lsn(lsn), Some(end)) => match lsn.cmp(&end.record_end) {
            std::cmp::Ordering::Less => Ok(StopAt::Lsn(*lsn)),
            std::cmp::Ordering::Equal => Ok(StopAt::EndOfWal),
            std::cmp::Ordering::Greater => too_late(end),
        },
        (Target::Time(time), Some(end)) => {
            let is_within = |last| *time < last || (!inclusive && *time == last);
            if end.last_commit.is_some_and(is_within) {
                Ok(StopAt::Time(*time))
            } else if end.known_until.max(end.last_commit).is_some_and(|until| *time <= until) {
                whole()
            } else {
                too_late(end)
            }
        }
        (Target::Xid(xid), _) if have.located.is_some() => Ok(StopAt::Xid(*xid)),
        (Target::Name(name), _) if have.located.is_some() => Ok(StopAt::Name(name.clone())),
        (Target::Xid(_) | Target::Name(_), _) | (Target::Time(_), None) => not_found(),
        (Target::Lsn(lsn), None) => readable().map(|()| StopAt::Lsn(*lsn)),
    }
}

fn ended_before(backup: &BaseBackup, stop_at: &StopAt, located: Option<Located>) -> bool {
    match stop_at {
        StopAt::EndOfWal | StopAt::Consistent => true,
        StopAt::Time(time) => backup.stopped_at <= *time,
        StopAt::Lsn(lsn) => backup.stop <= *lsn,
        StopAt::Xid(_) | StopAt::Name(_) => located.is_some_and(|at| backup.stop <= at.start),
    }
}

struct Reach {
    end: Lsn,
    wal_to: Lsn,
}

/// Where the target is and how far the WAL must reach, if it does.
fn reach(
    have: &Recoverable,
    backup: &BaseBackup,
    (stop_at, located): (&StopAt, Option<Located>),
    target: &Target,
) -> Result<Reach, Refusal> {
    let (timeline, covered) = covered_from(have, backup);
    let record_end = have.end.as_ref().map_or(covered, |end| end.record_end);
    let end = match stop_at {
        StopAt::Consistent => backup.stop,
        StopAt::Lsn(lsn) => *lsn,
        StopAt::Time(_) | StopAt::Xid(_) | StopAt::Name(_) => {
            located.map_or(record_end, |at| at.start).max(backup.stop)
        }
        StopAt::EndOfWal => record_end,
    };
    let wal_to = match stop_at {
        StopAt::Consistent | StopAt::EndOfWal => end.max(backup.stop),
        _ => located.map_or(end, |at| at.end).max(end),
    };
    if covered < wal_to {
        return Err(Refusal::Gap { target: target.to_string(), timeline, from: covered });
    }
    Ok(Reach { end, wal_to })
}

/// Where the server's replay stands when it has stopped.
fn stands(
    backup: &BaseBackup,
    (stop_at, located): (&StopAt, Option<Located>),
    inclusive: bool,
    end: Lsn,
) -> Stands {
    let place = match (stop_at, located) {
        (StopAt::EndOfWal, _) => return Stands::At(end),
        (StopAt::Consistent, _) | (_, None) => return Stands::From(backup.stop),
        (StopAt::Name(_), Some(at)) => at.end,
        (StopAt::Xid(_), Some(at)) if inclusive => at.end,
        (StopAt::Time(_) | StopAt::Lsn(_) | StopAt::Xid(_), Some(at)) => at.before,
    };
    // A clock that went back before the backup: what was found is not what this replay meets.
    if place < backup.stop { Stands::From(backup.stop) } else { Stands::At(place) }
}

/// Follows the WAL from a backup's start along the history, as far as it goes without a gap.
fn covered_from(have: &Recoverable, backup: &BaseBackup) -> (Timeline, Lsn) {
    let mut position = backup.start;
    let mut timeline = backup.timeline;
    loop {
        let holds = |range: &&WalRange| {
            range.timeline == timeline && range.from <= position && position <= range.to
        };
        if let Some(range) = have.wal.iter().filter(holds).max_by_key(|range| range.to) {
            position = range.to;
        }
        let Some(switch) = have.history.switch_point(timeline) else { return (timeline, position) };
        if position < switch {
            return (timeline, position);
        }
        position = switch;
        let ancestors = have.history.ancestors();
        let next = ancestors.iter().map(|a| a.timeline).find(|next| *next > timeline);
        timeline = next.unwrap_or_else(|| have.history.timeline());
    }
}

#[cfg(test)]
mod tests;
