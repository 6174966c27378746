//! `soter agent` of an etcd: a snapshot when one is due, and again soon when it failed.
//!
//! It has no state of its own: what is due is told by the vault and the plan's schedule. That it is
//! there it says in a file, for `soter status`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use soter_plan::Schedule;
use soter_stores::etcd::backup::{ClusterPolicy, FullPolicy};
use soter_vault::ids::StoreId;
use soter_vault::log::{Log, TakeOver};
use soter_vault::map::NoProgress;
use soter_world::Stop;

use super::{AgentArgs, end_in_time};
use crate::commands::backup::etcd::{Patient, Policy, take};
use crate::context::{Context, Writer, kept_in_the_first_only, log_failure};
use crate::failure::{Ending, Failure};
use crate::output::human_bytes;
use crate::presence::{FailedAttempt, Presence};

/// A clock that is set, or a machine that slept, is noticed within this.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// After the first failure it is tried again so soon, after the next twice as long, and so on.
const RETRY_FIRST: Duration = Duration::from_secs(30);

/// At least so often.
const RETRY_MAX: Duration = Duration::from_secs(15 * 60);

pub(super) fn run(
    context: &Context,
    args: &AgentArgs,
    patient: Patient<'_>,
) -> Result<(), Failure> {
    if let Some(what) = kept_in_the_first_only(patient.name, patient.store) {
        context.output.warn(&what);
    }
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    end_in_time(stop.clone(), Arc::clone(&context.clock));
    let take_over = if args.take_over { TakeOver::Anybody } else { TakeOver::OwnOnly };
    let host = rustix::system::uname();
    let agent = host.nodename().to_string_lossy().into_owned();
    let full = FullPolicy::OlderThan(patient.store.backup.full_every);
    let policy = Policy { agent: &agent, full, cluster: ClusterPolicy::Same, take_over };
    let (store, newest) = newest(context, patient)?;
    let (mut newest, mut failures) = (newest, Failures::default());
    let (mut presence, mut is_first) = (Presence::ours(context), true);
    loop {
        let now = context.clock.now();
        let due = due(&patient.store.backup.schedule, newest, &failures);
        let next_at = due.filter(|due| *due > now);
        if let Some(presence) = &mut presence
            && (presence.next_at != next_at || is_first)
        {
            presence.next_at = next_at;
            presence.announce(context, store);
            is_first = false;
        }
        if due.is_some_and(|due| due > now) || due.is_none() {
            if stop.wait(LOOK_EVERY.min(until(now, due))) {
                return Ok(());
            }
            continue;
        }
        match take(context, patient, policy, (&NoProgress, &stop)) {
            Ok(done) => {
                for remark in &done.record.remarks {
                    context.output.warn(remark);
                }
                let (revision, keys) = (done.record.revision, done.record.keys.keys);
                let stored = human_bytes(done.record.counters.stored_bytes);
                let id = done.id;
                context.output.say(&format!(
                    "backup {id}: revision {revision}, {keys} keys, {stored} stored"
                ));
                (newest, failures) = (Some(context.clock.now()), Failures::default());
                presence.iter_mut().for_each(|presence| presence.failed = None);
            }
            Err(_) if stop.is_stopped() => return Ok(()),
            Err(failure) => {
                // What never worked is a mistake; what worked once may pass.
                let is_mistake = failure.ending == Ending::Input && newest.is_none();
                if is_mistake || failure.ending == Ending::Superseded {
                    return Err(failure);
                }
                let why = failure.in_one_line();
                context.output.warn(&why);
                failures = failures.and_one(context.clock.now());
                let (at, count) = (context.clock.now(), failures.count);
                let failed = FailedAttempt { at, why, count };
                presence.iter_mut().for_each(|it| it.failed = Some(failed.clone()));
            }
        }
    }
}

/// The store, and when its newest backup was stored.
fn newest(
    context: &Context,
    patient: Patient<'_>,
) -> Result<(StoreId, Option<Timestamp>), Failure> {
    let Writer { vault: open, keys, pins } =
        context.writer(patient.plan, patient.name, patient.store)?;
    let vault = context.vault(&open, pins);
    let log = Log::open(&vault, keys.store, open.trust().clone(), None)
        .map_err(|error| log_failure(&error))?;
    Ok((keys.store, log.catalogue().live().next_back().map(|backup| backup.stored)))
}

/// Backups that failed one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Failures {
    count: u32,
    last_at: Option<Timestamp>,
}

impl Failures {
    fn and_one(self, at: Timestamp) -> Self {
        Self { count: self.count.saturating_add(1), last_at: Some(at) }
    }
}

/// When the next backup is due; none if it never is.
fn due(schedule: &Schedule, newest: Option<Timestamp>, failures: &Failures) -> Option<Timestamp> {
    if let Some(last_at) = failures.last_at {
        let pause = RETRY_FIRST.saturating_mul(1 << failures.count.saturating_sub(1).min(10));
        return last_at.checked_add(pause.min(RETRY_MAX)).ok();
    }
    match newest {
        // Without one, at once.
        None => Some(Timestamp::MIN),
        Some(newest) => schedule.next_after(newest),
    }
}

fn until(now: Timestamp, due: Option<Timestamp>) -> Duration {
    due.and_then(|due| Duration::try_from(due.duration_since(now)).ok()).unwrap_or(LOOK_EVERY)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_backup_is_due_by_schedule_and_soon_after_a_failure() {
        let schedule = Schedule::parse("*/10 * * * *", TimeZone::UTC).unwrap();
        let at = |text: &str| -> Timestamp { format!("2026-11-23T{text}Z").parse().unwrap() };
        let none = Failures::default();
        assert_eq!(due(&schedule, None, &none), Some(Timestamp::MIN), "without one, at once");
        assert_eq!(due(&schedule, Some(at("10:03:00")), &none), Some(at("10:10:00")));
        let mut failures = none;
        for (failed, again) in [
            ("10:10:00", "10:10:30"),
            ("10:10:30", "10:11:30"),
            ("10:11:30", "10:13:30"),
            ("10:13:30", "10:17:30"),
            ("10:17:30", "10:25:30"),
            ("10:25:30", "10:40:30"),
            ("10:40:30", "10:55:30"),
        ] {
            failures = failures.and_one(at(failed));
            assert_eq!(due(&schedule, Some(at("10:03:00")), &failures), Some(at(again)));
        }
        assert_eq!(until(at("10:00:00"), Some(at("10:00:05"))), Duration::from_secs(5));
        assert_eq!(until(at("10:00:00"), None), LOOK_EVERY);
    }
}
