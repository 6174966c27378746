use std::collections::BTreeSet;

use proptest::prelude::*;
use soter_world::sim::cases;

use super::*;

const MIB: u64 = 1 << 20;
const SYNC: Mode = Mode::Synchronous;
const ASYNC: Mode = Mode::Asynchronous { part_interval: Duration::from_millis(250) };

fn size() -> SegmentSize {
    SegmentSize::new(1 << 20).unwrap()
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn part(segment: u64, from: u32, to: u32) -> PartRange {
    PartRange { segment: SegmentNumber(segment), from, to }
}

fn flow(mode: Mode) -> Flow {
    Flow::new(size(), mode, Lsn(3 * MIB), Lsn::INVALID)
}

#[test]
fn synchronous_takes_what_there_is_as_soon_as_a_lane_is_free() {
    let mut flow = flow(SYNC);
    assert_eq!(flow.next_part(at(0), 2), Next::Nothing);
    flow.received(Lsn(3 * MIB + 100), at(0));
    assert_eq!(flow.next_part(at(0), 2), Next::Now(part(3, 0, 100)));
    flow.received(Lsn(3 * MIB + 120), at(0));
    flow.received(Lsn(3 * MIB + 150), at(1));
    assert_eq!(flow.next_part(at(1), 2), Next::Now(part(3, 100, 150)));
    flow.received(Lsn(3 * MIB + 160), at(1));
    assert_eq!(flow.next_part(at(1), 2), Next::Nothing);
    assert!(!flow.part_stored(part(3, 100, 150)));
    assert_eq!(flow.flush(), Lsn(3 * MIB));
    assert!(flow.part_stored(part(3, 0, 100)));
    assert_eq!(flow.flush(), Lsn(3 * MIB + 150));
    assert_eq!(flow.lag_bytes(), 10);
}

#[test]
fn asynchronous_waits_for_more_but_not_for_long() {
    let mut flow = flow(ASYNC);
    flow.received(Lsn(3 * MIB + 100), at(1000));
    assert_eq!(flow.next_part(at(1000), 2), Next::In(at(250)));
    flow.received(Lsn(3 * MIB + 200), at(1100));
    assert_eq!(flow.next_part(at(1200), 2), Next::In(at(50)));
    assert_eq!(flow.next_part(at(1250), 2), Next::Now(part(3, 0, 200)));
    assert_eq!(flow.next_part(at(9000), 2), Next::Nothing);
    flow.received(Lsn(3 * MIB + 300), at(9000));
    assert_eq!(flow.next_part(at(9000), 2), Next::In(at(250)));
    flow.hurry();
    assert_eq!(flow.next_part(at(9000), 2), Next::Now(part(3, 200, 300)));
}

#[test]
fn a_segment_that_comes_whole_needs_no_parts() {
    for mode in [SYNC, ASYNC] {
        let mut flow = flow(mode);
        flow.received(Lsn(5 * MIB + 7), at(0));
        assert_eq!(flow.next_seal(), Some(SegmentNumber(3)));
        assert_eq!(flow.next_seal(), Some(SegmentNumber(4)));
        assert_eq!(flow.next_seal(), None);
        assert!(!flow.segment_sealed(SegmentNumber(4), at(0)));
        assert!(flow.segment_sealed(SegmentNumber(3), at(0)));
        assert_eq!(flow.flush(), Lsn(5 * MIB));
        assert_eq!(flow.next_part(at(300), 1), Next::Now(part(5, 0, 7)));
    }
}

#[test]
fn the_rest_of_a_segment_is_sent_if_somebody_waits_for_it() {
    let finish = |mode| {
        let mut flow = flow(mode);
        flow.received(Lsn(3 * MIB + 10), at(0));
        assert_eq!(flow.next_part(at(300), 1), Next::Now(part(3, 0, 10)));
        flow.part_stored(part(3, 0, 10));
        flow.received(Lsn(4 * MIB + 5), at(300));
        flow
    };
    let rest = part(3, 10, MIB as u32);
    assert_eq!(finish(SYNC).next_part(at(300), 1), Next::Now(rest));
    let mut waits = finish(ASYNC);
    assert_eq!(waits.next_part(at(300), 1), Next::In(at(250)));
    assert_eq!(waits.next_seal(), Some(SegmentNumber(3)));
    assert!(waits.segment_sealed(SegmentNumber(3), at(310)));
    assert_eq!(waits.flush(), Lsn(4 * MIB));
    let mut hurried = finish(ASYNC);
    hurried.hurry();
    assert_eq!(hurried.next_part(at(300), 1), Next::Now(rest));
}

#[test]
fn what_was_sealed_meanwhile_is_not_sent_again() {
    let mut flow = flow(SYNC);
    flow.received(Lsn(3 * MIB + 10), at(0));
    assert_eq!(flow.next_part(at(0), 1), Next::Now(part(3, 0, 10)));
    flow.received(Lsn(4 * MIB + 5), at(1));
    assert_eq!(flow.next_seal(), Some(SegmentNumber(3)));
    assert!(flow.segment_sealed(SegmentNumber(3), at(2)));
    flow.part_stored(part(3, 0, 10));
    assert_eq!(flow.next_part(at(3), 1), Next::Now(part(4, 0, 5)));
}

#[test]
fn segments_that_are_sealed_out_of_order_are_passed_together() {
    let mut flow = flow(SYNC);
    flow.received(Lsn(3 * MIB + 10), at(0));
    assert_eq!(flow.next_part(at(0), 1), Next::Now(part(3, 0, 10)));
    flow.received(Lsn(5 * MIB + 5), at(1));
    assert_eq!(flow.next_seal(), Some(SegmentNumber(3)));
    assert_eq!(flow.next_seal(), Some(SegmentNumber(4)));
    assert!(!flow.segment_sealed(SegmentNumber(4), at(2)));
    assert!(flow.segment_sealed(SegmentNumber(3), at(2)));
    flow.part_stored(part(3, 0, 10));
    assert_eq!(flow.next_part(at(3), 1), Next::Now(part(5, 0, 5)));
}

#[test]
fn seals_that_hold_up_commits_go_first() {
    let mut flow = flow(SYNC);
    flow.received(Lsn(3 * MIB + 10), at(0));
    assert_eq!(flow.next_part(at(0), 1), Next::Now(part(3, 0, 10)));
    flow.received(Lsn(4 * MIB), at(0));
    flow.part_stored(part(3, 0, 10));
    assert_eq!(flow.next_part(at(0), 1), Next::Now(part(3, 10, MIB as u32)));
    flow.received(Lsn(5 * MIB), at(0));
    assert_eq!(flow.next_seal(), Some(SegmentNumber(4)));
    assert_eq!(flow.next_seal(), Some(SegmentNumber(3)));
}

#[test]
fn a_synced_spool_counts_only_when_commits_do_not_wait_for_the_vault() {
    for (mode, flush) in [(SYNC, 3 * MIB), (ASYNC, 3 * MIB + 40)] {
        let mut flow = flow(mode);
        flow.received(Lsn(3 * MIB + 50), at(0));
        assert_eq!(flow.spool_synced(Lsn(3 * MIB + 40)), mode == ASYNC);
        assert_eq!(flow.flush(), Lsn(flush));
        assert_eq!(flow.durable_end(), Lsn(3 * MIB));
    }
}

#[test]
fn what_was_there_before_is_sent_without_waiting() {
    let mut flow = Flow::new(size(), ASYNC, Lsn(3 * MIB), Lsn(4 * MIB + 9));
    assert_eq!(flow.next_part(at(1000), 1), Next::Now(part(4, 0, 9)));
    assert_eq!(flow.next_seal(), Some(SegmentNumber(3)));
}

#[derive(Debug, Clone)]
enum Step {
    Receive(u64),
    Cut,
    Store(usize),
    TakeSeal,
    Seal(usize),
    Sync(u64),
    Wait(u64),
    Hurry,
    Relax,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..400_000).prop_map(Step::Receive),
        1 => (1_u64..4 * MIB).prop_map(Step::Receive),
        5 => Just(Step::Cut),
        4 => any::<usize>().prop_map(Step::Store),
        3 => Just(Step::TakeSeal),
        2 => any::<usize>().prop_map(Step::Seal),
        1 => (0_u64..20 * MIB).prop_map(Step::Sync),
        2 => (0_u64..400).prop_map(Step::Wait),
        1 => Just(Step::Hurry),
        1 => Just(Step::Relax),
    ]
}

