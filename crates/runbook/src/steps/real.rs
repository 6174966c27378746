//! The world outside, as it is: the [`Effects`] of a run that is no simulation.
//!
//! The rule it keeps: it decides nothing. Each attempt and each question has a thread that ends with
//! it; what they learn comes out of one queue. When it is dropped, commands go on by themselves, and
//! an engine that comes later [adopts](Effects::adopt) them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use soter_world::{Clock, Random, Secret, Stop};

use super::attempts::{self, Action, LedWork, Work, in_words};
use super::http::Requests;
use super::led::Lead;
use super::place::Place;
use super::{notify, probes, request};
use crate::child::{Children, Condition};
use crate::driver::{Adopted, Asking, Attempt, Child, Completion, Effects, Outcome, Reply};
use crate::ids::StepId;
use crate::procedure::{self, Question};

/// How many ends may wait for the engine; threads wait with theirs when there are more. An engine
/// takes them in microseconds.
const COMPLETIONS_MAX: usize = 1024;

/// Finds a secret by the name of its credential.
pub type Credentials = Arc<dyn Fn(&str) -> Result<Secret<String>, String> + Send + Sync>;

/// What is needed to reach the world.
#[derive(Clone)]
pub struct Tools {
    /// Commands that outlive this process.
    pub children: Children,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Chance, for words that nobody knows before.
    pub random: Arc<dyn Random>,
    /// Where the run works.
    pub place: Arc<Place>,
    /// Requests.
    pub requests: Arc<Requests>,
    /// Finds the secret of a credential of the plan; in words why it cannot.
    pub credential: Credentials,
    /// Steps and questions of other crates; asked before our own.
    pub actions: Vec<Arc<dyn Action>>,
}

/// The world outside of a run.
pub struct RealEffects {
    shared: Arc<Shared>,
    completions: Receiver<Completion>,
}

pub(super) struct Shared {
    pub(super) tools: Tools,
    sent: SyncSender<Completion>,
    going: Mutex<BTreeMap<(StepId, u32), Going>>,
    /// Set when the engine is gone: threads that only watch end.
    gone: Stop,
}

/// What carries out an attempt.
#[derive(Clone)]
enum Going {
    Command,
    Here(Stop),
}

impl RealEffects {
    /// The world outside of a run.
    #[must_use]
    pub fn new(tools: Tools) -> Self {
        let (sent, completions) = sync_channel(COMPLETIONS_MAX);
        let shared = Shared { tools, sent, going: Mutex::new(BTreeMap::new()), gone: Stop::new() };
        Self { shared: Arc::new(shared), completions }
    }

    /// The end of what an attempt has written, as it may be shown: about `bytes` of it. Empty if it
    /// wrote nothing, or nothing can be read.
    #[must_use]
    pub fn tail(&self, attempt: &Attempt, bytes: usize) -> String {
        let tools = &self.shared.tools;
        let directory = tools.place.attempt(&attempt.step.id, attempt.number);
        let mark = attempts::mark_of(&tools.children, &directory);
        let redactor = attempts::redactor(&attempt.parameters, tools.place.bindings.secrets());
        attempts::shown_tail(&tools.children, &directory, bytes, &redactor, mark.as_ref())
            .unwrap_or_default()
    }

    /// Leads an attempt on whose engine is gone, if it is one that is led.
    fn lead_on(&self, attempt: Attempt, directory: &Path) -> Adopted {
        let tools = &self.shared.tools;
        if !tools.children.was_begun_here(directory).unwrap_or(false) {
            return Adopted::Gone;
        }
        let Ok(Work::Led(work)) = work(tools, &attempt) else { return Adopted::Gone };
        let stop = Stop::new();
        self.shared.note(&attempt, Going::Here(stop.clone()));
        if self.spawn("attempt", move |shared| lead(shared, &attempt, work, stop)) {
            Adopted::Live
        } else {
            Adopted::Gone
        }
    }

    fn spawn(&self, name: &str, run: impl FnOnce(&Arc<Shared>) + Send + 'static) -> bool {
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared)).is_ok()
    }
}

impl Drop for RealEffects {
    fn drop(&mut self) {
        self.shared.gone.stop();
        for going in self.shared.going().values() {
            if let Going::Here(stop) = going {
                stop.stop();
            }
        }
    }
}

impl Effects for RealEffects {
    fn probe(&self, asking: Asking) {
        let unasked = asking.clone();
        let is_asked = self.spawn("probe", move |shared| {
            let reply = caught(|| answer(shared, &asking))
                .unwrap_or_else(|| probes::unknown("this program failed while it asked"));
            shared.say(Completion::Answered { about: asking.about, token: asking.token, reply });
        });
        if !is_asked {
            let reply = probes::unknown("this machine has no room for another thread");
            let (about, token) = (unasked.about, unasked.token);
            // The queue has room, or this would wait for itself: then the question is asked again.
            drop(self.shared.sent.try_send(Completion::Answered { about, token, reply }));
        }
    }

