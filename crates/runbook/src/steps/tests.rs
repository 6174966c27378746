//! Steps and questions on real processes.

mod harm;
mod led;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use soter_plan::target::Target;
use soter_world::sim::SeededRandom;
use soter_world::{Clock, Disk, OsDisk, Secret, Stop, SystemClock, durable, exec};

use super::http::tests::{Server, answer};
use super::*;
use crate::child::{Children, tests as child_tests};
use crate::driver::{
    Adopted, Answer, Asked, Asking, Attempt, Completion, Effects, Kind, Outcome, Reply,
};
use crate::ids::{RunId, StepId};
use crate::procedure::{self, Given, Http, Notify, Parameters, Probe, Question, Step};
use crate::target::Bindings;

const SECRET: &str = "hunter2-and-more";

/// A test waits that long only when it fails.
const LONG: Duration = Duration::from_secs(60);

/// A run in a directory of its own.
struct Desk {
    directory: tempfile::TempDir,
    target: String,
    actions: Vec<Arc<dyn Action>>,
}

impl Desk {
    /// Where `api.test` is that server.
    fn asking(server: &Server) -> Self {
        Self::new(&format!(
            "endpoints: {{ \"https://api.test\": \"http://{}\" }}\n",
            server.address
        ))
    }

    fn new(target: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let target = format!("name: lab\nkind: drill\n{target}");
        Self { directory, target, actions: Vec::new() }
    }

    fn tools(&self) -> Tools {
        let target = Target::read("lab.yaml", self.target.as_bytes()).unwrap();
        let missing = |reference: &_| Err(format!("{reference:?}"));
        let bindings = Bindings::of(&target, self.directory.path(), missing).unwrap();
        let environment = std::env::vars();
        let place = Place::new(self.directory.path().to_owned(), bindings, environment);
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Tools {
            children: Children::new(
                Arc::clone(&disk),
                Arc::clone(&clock),
                child_tests::launcher(),
                child_tests::BOOT.to_owned(),
            ),
            clock,
            random: Arc::new(SeededRandom::new(1)),
            place: Arc::new(place),
            requests: Arc::new(Requests::new(disk, None)),
            credential: Arc::new(|name| match name {
                "api" => Ok(Secret::new(SECRET.to_owned())),
                other => Err(format!("there is no credential `{other}`")),
            }),
            actions: self.actions.clone(),
        }
    }

    fn effects(&self) -> RealEffects {
        RealEffects::new(self.tools())
    }

    fn run(&self, attempt: &Attempt) -> Outcome {
        let effects = self.effects();
        effects.start(attempt.clone());
        end(&effects)
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }
}

fn parameters() -> Arc<Parameters> {
    let mut parameters = Parameters::default();
    parameters.insert("moment", Given::Plain("12:30 'quoted'".to_owned()));
    parameters.insert("token", Given::Hidden(Secret::new(SECRET.to_owned())));
    Arc::new(parameters)
}

fn attempt(action: procedure::Action, change: impl FnOnce(&mut Step)) -> Attempt {
    let mut step = Step::plain(StepId::parse("promote").unwrap(), action);
    change(&mut step);
    Attempt {
        run: RunId::parse("loss-20300102-0304-abcd").unwrap(),
        kind: Kind::Drill,
        step: Arc::new(step),
        number: 1,
        parameters: parameters(),
    }
}

fn script(text: &str, change: impl FnOnce(&mut Step)) -> Attempt {
    attempt(procedure::Action::Run(text.to_owned()), change)
}

fn next(effects: &RealEffects) -> Completion {
    effects.next(LONG).expect("something happens")
}

fn end(effects: &RealEffects) -> Outcome {
    loop {
        if let Completion::Ended { outcome, .. } = next(effects) {
            return outcome;
        }
    }
}

fn done(outputs: &[(&str, &str)]) -> Outcome {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Outcome::Done { outputs: outputs.iter().map(own).collect(), captured: Vec::new() }
}

fn failed(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

fn unknown(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unknown(why) => why,
        other => panic!("{other:?}"),
    }
}

fn asking(question: Question, change: impl FnOnce(&mut Asking, &mut Probe)) -> Asking {
    let mut probe = Probe {
        title: "Is it?".to_owned(),
        question,
        expect: None,
        stable_for: None,
        within: None,
    };
    let mut asking = Asking {
        run: RunId::parse("loss-20300102-0304-abcd").unwrap(),
        kind: Kind::Drill,
        about: Asked::Phase(0),
        token: 7,
        probe: Arc::new(probe.clone()),
        on: None,
        parameters: parameters(),
        limit: LONG,
    };
    change(&mut asking, &mut probe);
    asking.probe = Arc::new(probe);
    asking
}

