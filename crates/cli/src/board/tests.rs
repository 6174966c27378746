use std::time::Duration;

use serde_json::Value as Json;
use soter_plan::check::{Input, load};
use soter_runbook::RunId;
use soter_runbook::driver::{Answer, Asked, Child, Kind, Which};
use soter_runbook::forecast::{History, forecast};
use soter_runbook::journal::FORMAT_VERSION;
use soter_runbook::procedure::compile;
use soter_runbook::state::{Begun, ENGINE, Ended, Entry, Event, MirrorState, Recorded, decide};

use super::lines::{Layout, Lines, show};
use super::page::{day_time, length};
use super::*;

const PLAN: &str = "
services:
  db: { title: The database, rto: 30 min, state: [orders] }
  web: { title: The shop, rto: 40 min, needs: [db] }
stores:
  orders: { kind: postgres }
teams:
  leads: { members: [bea, cleo] }
scenarios:
  lost:
    title: The server is lost
    rto: 45 min
    done_when: three orders went through
    loses: [db]
    parameters:
      token: { from: ask, type: secret }
      host: { from: ask, type: host }
    phases:
      - title: Agree
        budget: 10 min
        steps:
          - { id: agreed, title: The lead agrees, approve: { by: [leads], text: The old server is given up, within: 10 min } }
      - title: Data
        budget: 25 min
        steps:
          - id: held
            title: Nobody writes any more
            run: systemctl stop shop
            obliges: [shop-stopped]
            budget: 1 min
            undo:
              title: The shop may write again
              steps:
                - { id: released, title: Start the shop again, run: systemctl start shop, lifts: [shop-stopped] }
          - id: data
            title: Bring the orders back to the last commit
            run: |
              restore --from vault
              check
            starts: [db]
            on: \"${host}\"
            destructive: yes
            budget: 8 min
            retries: 1
            already_done: { title: the orders are there, run: test -e /srv/orders }
            verify:
              - { title: the newest order is younger than the objective, run: newest-order, expect: \"< 3600\", stable_for: 1 min }
            if_it_fails: Take it from the vault in London.
            instead:
              title: From the vault in London
              steps:
                - { id: key, title: Fetch the key from the safe, manual: Open the safe }
                - { id: london, title: Bring the orders from London, run: restore --from london, starts: [db] }
          - { id: images, title: Bring the pictures back, run: copy images, after: [held], parallel: yes }
      - title: Open
        steps:
          - { id: looked, title: Somebody looks at the shop, manual: Open the shop and order something, owner: bea }
          - { id: opened, title: The shop is open, run: systemctl start shop, starts: [web], lifts: [shop-stopped] }
";

fn id(text: &str) -> StepId {
    StepId::parse(text).unwrap()
}

/// A run whose world does as the test says.
struct Trial {
    state: State,
    now: Moment,
    attended: Attended,
    log: Vec<String>,
}

impl Trial {
    fn new(kind: Kind, mirror: MirrorState) -> Self {
        Self::of(PLAN, (kind, mirror), None)
    }

    fn of(plan: &str, (kind, mirror): (Kind, MirrorState), disaster: Option<&str>) -> Self {
        let inputs = [Input { name: "plan.yaml".to_owned(), bytes: plan.as_bytes().to_vec() }];
        let loaded = load(&inputs);
        assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
        let procedure = compile(&loaded.plan, "lost").unwrap();
        let hidden = Recorded::Fingerprint("5f".repeat(16));
        let begun = Begun {
            journal: FORMAT_VERSION,
            run: RunId::parse("lost-20300102-0304-7q2x").unwrap(),
            kind,
            target: "Workshop".to_owned(),
            requester: "anna".to_owned(),
            disaster: disaster.map(|at| at.parse().unwrap()),
            host: "laptop".to_owned(),
            plan: "0".repeat(64),
            procedure,
            parameters: BTreeMap::from([
                ("token".to_owned(), hidden),
                ("host".to_owned(), Recorded::Value("node-9".to_owned())),
            ]),
            mirror,
        };
        let at = "2030-01-02T03:04:05Z".parse().unwrap();
        let now = Moment { boot: "a".into(), up: Duration::from_secs(1000), at };
        let event = Event::Begun(Box::new(begun));
        let entry = Entry { by: "anna".to_owned(), epoch: 1, at: now.clone(), event };
        let state = State::begin(&entry).unwrap();
        let mut trial = Self { state, now, attended: Attended::Here, log: Vec::new() };
        trial.settle();
        trial
    }

    fn pass(&mut self, seconds: u64) {
        let time = Duration::from_secs(seconds);
        self.now.up += time;
        self.now.at = self.now.at.checked_add(time).unwrap();
    }

    fn say(&mut self, by: &str, event: Event) {
        let epoch = self.state.epoch + u32::from(matches!(event, Event::Engine { .. }));
        let entry = Entry { by: by.to_owned(), epoch, at: self.now.clone(), event };
        self.state.next(&entry).unwrap();
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let decision = decide(&self.state, &self.now);
            if decision.events.is_empty() {
                return;
            }
            for event in decision.events {
                let epoch = self.state.epoch;
                let entry = Entry { by: ENGINE.to_owned(), epoch, at: self.now.clone(), event };
                self.state.next(&entry).unwrap();
            }
        }
    }

    fn end(&mut self, step: &str, outcome: Ended) {
        let attempt = self.state.step(&id(step)).unwrap().attempt;
        let (step, outputs, captured) = (id(step), BTreeMap::new(), Vec::new());
        self.say(ENGINE, Event::StepEnded { step, attempt, outcome, outputs, captured });
    }

    fn answer(&mut self, step: &str, which: Which, answer: Answer, evidence: &str) {
        let about = Asked::Step { step: id(step), which };
        self.say(ENGINE, Event::Probe { about, answer, evidence: evidence.to_owned() });
    }

    /// To where the data is being restored.
    fn restoring(&mut self) {
        self.pass(90);
        self.say(
            "bea",
            Event::Approved { step: id("agreed"), how: "code".to_owned(), signed: None },
        );
        self.pass(20);
        self.end("held", Ended::Done);
        self.answer("data", Which::AlreadyDone, Answer::No, "no such directory");
        let child = Child { pid: 4711, start_ticks: 99 };
        self.say(ENGINE, Event::ChildStarted { step: id("data"), attempt: 1, child });
        self.log = vec!["fetched 3.1 GiB of 9.0 GiB".to_owned(), "42 files".to_owned()];
    }

    fn restored(&mut self) {
        self.pass(300);
        self.end("images", Ended::Done);
        self.pass(60);
        self.end("data", Ended::Done);
        self.pass(61);
        self.answer("data", Which::Verify(0), Answer::Yes, "41");
    }

    fn board(&self) -> Board {
        let forecast = forecast(&self.state, &self.now, &History::of("lost"));
        let tail = |_: &StepId, _: u32| self.log.clone();
        Board::of(&Seen {
            state: &self.state,
            now: &self.now,
            forecast: &forecast,
            attended: self.attended,
            tail: &tail,
            options: "",
            copy: None,
        })
    }
}