    fn start(&self, attempt: Attempt) {
        let (step, number) = (attempt.step.id.clone(), attempt.number);
        if !self.spawn("attempt", move |shared| carry_out(shared, &attempt)) {
            let outcome = Outcome::Failed("this machine has no room for another thread".to_owned());
            drop(self.shared.sent.try_send(Completion::Ended { step, attempt: number, outcome }));
        }
    }

    fn adopt(&self, attempt: Attempt) -> Adopted {
        let tools = &self.shared.tools;
        let directory = tools.place.attempt(&attempt.step.id, attempt.number);
        if let Some(outcome) = attempts::kept(&tools.children, &directory) {
            return Adopted::Ended(outcome);
        }
        match tools.children.look(&directory) {
            Ok(Condition::NeverBegan) => Adopted::NeverBegan,
            Ok(Condition::Vanished) => self.lead_on(attempt, &directory),
            Ok(Condition::Ended(ended)) => {
                let outcome =
                    attempts::outcome(&attempt, &directory, &tools.place, &tools.children, &ended);
                Adopted::Ended(self.shared.with_evidence(&attempt, outcome))
            }
            Ok(Condition::Running(_)) => {
                self.shared.note(&attempt, Going::Command);
                let is_watched = self.spawn("attempt", move |shared| watch(shared, &attempt));
                if is_watched {
                    Adopted::Live
                } else {
                    let why = "it goes on, and this machine has no room to watch it";
                    Adopted::Ended(Outcome::Unknown(why.to_owned()))
                }
            }
            Err(error) => Adopted::Ended(Outcome::Unknown(in_words(&error))),
        }
    }

    fn cancel(&self, step: &StepId, attempt: u32) {
        let going = self.shared.going().get(&(step.clone(), attempt)).cloned();
        match going {
            Some(Going::Here(stop)) => stop.stop(),
            Some(Going::Command) => {
                let directory = self.shared.tools.place.attempt(step, attempt);
                // Its end is heard of by the thread that watches it; without one, it is asked again.
                self.spawn("cancel", move |shared| {
                    drop(shared.tools.children.cancel(&directory));
                });
            }
            None => {}
        }
    }

    fn next(&self, wait: Duration) -> Option<Completion> {
        self.completions.recv_timeout(wait).ok()
    }
}

impl Shared {
    fn going(&self) -> MutexGuard<'_, BTreeMap<(StepId, u32), Going>> {
        self.going.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, attempt: &Attempt, going: Going) {
        self.going().insert((attempt.step.id.clone(), attempt.number), going);
    }

    /// An engine that is gone hears nothing, and need not.
    fn say(&self, completion: Completion) {
        self.sent.send(completion).ok();
    }

    fn end(&self, attempt: &Attempt, outcome: Outcome) {
        let (step, number) = (attempt.step.id.clone(), attempt.number);
        self.going().remove(&(step.clone(), number));
        self.say(Completion::Ended { step, attempt: number, outcome });
    }

    /// The end of an attempt of this process, written down first for the engines that come later.
    fn keep_and_end(&self, attempt: &Attempt, outcome: Outcome) {
        let directory = self.tools.place.attempt(&attempt.step.id, attempt.number);
        let outcome = match attempts::keep(&self.tools.children, &directory, &outcome) {
            Ok(()) => outcome,
            // What this engine journals now, a later one could not read: so it is not known.
            Err(error) => Outcome::Unknown(in_words(&error)),
        };
        self.end(attempt, outcome);
    }

    /// Keeps the evidence that a step names or leaves, if it is done.
    fn with_evidence(&self, attempt: &Attempt, outcome: Outcome) -> Outcome {
        let Outcome::Done { outputs, mut captured } = outcome else { return outcome };
        if captured.is_empty() {
            let kept = attempts::first(&self.tools.actions, |action| {
                action.capture(attempt, &self.tools.place)
            });
            match kept {
                Some(Ok(files)) => captured = files,
                Some(Err(why)) => {
                    return Outcome::Failed(format!("cannot keep the evidence: {why}"));
                }
                None if attempt.step.capture.is_empty() => {}
                None => return Outcome::Failed("nothing here keeps evidence".to_owned()),
            }
        }
        Outcome::Done { outputs, captured }
    }
}