fn ask(effects: &RealEffects, asking: Asking) -> Reply {
    effects.probe(asking);
    match next(effects) {
        Completion::Answered { token: 7, reply, .. } => reply,
        other => panic!("{other:?}"),
    }
}

const ENVIRONMENT: &str = "environment: { CLUSTER: blue }\npath: [bin]\n";

#[test]
fn a_script_is_told_its_parameters_and_gives_values() {
    let desk = Desk::new(ENVIRONMENT);
    let text = "echo \"$SOTER_RUN $SOTER_STEP $SOTER_KIND $CLUSTER ${moment} $PWD\"
echo \"$token\"; case $PATH in */bin:*) ;; *) exit 9;; esac
echo \"position=0/3000060\" >> \"$SOTER_OUTPUT\"; echo other=1 >> \"$SOTER_OUTPUT\"
env | cut -d= -f1 | sort > names";
    let attempt = script(text, |step| step.gives = vec!["position".to_owned()]);
    let effects = desk.effects();
    effects.start(attempt.clone());
    assert!(matches!(next(&effects), Completion::Begun { child, .. } if child.pid > 1));
    assert_eq!(end(&effects), done(&[("position", "0/3000060")]));
    let work = desk.file("work");
    let expected = format!(
        "loss-20300102-0304-abcd promote DRILL blue 12:30 'quoted' {}\n****\n",
        work.display()
    );
    let tail = effects.tail(&attempt, 1 << 10);
    assert!(tail.ends_with(&expected), "{tail}");
    let names = fs::read_to_string(work.join("names")).unwrap();
    let ours: Vec<&str> = names.lines().filter(|name| name.starts_with("CARGO")).collect();
    assert!(ours.is_empty(), "not a clean environment: {names}");
    for entry in fs::read_dir(desk.file("children/promote.1")).unwrap() {
        let path = entry.unwrap().path();
        let holds = fs::read_to_string(&path).unwrap().contains(SECRET);
        assert!(!holds || path.ends_with("output"), "{} holds a secret", path.display());
    }
}

#[test]
fn a_script_that_fails_says_its_last_words_without_secrets() {
    let desk = Desk::new("");
    let why = failed(desk.run(&script("echo before\necho \"key $token\" >&2; exit 3", |_| {})));
    assert!(why.starts_with("ended with exit code 3: "), "{why}");
    assert!(why.ends_with("before\nkey ****"), "{why}");
    let why = failed(Desk::new("").run(&script("false | true; echo no", |_| {})));
    assert!(!why.contains("no"), "strict mode: {why}");
    let attempt = script("true", |step| step.gives = vec!["a".to_owned(), "b".to_owned()]);
    let why = failed(Desk::new("").run(&attempt));
    assert!(why.contains("did not give a, b"), "{why}");
}

#[test]
fn a_script_on_a_bound_host_is_the_same_script() {
    let desk = Desk::new("environment: { CLUSTER: blue }\nhosts: { node-1: [env, NODE=one] }\n");
    let text = "echo \"$NODE $CLUSTER $moment $SOTER_STEP\"; echo \"$token\" >&2
echo \"position=7\" >> \"$SOTER_OUTPUT\"; test \"$moment\" = \"12:30 'quoted'\"";
    let attempt = script(text, |step| {
        step.on = Some("node-1".to_owned());
        step.gives = vec!["position".to_owned()];
    });
    let effects = desk.effects();
    effects.start(attempt.clone());
    assert_eq!(end(&effects), done(&[("position", "7")]));
    let tail = effects.tail(&attempt, 1 << 10);
    assert!(tail.contains("one blue 12:30 'quoted' promote\n") && tail.contains("****"), "{tail}");
    assert!(!tail.contains("::soter") && !tail.contains("position"), "{tail}");
    let spec = fs::read_to_string(desk.file("children/promote.1/spec.json")).unwrap();
    assert!(!spec.contains(SECRET), "{spec}");

    let why = failed(desk.run(&Attempt {
        number: 2,
        ..script("echo words; exit 4", |step| step.on = Some("node-1".to_owned()))
    }));
    assert_eq!(why.lines().last(), Some("words"), "{why}");
    assert!(why.starts_with("ended with exit code 4"), "{why}");
}