/// Two engines went on after the first, and the disaster was known.
fn taken_over() -> Trial {
    let since = Some("2030-01-02T02:44:00Z");
    let mut taken = Trial::of(PLAN, (Kind::Drill, MirrorState::Following), since);
    taken.restoring();
    taken.pass(150);
    taken.say(ENGINE, Event::Engine { host: "laptop".to_owned(), took_over: false });
    taken.pass(10);
    taken.say(ENGINE, Event::Engine { host: "other".to_owned(), took_over: true });
    taken.say(ENGINE, Event::Adopted { step: id("data"), attempt: 1 });
    taken
}

/// What somebody may see at night, by name.
pub(super) fn situations() -> Vec<(&'static str, Board)> {
    let drill = || Trial::new(Kind::Drill, MirrorState::Following);
    let restoring = || {
        let mut trial = drill();
        trial.restoring();
        trial.pass(150);
        trial
    };
    let mut all = Vec::new();
    let mut approval = Trial::new(Kind::Real, MirrorState::Following);
    approval.pass(90);
    all.push(("approval", approval.board()));
    all.push(("running", restoring().board()));
    let mut local = Trial::new(Kind::Real, MirrorState::Local);
    local.restoring();
    local.attended = Attended::Nobody;
    local.pass(4000);
    all.push(("local_and_nobody", local.board()));
    let mut late = restoring();
    late.pass(1500);
    all.push(("late", late.board()));
    let mut doubt = restoring();
    doubt.say(ENGINE, Event::Engine { host: "other".to_owned(), took_over: false });
    let (step, why) = (id("data"), "its process is gone".to_owned());
    doubt.say(ENGINE, Event::Interrupted { step, attempt: 1, began: true, why });
    doubt.answer("data", Which::AlreadyDone, Answer::Unknown, "ssh: connection refused");
    doubt.log.push("\u{1b}[2Jsh: killed\u{7}\u{202e}".to_owned());
    all.push(("doubt", doubt.board()));
    all.push(("taken_over", taken_over().board()));
    let mut paused = restoring();
    for attempt in 1..=2 {
        paused.end("data", Ended::Failed(format!("exit {attempt}: the vault does not answer")));
        if attempt == 1 {
            paused.pass(3);
            paused.settle();
            paused.answer("data", Which::AlreadyDone, Answer::No, "");
        }
    }
    paused.say(ENGINE, Event::Mirror { now: MirrorState::Lost, why: "timeout".to_owned() });
    paused.pass(30);
    all.push(("paused", paused.board()));
    let why = "the vault does not answer".to_owned();
    paused.say("anna", Event::Branched { step: id("data"), why });
    paused.pass(45);
    let (step, why) = (id("key"), "done".to_owned());
    paused.say("bea", Event::Answered { step, values: BTreeMap::new(), why });
    paused.pass(15);
    all.push(("branched", paused.board()));
    all.extend(undone(restoring()));
    let mut by_hand = restoring();
    by_hand.restored();
    by_hand.pass(12);
    all.push(("by_hand", by_hand.board()));
    let mut closed = restoring();
    closed.restored();
    closed.pass(60);
    let (step, why) = (id("looked"), "it works".to_owned());
    closed.say("bea", Event::Answered { step, values: BTreeMap::new(), why });
    closed.pass(5);
    closed.end("opened", Ended::Done);
    closed.pass(500);
    all.push(("closed", closed.board()));
    let mut aborted = restoring();
    aborted.say("anna", Event::Aborted { why: "the old server is back".to_owned() });
    aborted.end("data", Ended::Failed("ended by signal 15".to_owned()));
    aborted.end("images", Ended::Failed("ended by signal 15".to_owned()));
    all.push(("aborted", aborted.board()));
    all
}