/// What a thread does; none if it panics. Whoever began it would else wait for its word without end.
fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// Answers a question once.
fn answer(shared: &Arc<Shared>, asking: &Asking) -> Reply {
    let tools = &shared.tools;
    let theirs = attempts::first(&tools.actions, |action| action.answer(asking, &tools.place));
    theirs.unwrap_or_else(|| match &asking.probe.question {
        Question::Run(script) => probes::run(tools, asking, script),
        Question::Http(http) => probes::http(tools, asking, http),
        Question::Sql(_) => probes::unknown("nothing here puts queries"),
        Question::Person(_) => probes::unknown("a person is asked this"),
    })
}

/// Begins an attempt and follows it to its end.
fn carry_out(shared: &Arc<Shared>, attempt: &Attempt) {
    let tools = &shared.tools;
    let directory = tools.place.attempt(&attempt.step.id, attempt.number);
    match work(tools, attempt) {
        Err(why) => shared.end(attempt, Outcome::Failed(why)),
        Ok(Work::Here(work)) => {
            let stop = Stop::new();
            shared.note(attempt, Going::Here(stop.clone()));
            let outcome = match tools.children.begin_here(&directory) {
                Ok(()) => {
                    caught(|| shared.with_evidence(attempt, work(&stop))).unwrap_or_else(|| {
                        Outcome::Unknown("this program failed while it did it".to_owned())
                    })
                }
                Err(error) => Outcome::Failed(in_words(&error)),
            };
            shared.keep_and_end(attempt, outcome);
        }
        Ok(Work::Led(work)) => {
            let stop = Stop::new();
            shared.note(attempt, Going::Here(stop.clone()));
            match tools.children.begin_here(&directory) {
                Ok(()) => lead(shared, attempt, work, stop),
                Err(error) => shared.keep_and_end(attempt, Outcome::Failed(in_words(&error))),
            }
        }
        Ok(Work::Command { spec, hidden }) => {
            shared.note(attempt, Going::Command);
            match tools.children.start(&directory, &spec, &hidden) {
                Err(error) => shared.end(attempt, Outcome::Failed(in_words(&error))),
                Ok(identity) => {
                    let child = Child { pid: identity.process, start_ticks: identity.start_ticks };
                    let step = attempt.step.id.clone();
                    shared.say(Completion::Begun { step, attempt: attempt.number, child });
                    watch(shared, attempt);
                }
            }
        }
    }
}

/// Does the work of an attempt that is led. What it leaves to a later engine has not ended.
fn lead(shared: &Arc<Shared>, attempt: &Attempt, work: LedWork, stop: Stop) {
    let lead = Lead::new(stop, shared.gone.clone());
    let outcome = caught(|| work(&lead).map(|outcome| shared.with_evidence(attempt, outcome)))
        .unwrap_or_else(|| {
            Some(Outcome::Unknown("this program failed while it did it".to_owned()))
        });
    if let Some(outcome) = outcome {
        shared.keep_and_end(attempt, outcome);
    }
}

/// Follows a command to its end, or until the engine is gone.
fn watch(shared: &Arc<Shared>, attempt: &Attempt) {
    let tools = &shared.tools;
    let directory = tools.place.attempt(&attempt.step.id, attempt.number);
    let outcome = match tools.children.wait(&directory, &shared.gone) {
        Ok(Condition::Running(_)) => return,
        Ok(Condition::Ended(ended)) => {
            attempts::outcome(attempt, &directory, &tools.place, &tools.children, &ended)
        }
        Ok(Condition::Vanished) => {
            Outcome::Unknown("it is gone, and left no word how it ended".to_owned())
        }
        Ok(Condition::NeverBegan) => Outcome::Failed("it was not begun".to_owned()),
        Err(error) => Outcome::Unknown(in_words(&error)),
    };
    shared.end(attempt, shared.with_evidence(attempt, outcome));
}

fn work(tools: &Tools, attempt: &Attempt) -> Result<Work, String> {
    let theirs = attempts::first(&tools.actions, |action| action.work(attempt, &tools.place));
    if let Some(work) = theirs {
        return work;
    }
    match &attempt.step.action {
        procedure::Action::Run(script) => {
            let directory = tools.place.attempt(&attempt.step.id, attempt.number);
            let (place, children) = (&tools.place, &tools.children);
            let random = &*tools.random;
            let (spec, hidden) =
                attempts::script(attempt, &directory, place, children, random, script)?;
            Ok(Work::Command { spec, hidden })
        }
        procedure::Action::Http(http) => request::work(tools, attempt, http),
        procedure::Action::Notify(message) => notify::work(tools, attempt, message),
        other => Err(format!("nothing here carries out a step of the kind `{}`", other.word())),
    }
}
