//! Where the scripts of a run work, and what they find there.
//!
//! The rule it keeps: an environment is clean. It has what is named here, the parameters, and what the
//! target says, and no more: a script does not work today because of what somebody has in a shell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use soter_world::Secret;

use super::attempts;
use super::redact::Redactor;
use crate::driver::Kind;
use crate::ids::{RunId, StepId};
use crate::procedure::{Given, Parameters};
use crate::target::Bindings;

/// The variables of the one who began the run that scripts find too.
pub const HANDED_ON: &[&str] = &["PATH", "HOME", "LANG", "SSH_AUTH_SOCK", KUBECONFIG];

/// Names the files by which Kubernetes is reached. Scripts and our own steps take the same, or one
/// run would speak to two clusters.
const KUBECONFIG: &str = "KUBECONFIG";

/// Where programs are, if nobody says.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A language in which programs say the same everywhere.
const LANGUAGE_DEFAULT: &str = "C.UTF-8";

/// What scripts are told besides parameters begins with this.
const OURS: &str = "SOTER_";

/// Names that change what a program is or does before the script does anything.
const RESERVED: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "IFS",
    "ENV",
    "BASH_ENV",
    "BASHOPTS",
    "SHELLOPTS",
    "PS4",
    "PWD",
    "SSH_AUTH_SOCK",
    "EUID",
    "UID",
    "PPID",
];

/// Beginnings of such names.
const RESERVED_BEGINNINGS: &[&str] = &[OURS, "LD_", "BASH_FUNC_"];

/// Where a run works.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its directory, with `children/` and `work/`.
    pub run_directory: PathBuf,
    /// What the plan's names stand for.
    pub bindings: Bindings,
    /// What is handed on: [`HANDED_ON`].
    handed_on: BTreeMap<String, String>,
}

/// Variables of a script.
#[derive(Debug, Default)]
pub struct Variables {
    /// Those that anybody may read.
    pub plain: BTreeMap<String, String>,
    /// Those that nobody may.
    pub hidden: BTreeMap<String, Secret<String>>,
}

/// Whether a script can be told something by that name.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
        && !RESERVED.contains(&name)
        && !RESERVED_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Why a script cannot be told something by that name.
#[must_use]
pub fn variable_rule(name: &str) -> String {
    let taken = RESERVED.contains(&name)
        || RESERVED_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
    if taken {
        format!("`{name}` already means something to a shell: take another name")
    } else {
        format!("`{name}` cannot be a variable of a script: take letters, digits and `_`")
    }
}

impl Place {
    /// A place. Of `environment` only what is [handed on](HANDED_ON) is taken.
    #[must_use]
    pub fn new(
        run_directory: PathBuf,
        bindings: Bindings,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut handed_on: BTreeMap<String, String> = environment
            .into_iter()
            .filter(|(name, _)| HANDED_ON.contains(&name.as_str()))
            .collect();
        let path = handed_on.remove("PATH").unwrap_or_else(|| PATH_DEFAULT.to_owned());
        let directories = bindings.path.iter().map(String::as_str).chain([path.as_str()]);
        handed_on.insert("PATH".to_owned(), directories.collect::<Vec<_>>().join(":"));
        handed_on.entry("LANG".to_owned()).or_insert_with(|| LANGUAGE_DEFAULT.to_owned());
        handed_on.entry("HOME".to_owned()).or_insert_with(|| "/".to_owned());
        if let Some(file) = &bindings.kubeconfig {
            handed_on.insert(KUBECONFIG.to_owned(), file.display().to_string());
        }
        Self { run_directory, bindings, handed_on }
    }

    /// Where everything about one try of a step is.
    #[must_use]
    pub fn attempt(&self, step: &StepId, number: u32) -> PathBuf {
        self.run_directory.join("children").join(format!("{step}.{number}"))
    }

    /// Where scripts work.
    #[must_use]
    pub fn work_directory(&self) -> PathBuf {
        self.run_directory.join("work")
    }

    /// Where programs are looked for, in order.
    pub fn program_directories(&self) -> impl Iterator<Item = &Path> {
        self.handed_on.get("PATH").into_iter().flat_map(|path| path.split(':')).map(Path::new)
    }

    /// The files by which Kubernetes is reached, the first before the others: those that the target
    /// names, else those of the one who began the run, else the usual one.
    #[must_use]
    pub fn kubeconfigs(&self) -> Vec<PathBuf> {
        let of_target = self.bindings.environment.get(KUBECONFIG).map(Given::expose);
        let of_beginner = self.handed_on.get(KUBECONFIG).map(String::as_str);
        let named = match (&self.bindings.kubeconfig, of_target.or(of_beginner)) {
            (Some(file), _) => vec![file.clone()],
            (None, Some(files)) => {
                files.split(':').filter(|file| !file.is_empty()).map(PathBuf::from).collect()
            }
            (None, None) => Vec::new(),
        };
        if named.is_empty() {
            let home = self.handed_on.get("HOME").map_or("/", String::as_str);
            return vec![Path::new(home).join(".kube/config")];
        }
        named
    }

    /// Covers what nobody may read: the secrets among these values, and the target's.
    #[must_use]
    pub fn redactor(&self, parameters: &Parameters) -> Redactor {
        attempts::redactor(parameters, self.bindings.secrets())
    }

    /// The same, and other secrets.
    #[must_use]
    pub fn redactor_and<'s>(
        &'s self,
        parameters: &'s Parameters,
        others: impl IntoIterator<Item = &'s str>,
    ) -> Redactor {
        attempts::redactor(parameters, self.bindings.secrets().chain(others))
    }

    /// What every program on this machine finds.
    #[must_use]
    pub fn handed_on(&self) -> &BTreeMap<String, String> {
        &self.handed_on
    }

    /// What a script is told, wherever it runs.
    #[must_use]
    pub fn told(
        &self,
        (run, step): (&RunId, &str),
        kind: Kind,
        parameters: &Parameters,
    ) -> Variables {
        let mut told = Variables::default();
        // The target's may take the place of a parameter's, never the other way round.
        let given = parameters
            .iter()
            .chain(self.bindings.environment.iter().map(|(name, value)| (name.as_str(), value)));
        for (name, value) in given.filter(|(name, _)| is_variable(name)) {
            told.plain.remove(name);
            told.hidden.remove(name);
            match value {
                Given::Plain(value) => drop(told.plain.insert(name.to_owned(), value.clone())),
                Given::Hidden(value) => drop(told.hidden.insert(name.to_owned(), value.clone())),
            }
        }
        let ours = [
            ("RUN", run.as_str().to_owned()),
            ("STEP", step.to_owned()),
            ("KIND", kind.to_string()),
        ];
        told.plain.extend(ours.map(|(name, value)| (format!("{OURS}{name}"), value)));
        told
    }
}