/// Stands for ssh: takes its options, and has a shell of its own run the command, as a login does.
const SSH: &str = "#!/bin/sh
while [ \"$1\" != -- ]; do shift; done
echo \"$2\" > \"$0.host\"
echo 'Warning: a new key' >&2
exec env -i PATH=/usr/bin:/bin sh -c \"$3\"
";

#[test]
fn a_host_that_is_not_bound_is_reached_by_ssh() {
    let desk = Desk::new("path: [bin]\n");
    fs::create_dir(desk.file("bin")).unwrap();
    let text = desk.file("ssh.sh");
    durable::write_durable(&OsDisk, &text, SSH.as_bytes()).unwrap();
    // Written by another process: one that is forked here meanwhile could hold it open.
    let install = exec::Command::new("install").args(["-m", "755"]).arg(text);
    install.arg(desk.file("bin/ssh")).run(LONG).unwrap().checked().unwrap();
    let text = "echo \"$moment $SOTER_KIND\"; echo \"position=$token\" >> \"$SOTER_OUTPUT\"";
    let attempt = script(text, |step| {
        step.on = Some("10.0.0.7".to_owned());
        step.gives = vec!["position".to_owned()];
    });
    let effects = desk.effects();
    effects.start(attempt.clone());
    assert_eq!(end(&effects), done(&[("position", SECRET)]));
    let tail = effects.tail(&attempt, 1 << 10);
    assert!(tail.ends_with("Warning: a new key\n12:30 'quoted' DRILL\n"), "{tail}");
    assert_eq!(fs::read_to_string(desk.file("bin/ssh.host")).unwrap(), "10.0.0.7\n");
}

#[test]
fn a_way_that_breaks_leaves_unknown_and_one_that_never_was_does_not() {
    let desk = Desk::new("hosts: { breaks: [timeout, -s, KILL, \"1\"], refuses: [\"false\"] }\n");
    let on = |host: &str, number| Attempt {
        number,
        ..script("echo begun; sleep 1000", |step| step.on = Some(host.to_owned()))
    };
    let why = unknown(desk.run(&on("breaks", 1)));
    assert!(why.contains("no word of its end has come: ") && why.ends_with("begun"), "{why}");
    let why = failed(desk.run(&on("refuses", 2)));
    assert!(why.contains("was not begun on the other machine"), "{why}");
    let why = failed(desk.run(&on("-oProxyCommand=evil", 3)));
    assert!(why.contains("no name of a machine"), "{why}");
    let why = failed(desk.run(&on("${nobody}", 4)));
    assert!(why.contains("`${nobody}` has no value"), "{why}");
}

#[test]
fn the_next_engine_adopts_what_lives_and_reads_what_ended() {
    let desk = Desk::new("");
    let go = desk.file("go");
    let text = format!(
        "echo here; until [ -e {} ]; do sleep 0.01; done; echo a=1 >> \"$SOTER_OUTPUT\"",
        go.display()
    );
    let attempt = script(&text, |step| step.gives = vec!["a".to_owned()]);
    let first = desk.effects();
    first.start(attempt.clone());
    assert!(matches!(next(&first), Completion::Begun { .. }));
    drop(first);

    let second = desk.effects();
    assert_eq!(second.adopt(attempt.clone()), Adopted::Live);
    fs::File::create(go).unwrap();
    assert_eq!(end(&second), done(&[("a", "1")]));
    for _ in 0..2 {
        assert_eq!(desk.effects().adopt(attempt.clone()), Adopted::Ended(done(&[("a", "1")])));
    }
    let other = Attempt { number: 2, ..attempt };
    assert_eq!(second.adopt(other.clone()), Adopted::NeverBegan);
    let why = failed(desk.run(&other));
    assert!(why.contains("it was decided before"), "{why}");
}

#[test]
fn an_attempt_that_is_cancelled_ends_by_the_signal() {
    let desk = Desk::new("");
    let effects = desk.effects();
    let attempt = script("sleep 1000", |_| {});
    effects.start(attempt.clone());
    assert!(matches!(next(&effects), Completion::Begun { .. }));
    effects.cancel(&attempt.step.id, 1);
    let why = failed(end(&effects));
    assert!(why.starts_with("ended with signal 15"), "{why}");
    effects.cancel(&attempt.step.id, 1);
}

#[test]
fn a_script_of_any_length_runs() {
    let desk = Desk::new("hosts: { there: [env] }\n");
    let long = format!(": '{}'\necho end", "x".repeat(300_000));
    assert_eq!(desk.run(&script(&long, |_| {})), done(&[]));
    let there = script(&long, |step| step.on = Some("there".to_owned()));
    assert_eq!(desk.run(&Attempt { number: 2, ..there }), done(&[]));
}

#[test]
fn exit_codes_and_outputs_of_questions_are_answers() {
    let desk = Desk::new("hosts: { there: [env], breaks: [\"false\"] }\n");
    let effects = desk.effects();
    let check = |text: &str, expect: Option<&str>, answer: Answer| {
        for on in [None, Some("there".to_owned())] {
            let reply = ask(
                &effects,
                asking(Question::Run(text.to_owned()), |asking, probe| {
                    probe.expect = expect.map(str::to_owned);
                    asking.on.clone_from(&on);
                }),
            );
            assert_eq!(reply.answer, answer, "{text} on {on:?}: {}", reply.evidence);
        }
    };
    check("true", None, Answer::Yes);
    check("false", None, Answer::No);
    check("exit 2", None, Answer::Unknown);
    check("nobody_has_this_program", None, Answer::Unknown);
    check("kill -9 $$", None, Answer::Unknown);
    check("echo 5", Some("> 3"), Answer::Yes);
    check("echo 5; exit 1", Some("< 3"), Answer::No);
    check("echo 5; exit 2", Some("> 3"), Answer::Unknown);
    check("echo \"$moment\"", Some("= ${moment}"), Answer::Yes);
    check("echo x", Some("= ${nobody}"), Answer::Unknown);
    let broken = asking(Question::Run("true".to_owned()), |asking, _| {
        asking.on = Some("breaks".to_owned());
    });
    assert_eq!(ask(&effects, broken).answer, Answer::Unknown);
}

#[test]
fn a_question_ends_in_its_time_and_its_evidence_is_short_and_clean() {
    let effects = Desk::new("").effects();
    let slow = asking(Question::Run("echo \"$token\" >&2; sleep 1000".to_owned()), |asking, _| {
        asking.limit = Duration::from_secs(1);
    });
    let reply = ask(&effects, slow);
    assert_eq!(reply.answer, Answer::Unknown);
    assert_eq!(reply.evidence, "no answer within 1s\n****");
    let text = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo \"end $token\"";
    let reply = ask(&effects, asking(Question::Run(text.to_owned()), |_, _| {}));
    assert!(reply.evidence.len() <= 2 << 10 && reply.evidence.ends_with("end ****"));
    for question in [
        Question::Person("Look".to_owned()),
        Question::Sql(procedure::Sql {
            store: None,
            database: None,
            query: "SELECT 1".to_owned(),
            expect: None,
        }),
    ] {
        assert_eq!(ask(&effects, asking(question, |_, _| {})).answer, Answer::Unknown);
    }
}

fn http(method: &str, body: Option<&str>) -> Http {
    Http {
        method: method.to_owned(),
        url: "https://api.test/v1?key=${token}".to_owned(),
        status: None,
        body: body.map(str::to_owned),
        with: Some("api".to_owned()),
    }
}

#[test]
fn a_request_is_done_failed_or_unknown() {
    let answers = [answer("204 No", ""), answer("500 Oops", SECRET), String::new()];
    let server = Server::answering(&answers.each_ref().map(String::as_str));
    let desk = Desk::asking(&server);
    let post = |number| Attempt {
        number,
        ..attempt(procedure::Action::Http(http("POST", Some("{\"at\":\"${moment}\"}"))), |_| {})
    };
    assert_eq!(desk.run(&post(1)), done(&[]));
    let why = failed(desk.run(&post(2)));
    assert!(why.ends_with("/v1 answered 500, not 200 to 299: ****"), "{why}");
    let why = unknown(desk.run(&post(3)));
    assert!(why.contains("whether it was carried out is unknown"), "{why}");
    let asked = server.asked();
    let expected = format!("POST /v1?key={SECRET} HTTP/1.1");
    assert!(asked.iter().all(|request| request.starts_with(&expected)), "{asked:?}");
    assert!(asked[0].ends_with("{\"at\":\"12:30 'quoted'\"}"), "{asked:?}");
    assert!(asked[0].contains(&format!("Bearer {SECRET}")), "{asked:?}");
    let why = failed(desk.run(&post(4)));
    assert!(why.contains("was not sent"), "{why}");
    // An engine that comes later is told the same.
    for number in 1..=4 {
        let Adopted::Ended(outcome) = desk.effects().adopt(post(number)) else { panic!() };
        assert_eq!(outcome == done(&[]), number == 1);
        assert_eq!(matches!(outcome, Outcome::Unknown(_)), number == 3, "{number}: {outcome:?}");
    }
    let mut unknown_credential = http("GET", None);
    unknown_credential.with = Some("nobody".to_owned());
    let attempt = attempt(procedure::Action::Http(unknown_credential), |_| {});
    assert!(failed(desk.run(&Attempt { number: 5, ..attempt })).contains("no credential"));
}

#[test]
fn a_request_answers_a_question() {
    let answers = [
        answer("200 OK", "17"),
        answer("200 OK", "17"),
        answer("503 No", ""),
        answer("503 No", ""),
    ];
    let server = Server::answering(&answers.each_ref().map(String::as_str));
    let desk = Desk::asking(&server);
    let effects = desk.effects();
    let check = |expect: Option<&str>, answer: Answer| {
        let question = asking(Question::Http(http("GET", None)), |_, probe| {
            probe.expect = expect.map(str::to_owned);
        });
        let reply = ask(&effects, question);
        assert_eq!(reply.answer, answer, "{}", reply.evidence);
        assert!(!reply.evidence.contains(SECRET), "{}", reply.evidence);
    };
    check(None, Answer::Yes);
    check(Some("< 10"), Answer::No);
    check(None, Answer::No);
    check(Some("< 10"), Answer::Unknown);
    server.asked();
    check(None, Answer::Unknown);
}

#[test]
fn a_message_gets_through_all_its_channels_or_says_which_not() {
    let server = Server::answering(&[&answer("200 OK", "ok"), &answer("404 Gone", "")]);
    let desk = Desk::new(&format!(
        "channels:\n  pager: {{ command: [sh, -c, 'cat >> \"$HOME_OF_TEST\"'] }}\n  \
         paper: {{ command: [tee, -a, {}] }}\n  chat: {{ webhook: \"http://{}/hook\" }}\n",
        "PAPER", server.address
    ));
    let paper = desk.file("paper");
    let desk = Desk { target: desk.target.replace("PAPER", &paper.display().to_string()), ..desk };
    let notify = |by: &[&str], number| {
        let message = Notify {
            by: by.iter().map(|name| (*name).to_owned()).collect(),
            to: vec!["on-call".to_owned()],
            text: "Begins at ${moment}, key ${token}".to_owned(),
        };
        Attempt { number, ..attempt(procedure::Action::Notify(message), |_| {}) }
    };
    assert_eq!(desk.run(&notify(&["paper", "chat"], 1)), done(&[]));
    let said = fs::read_to_string(&paper).unwrap();
    assert_eq!(said, "[DRILL] loss-20300102-0304-abcd\nBegins at 12:30 'quoted', key ****\n");
    let why = failed(desk.run(&notify(&["chat", "pager"], 2)));
    assert!(why.contains("`chat`: answered 404") && why.contains("`pager`: "), "{why}");
    let asked = server.asked();
    assert!(asked[0].contains("\"text\":\"[DRILL] loss-") && asked[0].contains("(on-call)"));
    assert!(failed(desk.run(&notify(&["telegraph"], 3))).contains("nobody knows how"));
    assert!(failed(desk.run(&notify(&[], 4))).contains("names no channel"));
}

/// Work of another crate, that keeps evidence and can be told to stop.
struct Theirs;

impl Action for Theirs {
    fn work(&self, attempt: &Attempt, _: &Place) -> Option<Result<Work, String>> {
        match &attempt.step.action {
            procedure::Action::Resume(_) => Some(Ok(Work::Here(Box::new(|stop| {
                let stopped = stop.wait(LONG);
                Outcome::Failed(format!("stopped: {stopped}"))
            })))),
            procedure::Action::Capture => Some(Ok(Work::Here(Box::new(|_| Outcome::Done {
                outputs: BTreeMap::new(),
                captured: Vec::new(),
            })))),
            _ => None,
        }
    }

    fn answer(&self, asking: &Asking, _: &Place) -> Option<Reply> {
        let is_sql = matches!(asking.probe.question, Question::Sql(_));
        is_sql.then(|| Reply { answer: Answer::Yes, evidence: "1".to_owned() })
    }

    fn capture(
        &self,
        attempt: &Attempt,
        _: &Place,
    ) -> Option<Result<Vec<crate::driver::Captured>, String>> {
        Some(Err(format!("{} is not there", attempt.step.capture[0])))
    }
}

#[test]
fn other_crates_add_steps_questions_and_evidence() {
    let mut desk = Desk::new("");
    let resume = attempt(procedure::Action::Resume(Vec::new()), |_| {});
    assert!(
        failed(desk.run(&resume)).contains("nothing here carries out a step of the kind `resume`")
    );
    desk.actions = vec![Arc::new(Theirs)];
    let resume = Attempt { number: 2, ..resume };
    let effects = desk.effects();
    effects.start(resume.clone());
    // It has begun when the next engine would find it so.
    while !desk.file("children/promote.2/pid").exists() {
        std::thread::yield_now();
    }
    effects.cancel(&resume.step.id, 2);
    assert_eq!(failed(end(&effects)), "stopped: true");
    let capture = attempt(procedure::Action::Capture, |step| step.capture = vec!["/a".to_owned()]);
    let why = failed(desk.run(&Attempt { number: 3, ..capture }));
    assert_eq!(why, "cannot keep the evidence: /a is not there");
    let kept = script("true", |step| step.capture = vec!["/a".to_owned()]);
    let unkept = Desk::new("").run(&kept);
    assert_eq!(failed(unkept), "nothing here keeps evidence");
}

#[test]
fn kubernetes_is_reached_as_scripts_reach_it() {
    let place = |target: &str, environment: &[(&str, &str)]| {
        let target = format!("name: lab\nkind: drill\n{target}");
        let target = Target::read("lab.yaml", target.as_bytes()).unwrap();
        let bindings = Bindings::of(&target, "/labs".as_ref(), |_| Err(String::new())).unwrap();
        let environment = environment.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        Place::new("/run".into(), bindings, environment)
    };
    let check = |place: &Place, expect: &[&str], of_scripts: Option<&str>| {
        let files: Vec<_> = expect.iter().map(std::path::PathBuf::from).collect();
        assert_eq!(place.kubeconfigs(), files);
        let found = place.handed_on().get("KUBECONFIG").map(String::as_str);
        assert_eq!(found, of_scripts);
    };
    let home = ("HOME", "/home/x");
    check(&place("", &[home]), &["/home/x/.kube/config"], None);
    check(&place("", &[home, ("KUBECONFIG", "")]), &["/home/x/.kube/config"], Some(""));
    check(&place("", &[home, ("KUBECONFIG", "/a:/b")]), &["/a", "/b"], Some("/a:/b"));
    let bound = place("kubeconfig: k\ncontext: c\n", &[home, ("KUBECONFIG", "/a")]);
    check(&bound, &["/labs/k"], Some("/labs/k"));
    assert_eq!(bound.bindings.context.as_deref(), Some("c"));
    let named = place("environment: { KUBECONFIG: /e }\n", &[home, ("KUBECONFIG", "/a")]);
    check(&named, &["/e"], Some("/a"));
}

#[test]
fn machines_are_asked_what_they_have_the_way_steps_go() {
    use crate::preflight::{Reach, Surroundings};
    let desk = Desk::new("path: [bin]\nhosts: { there: [env], gone: [\"false\"] }\n");
    fs::create_dir(desk.file("bin")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", desk.file("bin/of-the-target")).unwrap();
    let tools = desk.tools();
    let reach = Reach { tools: &tools, run: RunId::parse("loss").unwrap() };
    let names = ["bash", "of-the-target", "nobody-has-this", "/bin/sh", "/nowhere/sh", "-x"];
    let names = names.map(str::to_owned).into();
    for host in [None, Some("there")] {
        let missing = reach.missing_programs(host, &names).unwrap();
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        assert_eq!(missing, ["-x", "/nowhere/sh", "nobody-has-this"], "{host:?}");
    }
    assert!(reach.missing_programs(Some("gone"), &names).is_err());
    assert!(reach.credential("api").is_ok() && reach.credential("other").is_err());
    assert!(reach.is_free(&desk.file("nothing")).is_ok());
    assert!(reach.is_free(desk.directory.path()).unwrap_err().contains("things are in it"));
    assert!(reach.is_free(std::path::Path::new("/bin/sh")).is_err());
}
