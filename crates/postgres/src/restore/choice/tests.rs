use super::*;

fn time(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
}

fn id(number: u8) -> BackupId {
    BackupId([number; 8])
}

fn backup(number: u8, timeline: u32, start: u64, stop: u64, minute: i64) -> BaseBackup {
    BaseBackup {
        id: id(number),
        timeline: Timeline(timeline),
        start: Lsn(start),
        stop: Lsn(stop),
        stopped_at: time(minute),
    }
}

fn range(timeline: u32, from: u64, to: u64) -> WalRange {
    WalRange { timeline: Timeline(timeline), from: Lsn(from), to: Lsn(to) }
}

/// Two backups, WAL from 100 to 1000, the last commit in minute 60, known until minute 62.
fn cluster() -> Recoverable {
    Recoverable {
        backups: vec![backup(2, 1, 500, 550, 30), backup(1, 1, 100, 150, 10)],
        wal: vec![range(1, 100, 1010)],
        history: TimelineHistory::first(),
        end: Some(WalEnd {
            record_end: Lsn(1000),
            last_commit: Some(time(60)),
            known_until: Some(time(62)),
        }),
        unreadable: None,
        located: None,
        located_at: None,
    }
}

/// A record of ten bytes, behind one that ended at the same place.
fn located(start: u64) -> Option<Located> {
    Some(Located { before: Lsn(start), start: Lsn(start), end: Lsn(start + 10) })
}

fn chosen(have: &Recoverable, target: &Target) -> (u8, StopAt, u64) {
    let choice = choose(have, target, true).unwrap();
    (choice.backup.0[0], choice.stop_at, choice.end.0)
}

#[test]
fn the_newest_backup_before_the_target_is_taken() {
    let have = cluster();
    assert_eq!(chosen(&have, &Target::Latest), (2, StopAt::EndOfWal, 1000));
    assert_eq!(chosen(&have, &Target::Immediate), (2, StopAt::Consistent, 550));
    assert_eq!(chosen(&have, &Target::Backup(id(1))), (1, StopAt::Consistent, 150));
    assert_eq!(chosen(&have, &Target::Lsn(Lsn(549))), (1, StopAt::Lsn(Lsn(549)), 549));
    assert_eq!(chosen(&have, &Target::Lsn(Lsn(550))), (2, StopAt::Lsn(Lsn(550)), 550));
    assert_eq!(chosen(&have, &Target::Time(time(29))), (1, StopAt::Time(time(29)), 1000));
    assert_eq!(chosen(&have, &Target::Time(time(30))), (2, StopAt::Time(time(30)), 1000));
}

#[test]
fn a_target_at_the_end_becomes_the_end() {
    let have = cluster();
    for target in [Target::Lsn(Lsn(1000)), Target::Time(time(60)), Target::Time(time(62))] {
        assert_eq!(chosen(&have, &target), (2, StopAt::EndOfWal, 1000), "{target}");
    }
}

#[test]
fn a_target_outside_the_range_is_refused_with_the_nearest_point() {
    let have = cluster();
    for target in [Target::Lsn(Lsn(149)), Target::Time(time(9))] {
        let refusal = choose(&have, &target, true).unwrap_err();
        let first = Point { lsn: Lsn(150), at: Some(time(10)) };
        assert_eq!(refusal, Refusal::TooEarly { target: target.to_string(), first });
    }
    for target in [Target::Lsn(Lsn(1001)), Target::Time(time(63))] {
        let refusal = choose(&have, &target, true).unwrap_err();
        let last = Point { lsn: Lsn(1000), at: Some(time(62)) };
        assert_eq!(refusal, Refusal::TooLate { target: target.to_string(), last });
    }
}

#[test]
fn a_transaction_or_a_name_must_have_been_found() {
    let mut have = cluster();
    let name = Target::Name("before".to_owned());
    let refusal = choose(&have, &name, true).unwrap_err();
    assert_eq!(refusal, Refusal::NotFound { target: name.to_string() });
    have.located = located(300);
    assert_eq!(chosen(&have, &name), (1, StopAt::Name("before".to_owned()), 300));
    assert_eq!(chosen(&have, &Target::Xid(7)), (1, StopAt::Xid(7), 300));
}

#[test]
fn a_gap_is_refused_and_its_edge_named() {
    let mut have = cluster();
    have.wal = vec![range(1, 100, 400), range(1, 450, 1010)];
    have.backups.retain(|backup| backup.id == id(1));
    let early = Recoverable { located: located(380), ..have.clone() };
    assert_eq!(chosen(&early, &Target::Time(time(29))).2, 380, "a time before the gap is well");
    let refusal = choose(&have, &Target::Latest, true).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Gap { target: "latest".to_owned(), timeline: Timeline(1), from: Lsn(400) }
    );
    assert_eq!(refusal.hint(), "the nearest point before the gap is --to lsn:0/190");
    assert_eq!(chosen(&have, &Target::Lsn(Lsn(400))).2, 400, "before the gap all is well");
}

/// Timeline 2 left timeline 1 at 700; timeline 1 went on to 1010.
fn switched() -> Recoverable {
    let mut have = cluster();
    have.history = TimelineHistory::parse(Timeline(2), b"1\t0/2BC\tno recovery target\n").unwrap();
    have.wal = vec![range(1, 100, 1010), range(2, 700, 900)];
    have.end =
        Some(WalEnd { record_end: Lsn(890), last_commit: Some(time(50)), known_until: None });
    have
}

