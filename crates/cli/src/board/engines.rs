//! Who carries a run on, who did before, and what a moment of it is counted from.

use jiff::Timestamp;
use soter_runbook::forecast::spoken;
use soter_runbook::state::{LaterEngine, Life as RunLife, MirrorState, Moment, State};

use super::commands::Commands;
use super::make::{clean, millis};
use super::page::{clock_time, day_time};
use super::{Attended, Disaster, Engine, Mirror, Seen, Takeover};

pub(super) fn engine(seen: &Seen<'_>, commands: &Commands<'_>) -> Engine {
    let state = seen.state;
    let (host, epoch) = (clean(&state.host), state.epoch);
    let ago = spoken(seen.now.since(&state.last));
    let words = match (&state.life, seen.attended) {
        (RunLife::Closed(_), _) => format!("engine {epoch} on {host} closed it"),
        (_, Attended::Here) => {
            format!("engine {epoch} on {host} carries it on, its last record {ago} ago")
        }
        (_, Attended::Elsewhere) => format!(
            "engine {epoch} on {host} wrote its last record {ago} ago; from here nobody can tell \
             whether it is at work"
        ),
        (_, Attended::Nobody) => format!(
            "NOBODY CARRIES IT ON: engine {epoch} on {host} wrote its last record {ago} ago; type {}",
            commands.resume().line
        ),
    };
    Engine {
        host,
        epoch,
        is: seen.attended,
        last_record_at: state.last.at,
        records: state.records,
        words,
    }
}

/// The engines after the first one, with what each of them found alive.
pub(super) fn takeovers(state: &State) -> Vec<Takeover> {
    let adopted = |engine: &LaterEngine| {
        let named = engine.adopted.iter().map(|(step, process)| match process {
            Some(process) => format!("`{step}` (process {process})"),
            None => format!("`{step}`"),
        });
        named.collect::<Vec<_>>()
    };
    let all = state.engines.iter().map(|engine| {
        let (host, at) = (clean(&engine.host), engine.since.at);
        let how = if engine.took_over { "took over" } else { "went on with it" };
        let adopted = match adopted(engine) {
            none if none.is_empty() => "it found nothing that still ran".to_owned(),
            some => format!("it adopted {}", some.join(", ")),
        };
        let words =
            format!("engine {} {how} on {host} at {}; {adopted}", engine.epoch, clock_time(at));
        Takeover { epoch: engine.epoch, host, at, took_over: engine.took_over, words }
    });
    all.collect()
}

/// What promises count from.
pub(super) fn disaster(state: &State) -> Disaster {
    let at: Option<Timestamp> = state.begun.disaster;
    let words = match at {
        Some(at) => format!(
            "disaster at {}, {} before the run: what was promised counts from then",
            day_time(at),
            spoken(state.before())
        ),
        None => {
            "what was promised counts from the beginning of the run: nobody said when the disaster \
             was (--since)"
                .to_owned()
        }
    };
    Disaster { at, before_ms: at.map(|_| millis(state.before())), words }
}

pub(super) fn mirror(state: &State, now: &Moment) -> Mirror {
    let (is, since) = &state.mirror;
    let (is, words) = match is {
        MirrorState::Following => {
            ("following", "its journal has a second place in a vault".to_owned())
        }
        MirrorState::Local => (
            "local",
            "LOCAL ONLY: its journal has no second place; if this machine is lost, so is what is \
             known of the run"
                .to_owned(),
        ),
        MirrorState::Lost => (
            "lost",
            format!(
                "MIRROR LOST for {}: what cannot be taken back waits a few minutes for it, then a \
                 person decides",
                spoken(now.since(since))
            ),
        ),
    };
    Mirror { is, since: since.at, words }
}