/// Everything that was handed out, and what was done.
struct Model {
    flow: Flow,
    now: u64,
    parts: Vec<PartRange>,
    seals: Vec<SegmentNumber>,
    /// Every byte in blocks of one, as ranges that were stored.
    stored: Vec<Range<u64>>,
    handed_out: BTreeSet<PartRange>,
    synced: u64,
    sealed: BTreeSet<SegmentNumber>,
}

impl Model {
    fn step(&mut self, step: &Step) {
        let before = self.flow.flush();
        match step {
            Step::Receive(bytes) => {
                let to = Lsn(self.flow.received_end().0 + bytes);
                self.flow.received(to, at(self.now));
            }
            Step::Cut => {
                if let Next::Now(part) = self.flow.next_part(at(self.now), 3) {
                    assert!(part.from < part.to && part.to <= MIB as u32, "{part:?}");
                    assert!(part.to - part.from <= PART_BYTES_MAX);
                    assert!(self.handed_out.insert(part), "{part:?} twice");
                    assert!(!self.sealed.contains(&part.segment), "{part:?} is sealed");
                    self.parts.push(part);
                    assert!(self.parts.len() <= 3);
                }
            }
            Step::Store(which) if !self.parts.is_empty() => {
                let part = self.parts.swap_remove(which % self.parts.len());
                let start = part.segment.start(size()).0;
                self.stored.push(start + u64::from(part.from)..start + u64::from(part.to));
                let grown = self.flow.part_stored(part);
                assert_eq!(grown, self.flow.flush() > before);
            }
            Step::TakeSeal => self.seals.extend(self.flow.next_seal()),
            Step::Seal(which) if !self.seals.is_empty() => {
                let segment = self.seals.swap_remove(which % self.seals.len());
                self.stored.push(segment.start(size()).0..segment.end(size()).0);
                self.sealed.insert(segment);
                let grown = self.flow.segment_sealed(segment, at(self.now));
                assert_eq!(grown, self.flow.flush() > before);
            }
            Step::Sync(to) => {
                self.flow.spool_synced(Lsn(*to));
                self.synced = self.synced.max((*to).min(self.flow.received_end().0));
            }
            Step::Wait(millis) => self.now += millis,
            Step::Hurry => self.flow.hurry(),
            Step::Relax => self.flow.relax(),
            Step::Store(_) | Step::Seal(_) => {}
        }
        assert!(self.flow.flush() >= before, "it went back");
        assert!(self.flow.durable_end() <= Lsn(self.durable_by_model()));
        let synced = if self.flow.mode == SYNC { 0 } else { self.synced };
        assert_eq!(self.flow.flush().0, self.durable_by_model().max(synced));
    }

