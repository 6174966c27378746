//! `status`: which processes run, and whether each part works.

use std::path::Path;

use serde::Serialize;
use soter_world::Stop;

use crate::failure::{Ending, Failure};
use crate::lab::Lab;
use crate::parts::Part;
use crate::place::{self, Broken, Found};

/// How a laboratory is.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// Its directory.
    directory: std::path::PathBuf,
    /// Whether it was made to its end.
    complete: bool,
    /// Whether all it has works.
    well: bool,
    /// Its parts.
    parts: Vec<PartStatus>,
    /// Its processes.
    processes: Vec<ProcessStatus>,
    /// What it does without, and why.
    without: std::collections::BTreeMap<String, String>,
    /// What was broken on purpose.
    broken: Vec<Broken>,
}

/// How a part is.
#[derive(Debug, Serialize)]
struct PartStatus {
    name: &'static str,
    works: bool,
    says: String,
}

/// How a process is.
#[derive(Debug, Serialize)]
struct ProcessStatus {
    name: String,
    node: String,
    process: Option<u32>,
    alive: bool,
}

/// Looks.
pub(crate) fn run(root: &Path) -> Result<Status, Failure> {
    let lab = open(root)?;
    let description = lab.description();
    let parts = Part::ALL.into_iter().filter(|part| !lab.is_without(part.name()));
    let parts: Vec<PartStatus> = std::thread::scope(|scope| {
        // Side by side: one that does not answer makes nobody wait for the others.
        let lab = &lab;
        let looks: Vec<_> = parts.map(|part| (part, scope.spawn(move || part.look(lab)))).collect();
        let joined = looks.into_iter().map(|(part, look)| {
            let look = look.join().unwrap_or_else(|_| Err("looking at it failed".to_owned()));
            PartStatus::of(part, look)
        });
        joined.collect()
    });
    let processes: Vec<ProcessStatus> = lab
        .table()
        .entries()?
        .into_iter()
        .map(|entry| ProcessStatus {
            alive: entry.is_alive(),
            process: entry.identity.as_ref().map(|identity| identity.process),
            name: entry.spec.name,
            node: entry.spec.node,
        })
        .collect();
    let well = description.complete
        && parts.iter().all(|part| part.works)
        && processes.iter().all(|process| process.alive);
    Ok(Status {
        directory: description.directory,
        complete: description.complete,
        well,
        parts,
        processes,
        without: description.without,
        broken: description.broken,
    })
}

/// The laboratory in a directory.
pub(crate) fn open(root: &Path) -> Result<Lab, Failure> {
    match place::find(root)? {
        Found::Lab(description) => Ok(Lab::new(*description, Stop::new(), true)),
        Found::Nothing => {
            let what = format!("there is no laboratory in {}", root.display());
            Err(Failure::new(Ending::No, what).hint("make one: kosmos-lab up"))
        }
    }
}

impl PartStatus {
    fn of(part: Part, look: Result<String, String>) -> Self {
        let works = look.is_ok();
        Self { name: part.name(), works, says: look.unwrap_or_else(|why| why) }
    }
}

impl Status {
    /// Whether all works.
    pub(crate) fn is_well(&self) -> bool {
        self.well
    }

    /// For people.
    pub(crate) fn in_words(&self) -> String {
        let mut lines = vec![format!("{} (a DRILL's KOSMOS)", self.directory.display())];
        if !self.complete {
            lines.push("  not made to its end: kosmos-lab up begins anew".to_owned());
        }
        for part in &self.parts {
            let state = if part.works { "works" } else { "FAILS" };
            lines.push(format!("  {:12} {state}  {}", part.name, part.says));
        }
        for process in &self.processes {
            let ProcessStatus { name, node, .. } = process;
            let state = match (process.alive, process.process) {
                (true, Some(number)) => format!("process {number}"),
                (_, Some(number)) => format!("process {number} has ENDED"),
                (_, None) => "was never STARTED".to_owned(),
            };
            lines.push(format!("  {node:12} {name:24} {state}"));
        }
        for (part, why) in &self.without {
            lines.push(format!("  without {part}: {why}"));
        }
        for broken in &self.broken {
            lines.push(format!("  broken on purpose at {:.0}: {}", broken.at, broken.what));
        }
        lines.join("\n")
    }
}