#[test]
fn the_way_leads_over_the_switch_to_the_new_timeline() {
    let mut have = switched();
    assert_eq!(chosen(&have, &Target::Latest), (2, StopAt::EndOfWal, 890));
    have.backups.push(backup(3, 1, 800, 850, 45));
    let choice = choose(&have, &Target::Latest, true).unwrap();
    assert_eq!(choice.backup, id(2), "a backup of what the new timeline left is of no use");
    assert_eq!(choice.timeline, Timeline(2));
    have.backups.push(backup(4, 2, 750, 760, 40));
    assert_eq!(chosen(&have, &Target::Latest).0, 4);
}

#[test]
fn wal_missing_before_the_switch_is_a_gap_of_the_old_timeline() {
    let mut have = switched();
    have.wal[0].to = Lsn(690);
    let refusal = choose(&have, &Target::Latest, true).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Gap { target: "latest".to_owned(), timeline: Timeline(1), from: Lsn(690) }
    );
}

#[test]
fn without_a_backup_nothing_is_chosen() {
    let mut have = cluster();
    have.backups.clear();
    let refusal = choose(&have, &Target::Latest, true).unwrap_err();
    assert_eq!(refusal, Refusal::NoBackup { timeline: Timeline(1) });
}

#[test]
fn latest_without_the_wal_of_the_backup_itself_is_a_gap() {
    let mut have = cluster();
    have.wal = vec![range(1, 100, 520)];
    have.end = None;
    have.backups.retain(|backup| backup.id == id(2));
    let refusal = choose(&have, &Target::Latest, true).unwrap_err();
    assert!(matches!(refusal, Refusal::Gap { from: Lsn(520), .. }), "{refusal:?}");
}

#[test]
fn the_end_of_what_can_be_read_is_not_taken_for_the_end() {
    let mut have = cluster();
    let objects = vec!["wal/x: its frames are damaged".to_owned()];
    let unreadable = Unreadable { from: Lsn(1000), to: Lsn(1010), objects };
    have.unreadable = Some(unreadable.clone());
    let unreadable = Refusal::Unreadable(unreadable);
    assert!(unreadable.to_string().ends_with("up to 0/3F2: wal/x: its frames are damaged"));
    let behind = [Target::Lsn(Lsn(1001)), Target::Time(time(63)), Target::Xid(7)];
    for target in [Target::Latest, Target::Time(time(61))].into_iter().chain(behind) {
        assert_eq!(choose(&have, &target, true).unwrap_err(), unreadable, "{target}");
    }
    assert!(unreadable.hint().contains("--to lsn:0/3E8"), "{}", unreadable.hint());
    // Whoever asks for just that much gets it.
    assert_eq!(chosen(&have, &Target::Lsn(Lsn(1000))), (2, StopAt::EndOfWal, 1000));
    assert_eq!(chosen(&have, &Target::Time(time(40))), (2, StopAt::Time(time(40)), 1000));
}

#[test]
fn where_the_replay_will_stand_is_known_beforehand() {
    let mut have = cluster();
    let check = |have: &Recoverable, target: Target, inclusive, stands: Stands, wal_to: u64| {
        let choice = choose(have, &target, inclusive).unwrap();
        assert_eq!((choice.stands, choice.wal_to), (stands, Lsn(wal_to)), "{target} {inclusive}");
    };
    let name = Target::Name("before".to_owned());
    check(&have, Target::Latest, true, Stands::At(Lsn(1000)), 1000);
    check(&have, Target::Immediate, true, Stands::From(Lsn(550)), 550);
    check(&have, Target::Time(time(40)), true, Stands::From(Lsn(550)), 1000);
    have.located = Some(Located { before: Lsn(695), start: Lsn(700), end: Lsn(740) });
    have.located_at = Some(Located { before: Lsn(600), start: Lsn(600), end: Lsn(640) });
    check(&have, Target::Xid(7), true, Stands::At(Lsn(740)), 740);
    check(&have, Target::Xid(7), false, Stands::At(Lsn(695)), 740);
    check(&have, name, false, Stands::At(Lsn(740)), 740);
    check(&have, Target::Lsn(Lsn(698)), true, Stands::At(Lsn(695)), 740);
    check(&have, Target::Time(time(40)), true, Stands::At(Lsn(695)), 740);
    check(&have, Target::Time(time(40)), false, Stands::At(Lsn(600)), 640);
    have.located = Some(Located { before: Lsn(200), start: Lsn(200), end: Lsn(240) });
    check(&have, Target::Time(time(40)), true, Stands::From(Lsn(550)), 550);
}

#[test]
fn at_the_last_commit_it_matters_whether_it_is_included() {
    let mut have = cluster();
    have.located_at = located(980);
    let target = Target::Time(time(60));
    assert_eq!(choose(&have, &target, true).unwrap().stop_at, StopAt::EndOfWal);
    let before = choose(&have, &target, false).unwrap();
    assert_eq!((before.stop_at, before.stands), (StopAt::Time(time(60)), Stands::At(Lsn(980))));
}

#[test]
fn a_replay_stands_where_it_should_or_not() {
    assert!(Stands::At(Lsn(5)).allows(Lsn(5)) && !Stands::At(Lsn(5)).allows(Lsn(6)));
    assert!(Stands::From(Lsn(5)).allows(Lsn(6)) && !Stands::From(Lsn(5)).allows(Lsn(4)));
    assert_eq!(Stands::At(Lsn(16)).to_string(), "0/10");
    assert_eq!(Stands::From(Lsn(16)).to_string(), "0/10 or later");
}
