//! A command as its program understands it: subcommand, options, operands.
//!
//! What is known of the program decides: `-d kosmos` is an option and its value for `pg_restore`, and
//! `-auto-approve` is one option for `terraform`.

use crate::shell::{Command, Word};

use super::data::{Fact, FactKind, OptionStyle, Program, When};
use super::program;

/// A use of a program that is known.
#[derive(Debug, Clone)]
pub struct Invocation<'c> {
    /// The program.
    pub program: &'static Program,
    /// The command.
    pub command: &'c Command,
    /// The options, without those behind `--`.
    pub options: Vec<Given<'c>>,
    /// The words that are neither options nor their values, subcommands first.
    pub operands: Vec<&'c Word>,
    /// The words behind `--`.
    pub rest: Vec<&'c Word>,
}

/// An option as it was given.
#[derive(Debug, Clone)]
pub struct Given<'c> {
    /// Its name, with the dashes.
    pub name: String,
    /// Its value, if it has one.
    pub value: Option<String>,
    /// Where.
    pub word: &'c Word,
}

impl<'c> Invocation<'c> {
    /// Reads a command, if its program is known.
    pub fn of(command: &'c Command) -> Option<Self> {
        let program = program(command.program()?)?;
        let mut invocation =
            Self { program, command, options: Vec::new(), operands: Vec::new(), rest: Vec::new() };
        let mut words = command.arguments().iter();
        while let Some(word) = words.next() {
            if word.text == "--" {
                invocation.rest.extend(words.by_ref());
            } else if word.text.len() > 1 && word.text.starts_with('-') {
                invocation.take_option(word, &mut words);
            } else {
                invocation.operands.push(word);
            }
        }
        Some(invocation)
    }

