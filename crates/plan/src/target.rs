//! Where a run happens, if not at the plan's own places: machines, stores and addresses of a drill, or
//! of a recovery that goes to another site.
//!
//! The rule it keeps: a target binds names, it never changes a step. Every name that is not bound
//! stays what the plan says. What is wrong with a file is all said at once, each with its place.

use std::fmt;

use serde_json::{Value as Json, json};

use crate::findings::{Code, Raw};
use crate::language::define::{section, words};
use crate::language::reader::Reader;
use crate::language::schema::Schemas;
use crate::language::value::{Field, Value};
use crate::language::yaml::Yaml;
use crate::language::{At, Named, Sources};
use crate::tree::{self, Node, short};

/// What is read of a target's file; they are written by hand.
const TARGET_BYTES_MAX: usize = 1 << 20;

words! {
    /// Whether a run there is the real thing.
    pub enum TargetKind, "a kind of target" {
        /// A recovery that is tried; nothing that anybody needs is touched.
        Drill = "drill",
        /// The real thing, at another place than the plan's own.
        Real = "real",
    }
}

section! {
    /// Where a run happens.
    pub struct Target, "a target" {
        /// What it is called: it stands on every screen, and is typed before something is destroyed.
        name: Option<At<String>> = "name: lab",
        /// Whether a run there is the real thing.
        kind: Option<At<TargetKind>> = "kind: drill",
        /// What it is, for people.
        about: Option<At<String>>,
        /// Directories that stand before the `PATH` of scripts.
        path: Vec<At<String>>,
        /// Variables of scripts. `${env:NAME}` and `${file:PATH}` stand for secrets kept elsewhere.
        environment: Pairs<At<String>>,
        /// Machines, by the name that steps call them; a command that takes another one as its
        /// arguments and runs it there, such as `[ssh, -p, "2222", drill-node-1]`.
        hosts: Pairs<Words>,
        /// Stores of the plan.
        stores: Named<TargetStore>,
        /// Addresses: what stands before a request's path and query, and what takes its place.
        endpoints: Pairs<At<String>>,
        /// Channels of the plan.
        channels: Named<TargetChannel>,
        /// Credentials of the plan: where runs there read them, `${file:PATH}` or `${env:NAME}`. A
        /// drill reads no others.
        credentials: Pairs<At<String>>,
        /// The file by which Kubernetes is reached.
        kubeconfig: Option<At<String>>,
        /// Which context of that file; else the one that it calls current.
        context: Option<At<String>>,
        /// Who vouches for servers, in PEM; else the machine's own.
        ca_file: Option<At<String>>,
    }
}

section! {
    /// A store, as it is there.
    pub struct TargetStore, "a store of a target" {
        /// How it is reached.
        connection: Option<At<String>>,
        /// Where its data is, or comes to.
        data_directory: Option<At<String>>,
        /// Where its members answer.
        endpoints: Vec<At<String>>,
        /// Who vouches for it, in PEM.
        ca_file: Option<At<String>>,
        /// The certificate it is spoken to with, in PEM.
        certificate_file: Option<At<String>>,
        /// The certificate's key, in PEM.
        key_file: Option<At<String>>,
        /// The vault it comes from.
        vault: Option<At<String>>,
    }
}

section! {
    /// How a message gets through a channel.
    pub struct TargetChannel, "a channel of a target" {
        /// A program and its arguments; it reads the message.
        command: Vec<At<String>>,
        /// An address that takes `{"text": …}`.
        webhook: Option<At<String>>,
    }
}

/// Values by names that others gave: machines, variables, addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs<T>(Vec<(At<String>, T)>);

/// A command: a program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words(pub Vec<At<String>>);

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// Where, counted from 1.
    pub line: usize,
    /// Where in the line, counted from 1 in characters.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.what)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "; {}", self.hint) }
    }
}

impl Target {
    /// Reads a target's file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let mut sources = Sources::default();
        let text = match tree::decode(bytes, TARGET_BYTES_MAX) {
            Ok(text) => text,
            Err(raw) => {
                sources.add(file, "", &[]);
                return Err(problems(file, &sources, vec![raw]));
            }
        };
        let id = sources.add(file, text, &[]);
        let mut reader = Reader::new(id, text);
        let target = match tree::read(text, &mut reader.findings) {
            Ok(root) => Value::read(&root, &mut reader),
            Err(raw) => {
                reader.broken(raw);
                None
            }
        };
        match (target, reader.findings) {
            (Some(target), findings) if findings.is_empty() => Ok(target),
            (_, findings) => Err(problems(file, &sources, findings)),
        }
    }
}

fn problems(file: &str, sources: &Sources, findings: Vec<Raw>) -> Vec<Problem> {
    let source = sources.files().next().map(|(_, source)| source);
    let mut problems: Vec<Problem> = findings
        .into_iter()
        .map(|raw| {
            let place = source.map(|source| source.place(raw.span.start));
            let (line, column) = place.map_or((1, 1), |place| (place.line, place.column));
            let hint = raw.hint.unwrap_or_default();
            Problem { file: file.to_owned(), line, column, what: raw.title, hint }
        })
        .collect();
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}

