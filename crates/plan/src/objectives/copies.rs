//! The copies of a store, wherever the plan says so: at the store, in its policy, by Soter.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::language::{self, At, Method, Origin, Plan, Store, StoreKind};
use crate::plan::SCHEDULE;
use crate::schedule::Schedule;

/// A copy that is kept of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept<'p> {
    /// How it is made; none: the plan does not say.
    pub method: Option<Method>,
    /// The vault it goes to, as the plan names it.
    pub to: Option<&'p str>,
    /// Its declaration; none: Soter's own, in the first of `vaults`.
    pub copy: Option<&'p language::Copy>,
    /// When Soter makes its own, where it does not send all changes as they come.
    pub schedule: Option<&'p At<String>>,
    /// Where that was written.
    pub origin: Origin,
}

/// How often something is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The longest time between two of them.
    pub length: Duration,
    /// Where that was written.
    pub origin: Option<Origin>,
    /// It is Soter's default, not in the plan.
    pub is_default: bool,
}

/// The longest pause of each schedule, computed once.
#[derive(Debug, Default)]
pub struct Schedules {
    pauses: RefCell<HashMap<String, Option<Duration>>>,
}

/// So many days on which something is due are looked at for the longest pause: more than a month of
/// daily ones, a year of weekly ones.
const DAYS: usize = 64;

/// How long changes wait in Soter's agent before they are sent, if the plan does not say.
const SOTER_PAUSE: Duration = Duration::from_millis(250);

impl Kept<'_> {
    /// The longest time between two of them, if the plan says it.
    pub fn interval(&self, schedules: &Schedules) -> Option<Interval> {
        let known = |length, origin| Interval { length, origin, is_default: false };
        let Some(copy) = self.copy else {
            if self.method == Some(Method::Snapshot) {
                let line = self.schedule.map_or(SCHEDULE, |schedule| &schedule.value);
                return Some(known(schedules.pause(line)?, self.schedule.map(|at| at.origin)));
            }
            return Some(Interval { length: SOTER_PAUSE, origin: None, is_default: true });
        };
        if let Some(every) = copy.every {
            return Some(known(every.value.about(), Some(every.origin)));
        }
        if let Some(schedule) = &copy.schedule {
            let pause = schedules.pause(&schedule.value)?;
            return Some(known(pause, Some(schedule.origin)));
        }
        if let Some(continuous) = copy.continuous.filter(|continuous| continuous.value) {
            return Some(known(Duration::ZERO, Some(continuous.origin)));
        }
        (self.method == Some(Method::Soter)).then_some(Interval {
            length: SOTER_PAUSE,
            origin: None,
            is_default: true,
        })
    }

    /// It holds the data as of one moment, and can be restored by itself.
    pub fn is_full(&self) -> bool {
        matches!(
            self.method,
            Some(Method::Dump | Method::Snapshot | Method::Base | Method::Copy | Method::Soter)
        )
    }
}

impl Schedules {
    /// The longest pause between two times of a cron line in UTC.
    pub fn pause(&self, line: &str) -> Option<Duration> {
        if let Some(known) = self.pauses.borrow().get(line) {
            return *known;
        }
        let pause = longest_pause(line);
        self.pauses.borrow_mut().insert(line.to_owned(), pause);
        pause
    }
}

/// On every day that it is due at all, it is due at the same times: the pauses between two of them on
/// the first, and those from the last of each day to the first of the next.
fn longest_pause(line: &str) -> Option<Duration> {
    let schedule = Schedule::parse(line, TimeZone::UTC).ok()?;
    let pause = |from: Timestamp, to: Timestamp| Duration::try_from(to.duration_since(from)).ok();
    let mut first = schedule.next_after(Timestamp::UNIX_EPOCH - SignedDuration::from_secs(1))?;
    let day = |time: Timestamp| time.as_second().div_euclid(DAY_SECONDS);
    let (mut last, mut next) = (first, schedule.next_after(first)?);
    let mut longest = pause(last, next)?;
    while day(next) == day(first) {
        (last, next) = (next, schedule.next_after(next)?);
        longest = longest.max(pause(last, next)?);
    }
    let from_first_to_last = last.duration_since(first);
    for _ in 0..DAYS {
        first = next;
        last = first.checked_add(from_first_to_last).ok()?;
        next = schedule.next_after(last)?;
        longest = longest.max(pause(last, next)?);
    }
    Some(longest)
}

const DAY_SECONDS: i64 = 86_400;

/// All copies of a store, in the order of the plan.
pub(crate) fn of<'p>(plan: &'p Plan, store: &'p Store) -> Vec<Kept<'p>> {
    let policy = store.policy.as_ref().and_then(|name| plan.policies.get(&name.value));
    let of_policy = policy.map_or(&[][..], |policy| &policy.copies);
    let declared = store.copies.iter().chain(of_policy).map(|copy| Kept {
        method: copy.method.map(|method| method.value),
        to: copy.to.as_ref().map(|to| to.value.as_str()),
        copy: Some(copy),
        schedule: None,
        origin: place(copy),
    });
    // An etcd has no log that could be streamed.
    let has_log = store.kind.is_none_or(|kind| kind.value != StoreKind::Etcd);
    // No other is written, whatever the plan names.
    let by_soter = store.vaults.first().map(|vault| Kept {
        method: Some(if has_log { Method::Soter } else { Method::Snapshot }),
        to: Some(&vault.value),
        copy: None,
        schedule: store.backup.as_ref().and_then(|backup| backup.schedule.as_ref()),
        origin: vault.origin,
    });
    declared.chain(by_soter).collect()
}

/// Where a copy is declared: its method, or whatever it says.
pub(crate) fn place(copy: &language::Copy) -> Origin {
    let places = [
        copy.method.map(|at| at.origin),
        copy.schedule.as_ref().map(|at| at.origin),
        copy.every.map(|at| at.origin),
        copy.continuous.map(|at| at.origin),
        copy.to.as_ref().map(|at| at.origin),
        copy.by.as_ref().map(|at| at.origin),
        copy.artefact.as_ref().map(|at| at.origin),
        copy.keep.map(|at| at.origin),
    ];
    places.into_iter().flatten().next().unwrap_or_default()
}

/// Whether logs of the store can be replayed on such a copy.
///
/// A PostgreSQL dump is statements without a place in the log; a dump of MySQL or MongoDB knows its.
pub(crate) fn is_base(store: &Store, method: Method) -> bool {
    let is_postgres = store.kind.is_some_and(|kind| kind.value == StoreKind::Postgres);
    match method {
        Method::Base | Method::Soter | Method::Snapshot => true,
        Method::Dump | Method::Copy => !is_postgres,
        Method::Log | Method::Replica | Method::Versions => false,
    }
}