    fn take_option(&mut self, word: &'c Word, words: &mut std::slice::Iter<'c, Word>) {
        let text = word.text.as_str();
        let is_long = text.starts_with("--") || self.style() == OptionStyle::Long;
        if is_long {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text, self.next_value(text, words)),
            };
            self.push(name, value, word);
            return;
        }
        // `-Fc` has the value `c`, `-it` is two options; a `-name` of which no letter is known to
        // take a value is kept whole too, for programs such as `find`.
        let letters: Vec<char> = text.chars().skip(1).collect();
        for (at, letter) in letters.iter().enumerate() {
            let name = format!("-{letter}");
            if self.takes_value(&name) {
                let glued: String = letters.get(at + 1..).unwrap_or(&[]).iter().collect();
                let value =
                    if glued.is_empty() { self.next_value(&name, words) } else { Some(glued) };
                self.push(&name, value, word);
                return;
            }
            self.push(&name, None, word);
        }
        if letters.len() > 1 {
            self.push(text, None, word);
        }
    }

    fn next_value(&self, name: &str, words: &mut std::slice::Iter<'c, Word>) -> Option<String> {
        let takes = self.takes_value(name);
        if takes { words.next().map(|word| word.text.clone()) } else { None }
    }

    fn push(&mut self, name: &str, value: Option<String>, word: &'c Word) {
        self.options.push(Given { name: name.to_owned(), value, word });
    }

    fn style(&self) -> OptionStyle {
        self.program.style.unwrap_or(OptionStyle::Bundled)
    }

    fn takes_value(&self, name: &str) -> bool {
        self.program.values.iter().any(|known| known == name)
    }

    /// Whether an option is there, `--follow`; `--follow=false` is none.
    pub fn has(&self, name: &str) -> bool {
        self.options
            .iter()
            .any(|option| option.name == name && option.value.as_deref() != Some("false"))
    }

    /// Whether the operands begin with these words.
    pub fn is_subcommand(&self, words: &str) -> bool {
        let mut operands = self.operands.iter();
        words.split(' ').all(|word| operands.next().is_some_and(|operand| operand.text == word))
    }

    /// What is known of this use, of this kind.
    pub fn facts(&self, kind: FactKind) -> impl Iterator<Item = &'static Fact> {
        self.program
            .facts
            .iter()
            .filter(move |fact| fact.kind == Some(kind) && self.holds(fact.when.as_ref()))
    }

    /// The first fact of this kind.
    pub fn fact(&self, kind: FactKind) -> Option<&'static Fact> {
        self.facts(kind).next()
    }

    /// Whether this use is one of those.
    pub fn holds(&self, when: Option<&When>) -> bool {
        let Some(when) = when else { return true };
        let subcommand = when.subcommand.iter().find(|words| self.is_subcommand(words));
        let consumed = subcommand.map_or(0, |words| words.split(' ').count());
        let operands = self.operands.len().saturating_sub(consumed);
        let at_least = |least: u32| u32::try_from(operands).is_ok_and(|count| count >= least);
        let at_most = |most: u32| u32::try_from(operands).is_ok_and(|count| count <= most);
        (when.subcommand.is_empty() || subcommand.is_some())
            && (when.any.is_empty() || when.any.iter().any(|name| self.has(name)))
            && when.all.iter().all(|name| self.has(name))
            && !when.none.iter().any(|name| self.has(name))
            && self.is_same(&when.same)
            && (when.argument.is_empty() || self.has_argument(&when.argument))
            && (when.no_argument.is_empty() || !self.has_argument(&when.no_argument))
            && when.operands_min.is_none_or(at_least)
            && when.operands_max.is_none_or(at_most)
    }

    /// Whether all of these options have one value.
    fn is_same(&self, names: &[String]) -> bool {
        let value = |name: &String| {
            self.options.iter().find(|option| option.name == *name)?.value.as_deref()
        };
        let mut values = names.iter().map(value);
        let Some(first) = values.next() else { return true };
        first.is_some() && values.all(|value| value == first)
    }

    /// Whether a word, or the lines of input, are like one of these.
    fn has_argument(&self, patterns: &[String]) -> bool {
        let words = self.command.arguments().iter().map(|word| word.text.as_str());
        let glued = self.options.iter().filter_map(|option| option.value.as_deref());
        let input = self.command.here_document().map(|document| document.body.text.as_str());
        words.chain(glued).chain(input).any(|text| {
            let text = text.to_ascii_lowercase();
            patterns.iter().any(|pattern| is_like(&text, pattern))
        })
    }

    /// The words that a list of `1`, `last`, `rest`, `-f` stands for.
    pub fn arguments_named(&self, names: &[String], consumed: usize) -> Vec<(String, &'c Word)> {
        let operands = self.operands.get(consumed..).unwrap_or(&[]);
        let mut found: Vec<(String, &'c Word)> = Vec::new();
        for name in names {
            let plain = |word: &&'c Word| (word.text.clone(), *word);
            match name.as_str() {
                "last" => found.extend(operands.last().map(plain)),
                "rest" => found.extend(
                    operands.split_last().into_iter().flat_map(|(_, rest)| rest.iter().map(plain)),
                ),
                "all" => found.extend(operands.iter().map(plain)),
                name if name.starts_with('-') => found.extend(
                    self.options
                        .iter()
                        .filter(|option| option.name == name)
                        .filter_map(|option| Some((option.value.clone()?, option.word))),
                ),
                number => {
                    let at = number.parse::<usize>().ok().and_then(|at| at.checked_sub(1));
                    found.extend(at.and_then(|at| operands.get(at)).map(plain));
                }
            }
        }
        found
    }

    /// What the command reads and writes, as far as it is known, by its arguments.
    pub fn artefacts(&self) -> Artefacts<'c> {
        let mut artefacts = Artefacts::default();
        for fact in self.program.facts.iter().filter(|fact| self.holds(fact.when.as_ref())) {
            let mut words = fact.when.iter().flat_map(|when| &when.subcommand);
            let subcommand = words.rfind(|words| self.is_subcommand(words));
            let consumed = subcommand.map_or(0, |words| words.split(' ').count());
            artefacts.reads.extend(self.arguments_named(&fact.reads, consumed));
            artefacts.writes.extend(self.arguments_named(&fact.writes, consumed));
        }
        artefacts
    }
}

/// Files and objects that a command reads and writes: the text, and the word it stands in.
#[derive(Debug, Clone, Default)]
pub struct Artefacts<'c> {
    /// What it reads.
    pub reads: Vec<(String, &'c Word)>,
    /// What it writes.
    pub writes: Vec<(String, &'c Word)>,
}

/// Whether a text is like a pattern, in which `*` stands for anything.
pub(crate) fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or("");
    }
    true
}