impl<T> Pairs<T> {
    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(found, _)| found.value == name).map(|(_, value)| value)
    }

    /// All of them, in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.value.as_str(), value))
    }
}

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Value> Field for Pairs<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Self {
        let mut pairs = Vec::new();
        if node.is_empty() {
            return Self(pairs);
        }
        for (key, value) in reader.entries(node, "this").unwrap_or_default() {
            if key.text.trim().is_empty() {
                let hint = "write what it stands for";
                reader.report(Code::InvalidValue, &key.span, "an empty name", hint);
            }
            let name = At::new(key.text.clone(), reader.origin(&key.span));
            if let Some(value) = reader.under(key, |reader| T::read(value, reader)) {
                pairs.push((name, value));
            }
        }
        Self(pairs)
    }

    fn schema(schemas: &mut Schemas) -> Json {
        json!({ "type": "object", "additionalProperties": T::schema(schemas) })
    }

    fn write(&self) -> Option<Yaml> {
        let entry = |(name, value): &(At<String>, T)| (name.value.clone(), value.write());
        (!self.0.is_empty()).then(|| Yaml::Section(self.0.iter().map(entry).collect()))
    }
}

impl Value for Words {
    const WHAT: &'static str = "a command: a list of a program and its arguments";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let tree::Value::Scalar { text, .. } = &node.value
            && text.trim().contains(' ')
        {
            let title = format!("`{}` is one word with spaces in it", short(text));
            let words: Vec<&str> = text.split_whitespace().collect();
            let hint = format!("write it as a list: [{}]", words.join(", "));
            reader.report(Code::WrongShape, &node.span, title, hint);
            return None;
        }
        let words: Vec<At<String>> = Field::read(node, reader);
        if words.is_empty() {
            reader.wrong_shape(node, Self::WHAT);
            return None;
        }
        Some(Self(words))
    }

    fn schema(schemas: &mut Schemas) -> Json {
        <Vec<At<String>> as Field>::schema(schemas)
    }

    fn write(&self) -> Yaml {
        Yaml::List(self.0.iter().map(Value::write).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(text: &str) -> Vec<String> {
        let problems = Target::read("lab.yaml", text.as_bytes()).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_target_binds_names() {
        let text = "
name: lab
kind: drill
path: [/lab/bin]
environment:
  KUBECONFIG: /lab/admin.conf
  TOKEN: ${env:LAB_TOKEN}
hosts:
  node-1: [env, ROOT=/lab/node-1]
  10.0.0.7: [ssh, -p, \"2222\", drill-7]
stores:
  orders: { data_directory: /lab/orders, endpoints: [127.0.0.1:2379] }
endpoints:
  https://api.example.com: http://127.0.0.1:8080
channels:
  pager: { command: [cat] }
  chat: { webhook: \"http://127.0.0.1:9/hook\" }
credentials: { edge: \"${file:/lab/edge.token}\" }
";
        let target = Target::read("lab.yaml", text.as_bytes()).unwrap();
        assert_eq!(target.kind.unwrap().value, TargetKind::Drill);
        let words: Vec<&str> = target
            .hosts
            .get("10.0.0.7")
            .unwrap()
            .0
            .iter()
            .map(|word| word.value.as_str())
            .collect();
        assert_eq!(words, ["ssh", "-p", "2222", "drill-7"]);
        let variables: Vec<&str> = target.environment.iter().map(|(name, _)| name).collect();
        assert_eq!(variables, ["KUBECONFIG", "TOKEN"]);
        assert_eq!(
            target.endpoints.get("https://api.example.com").unwrap().value,
            "http://127.0.0.1:8080"
        );
        assert_eq!(target.stores.get("orders").unwrap().endpoints.len(), 1);
        // What is written of it reads back as the same bindings.
        let again = Value::write(&target).print();
        assert_eq!(Value::write(&Target::read("again", again.as_bytes()).unwrap()).print(), again);
    }

    #[test]
    fn all_that_is_wrong_is_said_with_its_place() {
        let found = problems_of("kind: dril\nhots: {}\nhosts:\n  a: ssh -p 2 host\n  b: []\n");
        assert_eq!(
            found,
            [
                "lab.yaml:1:1: `name` is missing: a target must have it; add `name: lab`",
                "lab.yaml:1:7: `dril` is not a kind of target; did you mean `drill`?",
                "lab.yaml:2:1: `hots` is not a key of a target; did you mean `hosts`?",
                "lab.yaml:4:6: `ssh -p 2 host` is one word with spaces in it; \
                 write it as a list: [ssh, -p, 2, host]",
                "lab.yaml:5:3: `b` is an empty list here; \
                 write a command: a list of a program and its arguments",
            ]
        );
        assert_eq!(problems_of("[").len(), 1);
        assert_eq!(Target::read("x", &[0xff, 0xfe]).unwrap_err().len(), 1);
    }

    #[test]
    fn any_text_is_a_target_or_has_problems_with_places() {
        for text in ["", "name", "- a", "name: [x]\nkind: {}", "\u{0}", "a: &b c", "hosts: {a: {}}"]
        {
            let problems = Target::read("t", text.as_bytes()).unwrap_err();
            assert!(problems.iter().all(|problem| problem.line > 0), "{text}: {problems:?}");
            assert!(!problems.is_empty(), "{text}");
        }
    }
}