    /// The end of the contiguous beginning, by looking again and again at all ranges.
    fn durable_by_model(&self) -> u64 {
        let mut end = 3 * MIB;
        while let Some(range) = self.stored.iter().find(|r| r.start <= end && end < r.end) {
            end = range.end;
        }
        end
    }

    /// Does everything that is to be done.
    fn drain(&mut self) {
        self.step(&Step::Hurry);
        for _ in 0..10_000 {
            if self.flow.is_drained() && self.flow.unsealed() == 0 {
                return;
            }
            for step in [Step::Cut, Step::Store(0), Step::TakeSeal, Step::Seal(0)] {
                self.step(&step);
            }
        }
        panic!("something is never done: {:?}", self.flow);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(256)))]

    #[test]
    fn it_never_says_more_than_is_durable_and_leaves_nothing_out(
        is_sync: bool,
        ahead in 0_u64..3 * MIB,
        steps in prop::collection::vec(any_step(), 0..120),
    ) {
        let mode = if is_sync { SYNC } else { ASYNC };
        let flow = Flow::new(size(), mode, Lsn(3 * MIB), Lsn(3 * MIB + ahead));
        let (parts, seals, stored) = (Vec::new(), Vec::new(), Vec::new());
        let handed_out = BTreeSet::new();
        let sealed = BTreeSet::new();
        let synced = 3 * MIB + ahead;
        let mut model = Model { flow, now: 0, parts, seals, stored, handed_out, synced, sealed };
        for step in &steps {
            model.step(step);
        }
        model.drain();
        prop_assert_eq!(model.flow.waiting_since(), None);
        prop_assert_eq!(model.flow.lag_bytes(), 0);
    }
}