/// What failed stands on something that is then undone.
fn undone(mut undone: Trial) -> [(&'static str, Board); 2] {
    for (step, attempt) in [("data", 1), ("data", 2), ("images", 1)] {
        undone.end(step, Ended::Failed(format!("exit {attempt}: the vault does not answer")));
        undone.pass(3);
        undone.settle();
        if (step, attempt) == ("data", 1) {
            undone.answer("data", Which::AlreadyDone, Answer::No, "");
        }
    }
    let why = "we stay on the old server".to_owned();
    undone.say("anna", Event::Compensating { step: id("held"), why });
    undone.pass(20);
    let undoing = ("undoing", undone.board());
    undone.end("released", Ended::Done);
    undone.pass(5);
    [undoing, ("undone", undone.board())]
}

const SERIAL: Layout = Layout { columns: 80, colour: false };

#[test]
fn a_run_reads_well_in_lines() {
    for (name, board) in situations() {
        let text = show(&board, Extent::All, SERIAL);
        let long: Vec<&str> = text
            .lines()
            .filter(|line| line.chars().count() > 80 && !line.trim_start().starts_with("soter "))
            .collect();
        assert_eq!(long, Vec::<&str>::new(), "{name}");
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn a_board_is_json_that_stays_as_it_is() {
    let (_, board) = situations().swap_remove(1);
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&board).unwrap());
}

/// Texts without what lays them out.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace() && !"│┃".contains(*letter)).collect()
}

/// Every fact of a board, as it has to be read somewhere on a screen.
pub(super) fn facts(board: &Board) -> Vec<String> {
    let mut found = Vec::new();
    gather("", &serde_json::to_value(board).unwrap(), &mut found);
    assert!(found.len() > 60, "{found:?}");
    found
}

fn gather(key: &str, value: &Json, found: &mut Vec<String>) {
    // What words say as well, with the same meaning.
    const SAID_IN_WORDS: [&str; 9] =
        ["is", "needs", "verdict", "which", "answer", "phase", "attempts_max", "in_ms", "text"];
    match value {
        Json::Object(fields) => fields.iter().for_each(|(key, value)| gather(key, value, found)),
        Json::Array(values) => values.iter().for_each(|value| gather(key, value, found)),
        _ if SAID_IN_WORDS.contains(&key) => {}
        Json::Number(number) if key.ends_with("_ms") => {
            found.push(length(number.as_u64().unwrap()));
        }
        Json::Number(number) => found.push(number.to_string()),
        Json::String(text) => match text.parse::<Timestamp>() {
            // The day stands once, in the head.
            Ok(at) => found.push(day_time(at).split_off(11)),
            Err(_) => found.push(text.clone()),
        },
        Json::Bool(_) | Json::Null => {}
    }
}

