//! What was read of a script: its commands in order, and what stands around them.
//!
//! The rule it keeps: a range is a range of bytes of the text that was given to `read`, and it lies
//! on the borders of characters.

use std::ops::Range;

use super::options::ShellOptions;
use super::placeholders::Placeholder;
use super::reader::Member;

/// A script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shell {
    /// Every simple command, in the order of the script. A command inside `$(…)` stands before the
    /// command it is part of, one inside `bash -c "…"` behind it.
    pub commands: Vec<Command>,
    /// `if`, loops, functions, subshells…; [`Position::block`] is an index into it.
    pub blocks: Vec<Block>,
    /// Every use of a parameter, `$X`, `${X:-default}`.
    pub parameters: Vec<Parameter>,
    /// Every place that gives a parameter its value.
    pub assignments: Vec<Assignment>,
    /// The names of the functions that are defined.
    pub functions: Vec<String>,
    /// What a person must replace before the script works.
    pub placeholders: Vec<Placeholder>,
    /// The comments, without their `#`.
    pub comments: Vec<Comment>,
    /// SQL that is given to a client of a database.
    pub statements: Vec<Statement>,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// Whether the text was a terminal's, with prompts and output.
    pub is_console: bool,
    /// How many lists have a number.
    pub(super) lists_count: usize,
    /// How many quotes had no end.
    pub(super) unclosed_count: usize,
}

/// A simple command: a program and its arguments, or assignments alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments, without what stands before it ([`Command::wrappers`]).
    pub words: Vec<Word>,
    /// `sudo`, `timeout 5m`, `env A=b`…, outermost first.
    pub wrappers: Vec<Wrapper>,
    /// `A=b` before the program.
    pub assignments: Vec<Assignment>,
    /// `> file`, `< file`, `<<END`.
    pub redirections: Vec<Redirection>,
    /// All of it, with wrappers and redirections.
    pub range: Range<usize>,
    /// Where it stands.
    pub position: Position,
    /// The options in force when it runs.
    pub options: ShellOptions,
    /// The command that runs this one, if it is not the script itself.
    pub nested: Option<Nested>,
}

/// A word of a command, its quotes removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// The text; what the shell would put in its place stands as it was written, `${X}`, `$(date)`.
    pub text: String,
    /// Where it stands, with its quotes.
    pub range: Range<usize>,
    /// Whether the shell puts nothing else in its place: no parameter, no substitution.
    pub is_literal: bool,
    /// Whether any of it is quoted.
    pub is_quoted: bool,
    /// The names of the parameters in it, in order.
    pub parameters: Vec<String>,
    /// The byte of the script that each byte of `text` came from.
    pub(super) origins: Vec<u32>,
}

/// Something that runs a command given to it as arguments: `sudo`, `timeout 5m`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapper {
    /// Its name, without a path.
    pub name: String,
    /// It and its own arguments.
    pub words: Vec<Word>,
}

/// Where a command or a block stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// The innermost block it is part of.
    pub block: Option<usize>,
    /// Its part in that block.
    pub role: Role,
    /// The number of the list `a && b || c` it is part of; unique in a script.
    pub list: usize,
    /// The place of its pipeline in the list, from 0.
    pub step: usize,
    /// What stands before its pipeline.
    pub before: Option<Operator>,
    /// What stands behind its pipeline.
    pub after: Option<Operator>,
    /// Its place in the pipeline, from 0.
    pub pipe_index: usize,
    /// How many commands the pipeline has; 1 if there is none.
    pub pipe_length: usize,
    /// `! …`
    pub is_negated: bool,
    /// `… &`
    pub is_background: bool,
}

/// `&&` or `||`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `&&`
    And,
    /// `||`
    Or,
}

/// What part of its block a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// It is run, and that is all.
    #[default]
    Body,
    /// `if` or `elif` looks at how it ends.
    IfCondition,
    /// `while` or `until` looks at how it ends.
    LoopCondition,
}

