//! `up`: makes a laboratory, or starts again what has ended of one.
//!
//! Parts are made side by side, each as soon as those it needs work. What fails leaves its logs; what
//! was interrupted, or killed, is begun anew the next time.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Condvar, Mutex, PoisonError};

use soter_world::{Clock, Stop, SystemClock};

use crate::down;
use crate::environment;
use crate::failure::{Ending, Failure, failed};
use crate::kubelet;
use crate::lab::Lab;
use crate::node;
use crate::parts::{Part, make_nodes, port_names};
use crate::place::{self, Description, Found, NODES, OUTSIDE};
use crate::rotate;
use crate::standin;
use crate::target;
use crate::tools;

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// Where it is to be.
    pub(crate) root: std::path::PathBuf,
    /// The parts to do without.
    pub(crate) without: Vec<Part>,
    /// Whether nothing is said on the way.
    pub(crate) quiet: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Done {
    /// A new laboratory.
    Made,
    /// Some of it had ended and was started again.
    StartedAgain,
    /// All of it was at work.
    WasUp,
}

/// Makes it so.
pub(crate) fn run(wishes: &Wishes, stop: &Stop) -> Result<(Lab, Done), Failure> {
    let found = place::find(&wishes.root)?;
    let held = place::hold(&wishes.root)?;
    let root = wishes.root.canonicalize().map_err(failed("find the directory"))?;
    let outcome = match found {
        Found::Lab(description) if description.complete => {
            let lab = Lab::new(*description, stop.clone(), wishes.quiet);
            let done = start_again(&lab)?;
            Ok((lab, done))
        }
        Found::Lab(description) => {
            let lab = Lab::new(*description, stop.clone(), wishes.quiet);
            lab.say("an earlier `up` did not come to its end: beginning anew");
            down::clear(&lab)?;
            make_new(wishes, &root, stop).map(|lab| (lab, Done::Made))
        }
        Found::Nothing => make_new(wishes, &root, stop).map(|lab| (lab, Done::Made)),
    };
    drop(held);
    outcome
}

fn make_new(wishes: &Wishes, root: &std::path::Path, stop: &Stop) -> Result<Lab, Failure> {
    let mut description = Description::new(root, tools::server_owner()?, &port_names())?;
    let mut parts = Vec::new();
    for part in Part::ALL {
        let missing = part.needs().iter().find(|needed| !parts.contains(*needed));
        if wishes.without.contains(&part) {
            description.without.insert(part.name().to_owned(), "not asked for".to_owned());
        } else if let Some(missing) = missing {
            let why = format!("it needs {}", missing.name());
            description.without.insert(part.name().to_owned(), why);
        } else {
            match part.find_programs() {
                Ok(programs) => {
                    let named = programs.into_iter().map(|(name, path)| (name.to_owned(), path));
                    description.programs.extend(named);
                    parts.push(part);
                }
                Err(missing) if part.is_optional() => {
                    description.without.insert(part.name().to_owned(), missing.in_one_line());
                }
                Err(missing) => return Err(missing),
            }
        }
    }
    description.write()?;
    let lab = Lab::new(description, stop.clone(), wishes.quiet);
    lab.say(format_args!("a KOSMOS for drills in {}", root.display()));
    for (part, why) in &lab.description().without {
        lab.say(format_args!("  without {part}: {why}"));
    }
    let made = make_parts(&lab, &parts);
    if stop.is_stopped() {
        down::clear(&lab)?;
        // The last thing in it is the lock that we hold.
        fs::remove_dir_all(root).map_err(failed("remove the directory"))?;
        let what = "interrupted; no process is left, and no data";
        return Err(Failure::new(Ending::Failed, what).hint("kosmos-lab up begins anew"));
    }
    made.map_err(|failure| {
        let logs = format!("logs are in {}; `kosmos-lab down` removes it", root.display());
        failure.hint(logs)
    })?;
    environment::make_people(&lab)?;
    target::write(&lab)?;
    if parts.contains(&Part::Postgres) {
        rotate::write(&lab)?;
    }
    lab.describe(|description| description.complete = true)?;
    Ok(lab)
}

/// Makes all parts, each in a thread of its own that waits for those it needs.
fn make_parts(lab: &Lab, parts: &[Part]) -> Result<(), Failure> {
    let (work, began) = (Work::default(), SystemClock.monotonic());
    lab.directory(OUTSIDE)?;
    standin::write(lab)?;
    if parts.contains(&Part::Terraform) {
        make_nodes(lab)?;
    } else {
        NODES.into_iter().try_for_each(|name| node::make(lab, name))?;
    }
    std::thread::scope(|scope| {
        for &part in parts {
            let work = &work;
            scope.spawn(move || {
                let preferred = part.prefers().iter().filter(|wanted| parts.contains(wanted));
                let needed: Vec<Part> = part.needs().iter().chain(preferred).copied().collect();
                if !work.wait_for(&needed) {
                    return;
                }
                let made = part.make(lab);
                if made.is_ok() {
                    let seconds = (SystemClock.monotonic() - began).as_secs_f64();
                    lab.say(format_args!("  {:12} works after {seconds:.1} s", part.name()));
                }
                work.end(part, made);
            });
        }
    });
    match work.into_failure() {
        Some((part, failure)) => Err(failure.during(&format!("make {}", part.name()))),
        None => Ok(()),
    }
}

/// Which parts work; the first failure lets nothing more begin.
#[derive(Default)]
struct Work {
    state: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    working: BTreeSet<Part>,
    failure: Option<(Part, Failure)>,
}

impl Work {
    /// Whether all of these work; not when another part has failed.
    fn wait_for(&self, needs: &[Part]) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = |state: &Progress| needs.iter().all(|need| state.working.contains(need));
        let waited = self
            .changed
            .wait_while(state, |state| !ready(state) && state.failure.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        waited.failure.is_none()
    }

    fn end(&self, part: Part, made: Result<(), Failure>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match made {
            Ok(()) => {
                state.working.insert(part);
            }
            Err(failure) => {
                state.failure.get_or_insert((part, failure));
            }
        }
        self.changed.notify_all();
    }

    fn into_failure(self) -> Option<(Part, Failure)> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).failure
    }
}

/// Starts what has ended. A laboratory that was broken on purpose is left to those who recover it.
fn start_again(lab: &Lab) -> Result<Done, Failure> {
    let description = lab.description();
    if let Some(broken) = description.broken.last() {
        let what = format!("this laboratory was broken on purpose: {}", broken.what);
        return Err(Failure::new(Ending::Input, what)
            .hint("recover it with Soter, or make a new one: kosmos-lab down, then up"));
    }
    // Pods are their kubelets' business.
    let entries = lab.table().entries()?.into_iter();
    let ended: Vec<_> = entries
        .filter(|entry| !entry.is_alive() && !entry.spec.name.starts_with(kubelet::PREFIX))
        .collect();
    for entry in &ended {
        lab.say(format_args!("  {:12} has ended: started again", entry.spec.name));
        lab.start(&entry.spec)?;
    }
    for part in Part::ALL.into_iter().filter(|part| !lab.is_without(part.name())) {
        if let Some(process) = part.process(lab) {
            lab.wait_ready(process, || part.look(lab).map(drop))?;
        }
    }
    Ok(if ended.is_empty() { Done::WasUp } else { Done::StartedAgain })
}