#[test]
fn every_fact_is_in_the_lines() {
    for (name, board) in situations() {
        let text = plain(&show(&board, Extent::All, SERIAL));
        for fact in facts(&board) {
            assert!(text.contains(&plain(&fact)), "{name}: {fact:?} is nowhere");
        }
    }
}

#[test]
fn who_approves_reads_all_of_it_with_the_values_that_count() {
    let long = "and the disks, ".repeat(40);
    let text = format!(
        "|\n                  Wipe ${{host}} with ${{token}},\n                  {long}now?"
    );
    let plan = PLAN
        .replace("text: The old server is given up, within: 10 min }", "")
        .replace(
            "approve: { by: [leads],  }",
            &format!("approve:\n                by: [leads]\n                text: {text}\n"),
        )
        .replace(
            "          - { id: agreed, title: The lead agrees, ",
            "          - id: agreed\n            title: The lead agrees for ${host}\n            ",
        );
    let board = Trial::of(&plan, (Kind::Real, MirrorState::Following), None).board();
    let decision = &board.decisions[0];
    assert_eq!(decision.title, "approve `agreed`: The lead agrees for node-9");
    assert_eq!(decision.text, format!("Wipe node-9 with ****,\n{long}now?"));
    let shown = plain(&show(&board, Extent::Now, SERIAL));
    assert!(shown.contains(&plain(&format!("Wipe node-9 with ****, {long}now?"))), "{shown}");
}

#[test]
fn each_change_is_a_line_and_everything_comes_again() {
    let mut trial = Trial::new(Kind::Drill, MirrorState::Following);
    let mut lines = Lines::new(SERIAL);
    let mut log = lines.update(trial.board());
    trial.restoring();
    log.extend(lines.update(trial.board()));
    assert_eq!(lines.update(trial.board()), Vec::<String>::new(), "nothing has changed");
    trial.pass(31);
    log.extend(lines.update(trial.board()));
    trial.pass(300);
    log.extend(lines.update(trial.board()));
    trial.end("images", Ended::Failed("exit 1".to_owned()));
    log.extend(lines.update(trial.board()));
    trial.say(ENGINE, Event::Engine { host: "other".to_owned(), took_over: true });
    log.extend(lines.update(trial.board()));
    trial.say(ENGINE, Event::Adopted { step: id("data"), attempt: 1 });
    log.extend(lines.update(trial.board()));
    trial.say("anna", Event::Skipped { step: id("images"), why: "nobody misses it".to_owned() });
    log.extend(lines.update(trial.board()));
    insta::assert_snapshot!("log", log.join("\n"));
    assert!(log.iter().all(|line| line.chars().count() <= 80 || line.contains("soter run ")));
}

#[test]
fn what_a_program_writes_moves_no_cursor() {
    let clean = |text: &str| make::clean(text);
    assert_eq!(clean("\u{1b}[31mred\u{1b}[0m and \u{1b}]0;title\u{7}plain"), "red and plain");
    assert_eq!(clean("a\tb\rc\u{8}\u{202e}d"), "a bcd");
    assert_eq!(clean("one\ntwo\n"), "one two");
    assert_eq!(clean("\u{1b}[2J\u{1b}[H"), "");
    assert_eq!(clean("\u{1b}"), "");
    assert_eq!(clean("\u{1b}["), "");
    assert_eq!(clean(&"x".repeat(401)), format!("{}…", "x".repeat(400)));
}

/// What stands on a screen to be typed is what the program takes.
#[test]
fn what_is_to_be_typed_can_be_typed() {
    use clap::Parser;
    let mut lines: Vec<String> = situations()
        .into_iter()
        .flat_map(|(_, board)| board.decisions)
        .flat_map(|decision| decision.commands)
        .map(|command| command.line)
        .collect();
    let run = RunId::parse("lost-20300102-0304-7q2x").unwrap();
    let commands = commands::Commands { run: &run, options: "--state /srv/x" };
    lines.extend(commands::every(&commands).into_iter().map(|command| command.line));
    lines.sort();
    lines.dedup();
    assert!(lines.len() > 20, "{lines:?}");
    for line in lines {
        let words: Vec<String> = words(&line);
        let parsed = crate::commands::Arguments::try_parse_from(&words);
        assert!(parsed.is_ok(), "{line}: {}", parsed.err().unwrap());
    }
}

/// As a shell would take them apart, as far as it is used here.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let mut words = Vec::new();
    for (at, part) in parts {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
