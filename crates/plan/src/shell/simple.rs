//! Simple commands: assignments, words, redirections, in any order.

use super::nested;
use super::placeholders::PlaceholderKind;
use super::reader::{Reader, Unclosed};
use super::redirections::Pending;
use super::script::{Assignment, AssignmentKind, Command, Position, Redirection, Word};
use super::wrappers;

impl Reader<'_> {
    /// Reads a simple command if one stands here: its index in `commands`.
    pub(super) fn simple(&mut self, position: &Position) -> Result<Option<usize>, Unclosed> {
        let start = self.at;
        let mut words: Vec<Word> = Vec::new();
        let mut assignments = Vec::new();
        let mut redirections: Vec<Redirection> = Vec::new();
        let mut documents = Vec::new();
        loop {
            self.skip_space();
            let Some(byte) = self.byte() else { break };
            if let Some((redirection, document)) = self.redirection()? {
                documents.extend(document.map(|document| (redirections.len(), document)));
                redirections.push(redirection);
                continue;
            }
            if matches!(byte, b'\n' | b';' | b'&' | b'|' | b')') {
                break;
            }
            if byte == b'#' {
                self.comment();
                break;
            }
            if byte == b'(' {
                if words.is_empty() && assignments.is_empty() && redirections.is_empty() {
                    break;
                }
                self.skip_unexpected();
                continue;
            }
            let started = self.at;
            let word = self.word()?;
            match assignment(&word).filter(|_| words.is_empty()) {
                Some(assignment) => assignments.push(assignment),
                None => words.push(word),
            }
            if self.at == started {
                self.skip_one();
            }
        }
        if words.is_empty() && assignments.is_empty() && redirections.is_empty() {
            return Ok(None);
        }
        let range = self.source.outer(start..self.trimmed_end(start));
        let command = Command {
            words,
            assignments,
            redirections,
            range,
            position: position.clone(),
            options: self.options,
            nested: self.nested,
            ..Command::default()
        };
        Ok(Some(self.write_down(command, documents)))
    }

    /// Notes a command, what it assigns, and the scripts it runs.
    pub(super) fn write_down(
        &mut self,
        mut command: Command,
        documents: Vec<(usize, Pending)>,
    ) -> usize {
        self.note_assignments(&mut command);
        wrappers::strip(&mut command);
        if command.program() == Some("mktemp") {
            // Its `XXXXXX` are replaced by the program itself.
            let range = command.range.clone();
            self.out.placeholders.retain(|found| {
                found.kind != PlaceholderKind::Crosses || !range.contains(&found.range.start)
            });
        }
        self.options = self.options.after(&command);
        let index = self.out.commands.len();
        self.documents.extend(documents.into_iter().map(|(redirection, mut document)| {
            document.command = Some((index, redirection));
            document
        }));
        self.out.commands.push(command);
        nested::read_arguments(self, index);
        index
    }

    fn note_assignments(&mut self, command: &mut Command) {
        let kind = if command.words.is_empty() {
            AssignmentKind::Plain
        } else {
            AssignmentKind::ForOneCommand
        };
        for assignment in &mut command.assignments {
            assignment.kind = kind;
        }
        self.out.assignments.extend(command.assignments.iter().cloned());
        let declared = declared(command);
        self.out.assignments.extend(declared);
    }

    /// A parenthesis in the middle of a command: the shell would refuse the script. It and the rest
    /// of the line are skipped.
    fn skip_unexpected(&mut self) {
        let len = self.rest().find('\n').unwrap_or(self.end - self.at);
        self.unread(self.at..self.at + len.min(1), "a parenthesis in the middle of a command");
        self.at += len;
    }

    /// The end without the space behind the command.
    fn trimmed_end(&self, start: usize) -> usize {
        start + self.text(start..self.at).trim_end().len()
    }
}

/// `NAME=value`, `NAME+=value`, `NAME[3]=value`.
fn assignment(word: &Word) -> Option<Assignment> {
    let (left, _) = word.text.split_once('=')?;
    let name = left.strip_suffix('+').unwrap_or(left);
    let name =
        name.split_once('[').filter(|(_, at)| at.ends_with(']')).map_or(name, |(name, _)| name);
    let value = word.part(left.len() + 1..word.text.len());
    is_name(name).then(|| Assignment {
        name: name.to_owned(),
        value: value.map(|(text, range)| Word {
            text: text.to_owned(),
            range,
            origins: word.origins.get(left.len() + 1..).unwrap_or(&[]).to_vec(),
            ..word.clone()
        }),
        range: word.range.clone(),
        kind: AssignmentKind::Plain,
    })
}

/// What `export X=…`, `local X`, `read X`, `mapfile X`, `printf -v X` and `getopts … X` assign.
fn declared(command: &Command) -> Vec<Assignment> {
    let arguments = command.arguments();
    let names = |kind, value_options: &'static str| {
        let mut found = Vec::new();
        let mut skip = false;
        for word in arguments {
            if std::mem::take(&mut skip) {
                continue;
            }
            if let Some(option) = word.text.strip_prefix('-') {
                skip = option.ends_with(|c: char| value_options.contains(c));
            } else if is_name(&word.text) {
                found.push(named(word, kind));
            }
        }
        found
    };
    match command.program() {
        Some("export" | "local" | "declare" | "typeset" | "readonly") => {
            arguments.iter().filter_map(assignment).collect()
        }
        Some("read") => names(AssignmentKind::Read, "dinNptu"),
        Some("mapfile" | "readarray") => names(AssignmentKind::Read, "dnOsuCc"),
        Some("getopts" | "let") => names(AssignmentKind::Read, ""),
        Some("printf") => match arguments {
            [option, name, ..] if option.text == "-v" => vec![named(name, AssignmentKind::Plain)],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn named(word: &Word, kind: AssignmentKind) -> Assignment {
    Assignment { name: word.text.clone(), value: None, range: word.range.clone(), kind }
}

pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