/// Something that holds commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Where it stands itself.
    pub position: Position,
    /// All of it.
    pub range: Range<usize>,
    /// Redirections of the whole block, `done < file`.
    pub redirections: Vec<Redirection>,
}

/// The kinds of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockKind {
    /// `if … fi`
    If,
    /// `while … done`
    While,
    /// `until … done`
    Until,
    /// `for … done`, `select … done`
    For,
    /// `case … esac`
    Case,
    /// `name() { … }`
    Function(String),
    /// `( … )`
    Subshell,
    /// `{ … }`
    Group,
    /// `$( … )`, `` `…` ``
    Substitution,
    /// `<( … )`, `>( … )`
    ProcessSubstitution,
}

/// A use of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, without `$`.
    pub name: String,
    /// Where it is used.
    pub range: Range<usize>,
    /// What happens if it has no value.
    pub form: Form,
}

/// What happens when a parameter without a value is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Nothing stands in its place, or the script ends (`set -u`).
    Plain,
    /// `${X:-default}`, `${X:=default}`
    Default(String),
    /// `${X:?message}`: the script ends.
    Required,
    /// `${X:+other}`: it is only asked for.
    Alternative,
}

/// A place that gives a parameter its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The parameter.
    pub name: String,
    /// The value, where it stands in the script.
    pub value: Option<Word>,
    /// All of it.
    pub range: Range<usize>,
    /// How.
    pub kind: AssignmentKind,
}

/// How a parameter gets its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignmentKind {
    /// `X=…`, `export X=…`, `local X=…`
    Plain,
    /// `X=… program`: for that program only.
    ForOneCommand,
    /// `for X in …`
    Loop,
    /// `read X`, `mapfile X`, `printf -v X`: from what comes in.
    Read,
    /// `${X:=default}`
    Default,
}

/// `> file` and its kin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirection {
    /// What is done.
    pub kind: RedirectionKind,
    /// The number before it, `2>`.
    pub descriptor: Option<u32>,
    /// The file, or the number of `>&2`; the tag of a here-document.
    pub target: Word,
    /// All of it, without the lines of a here-document.
    pub range: Range<usize>,
    /// The lines of a here-document, or the text of `<<<`.
    pub document: Option<HereDocument>,
}

/// What a redirection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectionKind {
    /// `<`
    Read,
    /// `>`, `>|`, `&>`
    Write,
    /// `>>`, `&>>`
    Append,
    /// `<>`
    ReadWrite,
    /// `>&`, `<&` and a number
    Duplicate,
    /// `<<`, `<<-`, `<<<`
    HereDocument,
}

/// The lines between `<<END` and `END`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HereDocument {
    /// The lines; tabs that `<<-` removes are gone. `range` is where they stand.
    pub body: Word,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// What it says, without `#` and the space around it.
    pub text: String,
    /// Where, with `#`.
    pub range: Range<usize>,
}

/// Which command runs another one, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nested {
    /// The index of the command that runs it.
    pub outer: usize,
    /// How.
    pub via: Via,
}

/// How a command runs another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// `bash -c "…"`, `eval "…"`, `bash <<END`: a shell on the same machine.
    Shell,
    /// `ssh host …`: on another machine.
    Remote,
    /// `kubectl exec pod -- …`, `docker exec name …`: in a container.
    Container,
    /// `find … -exec …`: once for each of many things.
    Each,
}

/// SQL that is given to a client: `psql -c "…"`, `psql <<END`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The index of the client's command.
    pub command: usize,
    /// The SQL.
    pub text: String,
    /// Where it stands.
    pub range: Range<usize>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Where.
    pub range: Range<usize>,
    /// Why, one line.
    pub why: String,
}

impl Command {
    /// The program's name without its path; none for assignments alone, or if the name is made by
    /// the shell at the time it runs.
    pub fn program(&self) -> Option<&str> {
        let first = self.words.first().filter(|word| word.is_literal)?;
        Some(base_name(&first.text))
    }

