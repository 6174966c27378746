//! Finding out, on real machines, by the ways that steps take too.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use soter_world::disk::FileKind;

use super::{Objection, Surroundings, kinds};
use crate::driver::{Answer, Asked, Asking};
use crate::ids::RunId;
use crate::procedure::{Given, Parameters, Probe, Procedure, Question};
use crate::steps::{Place, Tools, ask_script};

/// A machine that does not say in so long what it has cannot be asked.
const LIMIT: Duration = Duration::from_secs(20);

/// The parameter that holds the names of programs; spaces between them.
const NAMES: &str = "names";

/// Says which of the programs are not there, one a line.
const SCRIPT: &str =
    "for name in $names; do command -v -- \"$name\" > /dev/null || echo \"$name\"; done";

/// The world, asked for what it has.
pub struct Reach<'r> {
    /// The ways to it.
    pub tools: &'r Tools,
    /// The run that will be.
    pub run: RunId,
}

impl Surroundings for Reach<'_> {
    fn missing_programs(
        &self,
        host: Option<&str>,
        names: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, String> {
        let mut parameters = Parameters::default();
        let words: Vec<&str> = names.iter().map(String::as_str).collect();
        parameters.insert(NAMES, Given::Plain(words.join(" ")));
        let probe = Probe {
            title: "which programs are there".to_owned(),
            question: Question::Run(SCRIPT.to_owned()),
            expect: None,
            stable_for: None,
            within: None,
        };
        let asking = Asking {
            run: self.run.clone(),
            kind: self.tools.place.bindings.kind,
            about: Asked::Phase(0),
            token: 0,
            probe: probe.into(),
            on: host.map(str::to_owned),
            parameters: parameters.into(),
            limit: LIMIT,
        };
        let (reply, output) = ask_script(self.tools, &asking, SCRIPT);
        match reply.answer {
            Answer::Yes => {
                let is_asked = |line: &&str| names.contains(*line);
                Ok(output.lines().filter(is_asked).map(str::to_owned).collect())
            }
            Answer::No | Answer::Unknown => Err(reply.evidence),
        }
    }

    fn credential(&self, name: &str) -> Result<(), String> {
        (self.tools.credential)(name).map(drop)
    }

    fn is_free(&self, path: &Path) -> Result<(), String> {
        let disk = self.tools.children.disk();
        match disk.metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!("it cannot be looked at: {error}")),
            Ok(found) if found.kind == FileKind::Directory => match disk.list(path) {
                Ok(entries) if entries.is_empty() => Ok(()),
                Ok(entries) => Err(format!("{} things are in it", entries.len())),
                Err(error) => Err(format!("it cannot be looked into: {error}")),
            },
            Ok(_) => Err("something else than a directory is there".to_owned()),
        }
    }

    fn unable(&self, procedure: &Procedure, place: &Place) -> Vec<Objection> {
        kinds::unable(&self.tools.actions, procedure, place)
    }
}
