use proptest::prelude::*;
use soter_world::sim::SeededRandom;

use super::*;

const MIB: u64 = 1 << 20;

fn abandoned() -> Fork {
    let (switch, held) = (Lsn(MIB), Lsn(2 * MIB));
    Fork::Abandoned { timeline: Timeline(1), switch, held, next: Timeline(2) }
}

fn foreign() -> Fork {
    Fork::Foreign { ours: Timeline(2), theirs: Timeline(1) }
}

fn prepared() -> Event {
    Event::Prepared { timeline: Timeline(1), from: Lsn(MIB) }
}

fn removed() -> Event {
    Event::WalRemoved { from: Lsn(MIB), timeline: Timeline(1) }
}

fn passing() -> Event {
    Event::Failed(Trouble::Passing("down".to_owned()))
}

/// Follows events that must be possible.
fn follow(events: &[Event]) -> State {
    let next = |state: State, event: &Event| state.next(event.clone()).unwrap();
    events.iter().fold(State::START, next)
}

#[test]
fn the_way_to_streaming_and_back() {
    let streaming = follow(&[Event::Probed, prepared(), Event::Flowed]);
    assert_eq!(streaming.phase.name(), PhaseName::Stream);
    let ended = Event::StreamEnded("the server has shut down".to_owned());
    let state = follow(&[Event::Probed, prepared(), ended, Event::Waited]);
    assert_eq!(state.phase, Phase::Probe);
}

#[test]
fn a_gap_is_recorded_before_wal_behind_it_is_taken() {
    let state = follow(&[Event::Probed, prepared(), removed()]);
    assert_eq!(state.phase.name(), PhaseName::Gap);
    assert!(state.clone().next(prepared()).is_err());
    assert_eq!(state.next(Event::Recorded).unwrap().phase, Phase::Prepare);
}

#[test]
fn a_fork_without_a_way_on_needs_a_person() {
    let state = follow(&[Event::Probed, Event::Forked(abandoned()), Event::Recorded]);
    assert_eq!(state.phase, Phase::Prepare);
    let state = follow(&[Event::Probed, Event::Forked(foreign()), Event::Recorded]);
    assert!(matches!(state.phase, Phase::Ended(Ending::Input(_))));
}

#[test]
fn superseded_is_the_end_from_anywhere() {
    let by = || Event::Failed(Trouble::Superseded("agent b".to_owned()));
    for events in [vec![], vec![Event::Probed], vec![Event::Probed, prepared()], vec![passing()]] {
        let state = follow(&events).next(by()).unwrap();
        let expected = Phase::Ended(Ending::Superseded("agent b".to_owned()));
        assert_eq!(state.phase, expected);
        assert_eq!(state.next(Event::StopRequested).unwrap().phase, expected);
    }
}

#[test]
fn a_stop_drains_and_a_vault_that_is_away_does_not_hold_it_up() {
    let state = follow(&[Event::Probed, prepared(), Event::StopRequested]);
    assert_eq!(state.phase, Phase::Draining);
    for event in [Event::Drained, passing()] {
        assert_eq!(state.clone().next(event).unwrap().phase, Phase::Ended(Ending::Stopped));
    }
}

#[test]
fn pauses_grow_and_end_when_wal_flows() {
    let random = SeededRandom::new(1);
    let mut state = State::START;
    let mut longest = Vec::new();
    for _ in 0..10 {
        state = state.next(passing()).unwrap();
        longest.push((0..200).map(|_| state.pause(&random)).max().unwrap());
        state = state.next(Event::Waited).unwrap();
    }
    assert!(longest[0] <= PAUSE_MIN && longest[0] > PAUSE_MIN / 2, "{longest:?}");
    assert!(longest.is_sorted_by(|a, b| *b >= *a / 2) && longest[9] <= PAUSE_MAX, "{longest:?}");
    let state = state.next(Event::Probed).unwrap().next(prepared()).unwrap();
    assert_eq!(state.failures, 10);
    assert_eq!(state.next(Event::Flowed).unwrap().failures, 0);
}

fn any_event() -> impl Strategy<Value = Event> {
    let text = || "x".to_owned();
    prop::sample::select(vec![
        Event::Probed,
        prepared(),
        Event::Flowed,
        Event::StreamEnded(text()),
        removed(),
        Event::Forked(abandoned()),
        Event::Forked(foreign()),
        Event::Recorded,
        passing(),
        Event::Failed(Trouble::Input(text())),
        Event::Failed(Trouble::Superseded(text())),
        Event::Failed(Trouble::Lasting(text())),
        Event::Waited,
        Event::StopRequested,
        Event::Drained,
    ])
}

proptest! {
    #[test]
    fn whatever_happens_the_rules_hold(events in prop::collection::vec(any_event(), 0..60)) {
        let mut state = State::START;
        let (mut was_asked, mut is_gap_open) = (false, false);
        for event in events {
            let before = state.clone();
            let Ok(next) = state.clone().next(event.clone()) else { continue };
            match event {
                Event::Probed => was_asked = true,
                Event::WalRemoved { .. } => is_gap_open = true,
                Event::Recorded => is_gap_open = false,
                Event::Waited => was_asked = false,
                _ => {}
            }
            // A failure while a gap is recorded leads to asking the server again, which meets it.
            if matches!(next.phase, Phase::Backoff { .. }) {
                is_gap_open = false;
            }
            if matches!(next.phase, Phase::Stream { .. }) {
                prop_assert!(was_asked && !is_gap_open, "{before:?} {event:?}");
            }
            if matches!(before.phase, Phase::Ended(_)) {
                prop_assert_eq!(&next.phase, &before.phase);
            }
            if matches!(before.phase, Phase::Draining) {
                let goes_on = !matches!(next.phase, Phase::Draining | Phase::Ended(_));
                prop_assert!(!goes_on, "{before:?} {event:?}");
            }
            state = next;
        }
    }
}