    /// The words behind the program.
    pub fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or(&[])
    }

    /// Whether one of the wrappers has this name.
    pub fn is_wrapped_in(&self, name: &str) -> bool {
        self.wrappers.iter().any(|wrapper| wrapper.name == name)
    }

    /// The files it writes by redirection, without `/dev/null` and its kin.
    pub fn files_written(&self) -> impl Iterator<Item = &Word> {
        self.redirections
            .iter()
            .filter(|redirection| {
                matches!(redirection.kind, RedirectionKind::Write | RedirectionKind::Append)
            })
            .map(|redirection| &redirection.target)
            .filter(|target| !target.text.starts_with("/dev/") && !target.text.is_empty())
    }

    /// The lines of its here-document.
    pub fn here_document(&self) -> Option<&HereDocument> {
        self.redirections.iter().rev().find_map(|redirection| redirection.document.as_ref())
    }

    /// The range of the words alone, without redirections.
    pub fn words_range(&self) -> Range<usize> {
        match (self.words.first(), self.words.last()) {
            (Some(first), Some(last)) if first.range.start <= last.range.end => {
                first.range.start..last.range.end
            }
            _ => self.range.clone(),
        }
    }
}

impl Word {
    /// A part of the text, and where it stands in the script.
    pub fn part(&self, part: Range<usize>) -> Option<(&str, Range<usize>)> {
        let text = self.text.get(part.clone())?;
        let start = self.origins.get(part.start).map_or(self.range.end, |&at| to_usize(at));
        let last = part.end.checked_sub(1).filter(|&last| last >= part.start);
        let end =
            last.and_then(|last| self.origins.get(last)).map_or(start, |&at| to_usize(at) + 1);
        Some((text, start..end.max(start)))
    }
}

impl Shell {
    /// The commands of the pipeline that `command` is part of, in order, itself included.
    pub fn pipeline(&self, command: &Command) -> impl Iterator<Item = &Command> {
        let (list, step) = (command.position.list, command.position.step);
        self.commands
            .iter()
            .filter(move |other| other.position.list == list && other.position.step == step)
    }

    /// The commands that run when the pipeline of `command` ends the way `||` or `&&` behind it asks
    /// for: directly, or inside the `{ … }` that stands there.
    pub fn next_in_list(&self, command: &Command) -> impl Iterator<Item = &Command> {
        let (list, step) = (command.position.list, command.position.step + 1);
        self.commands
            .iter()
            .filter(move |other| self.positions(other).any(|at| at.list == list && at.step == step))
    }

    /// The position of a command, then of the blocks around it, innermost first.
    pub fn positions<'a>(
        &'a self,
        command: &'a Command,
    ) -> impl Iterator<Item = &'a Position> + use<'a> {
        std::iter::successors(Some(&command.position), |position| {
            position.block.and_then(|block| self.blocks.get(block)).map(|block| &block.position)
        })
    }

    /// The blocks around a command, innermost first.
    pub fn blocks_around<'a>(
        &'a self,
        command: &'a Command,
    ) -> impl Iterator<Item = &'a Block> + use<'a> {
        self.positions(command).filter_map(|position| self.blocks.get(position.block?))
    }

    /// The commands that the command with this index runs.
    pub fn run_by(&self, outer: usize) -> impl Iterator<Item = &Command> {
        self.commands
            .iter()
            .filter(move |command| command.nested.is_some_and(|nested| nested.outer == outer))
    }
}

impl Shell {
    /// Changes the positions of the commands and blocks of a pipeline.
    pub(super) fn each_position(
        &mut self,
        members: &[Member],
        mut change: impl FnMut(&mut Position),
    ) {
        for member in members {
            let position = match *member {
                Member::Command(at) => self.commands.get_mut(at).map(|found| &mut found.position),
                Member::Block(at) => self.blocks.get_mut(at).map(|found| &mut found.position),
            };
            position.into_iter().for_each(&mut change);
        }
    }
}

/// `/usr/bin/psql` is `psql`.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Offsets are kept as 32 bits: a script is shorter than that (`SCRIPT_BYTES_MAX`).
pub(super) fn to_usize(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

pub(super) fn to_u32(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
