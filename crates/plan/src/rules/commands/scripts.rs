//! Every script of a plan, with what the rules must know of the place it stands in.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use crate::check::{Model, SnippetRole};
use crate::language::{At, Origin, Probe, Scenario, Script, Step};
use crate::products::{Invocation, is_like};
use crate::shell::{self, Command, Shell};

/// The scripts of a plan, in its order.
pub(crate) struct Scripts<'p> {
    pub(crate) all: Vec<Piece<'p>>,
    /// Patterns of `unless`, and whether a command of the plan is like them.
    asked: Mutex<HashMap<&'static str, bool>>,
    /// Placeholders and parameters that the words of a document say the source of.
    explained: &'p BTreeSet<String>,
}

/// One script.
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
pub(crate) struct Piece<'p> {
    script: &'p Script,
    pub(crate) shell: Rc<Shell>,
    pub(crate) kind: PieceKind,
    /// Its place among all scripts.
    index: usize,
    /// The scripts of one scenario or drill have one number; they may use what those before them made.
    pub(crate) group: usize,
    /// The titles of the step and its phase.
    pub(crate) title: String,
    /// Parameters that somebody gives it, by name.
    pub(crate) given: Vec<String>,
    /// Somebody said yes before it runs, or a probe did.
    pub(crate) is_approved: bool,
    /// It is ended after some time.
    pub(crate) is_bounded: bool,
    /// What it prints is held against something.
    pub(crate) is_compared: bool,
    /// A step of Soter brought a store back before it.
    pub(crate) is_restored: bool,
}

/// What a script is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// A step of a recovery or a drill.
    Step,
    /// It decides whether something is so.
    Probe,
    /// It shows people that something happened.
    Detection,
    /// A program runs it on a schedule.
    Job,
    /// People copy from it in an emergency.
    Reference,
}

impl<'p> Scripts<'p> {
    /// Reads them all.
    pub(crate) fn of(model: &Model<'p>) -> Self {
        let mut all: Vec<Piece<'p>> = Vec::new();
        let mut group = 0;
        for (_, scenario) in model.plan.scenarios.iter() {
            group += 1;
            of_scenario(model, scenario, group, &mut all);
        }
        for (_, drill) in model.plan.drills.iter() {
            group += 1;
            let mut place = Place::new(model, group);
            drill.procedure.iter().for_each(|step| of_step(step, &mut place, &mut all));
            let runs = drill.criteria.iter().filter_map(|criterion| criterion.run.as_ref());
            all.extend(runs.map(|script| place.piece(script, PieceKind::Probe)));
        }
        let stores = model.plan.stores.iter().flat_map(|(_, store)| &store.copies);
        let policies = model.plan.policies.iter().flat_map(|(_, policy)| &policy.copies);
        for copy in stores.chain(policies) {
            group += 1;
            let Some(script) = &copy.run else { continue };
            let given = copy.environment.iter().map(|name| name.value.clone()).collect();
            let place = Place { given, ..Place::new(model, group) };
            all.push(place.piece(script, PieceKind::Job));
        }
        for snippet in &model.facts.snippets {
            group += 1;
            if snippet.role == SnippetRole::Reference && is_shell(&snippet.language) {
                let place = Place::new(model, group);
                all.push(place.piece(&snippet.script, PieceKind::Reference));
            }
        }
        for (index, piece) in all.iter_mut().enumerate() {
            piece.index = index;
        }
        Self { all, asked: Mutex::default(), explained: &model.facts.explained }
    }

    /// Whether any command of the plan, in small letters, is like one of these.
    pub(crate) fn any_is_like(&self, patterns: &'static [String]) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        patterns.iter().any(|pattern| {
            *asked.entry(pattern).or_insert_with(|| {
                let mut pieces = self.all.iter();
                pieces
                    .any(|piece| piece.shell.commands.iter().any(|it| is_like(&lower(it), pattern)))
            })
        })
    }

    /// Whether the words of a document say where a value comes from.
    pub(crate) fn is_explained(&self, name: &str) -> bool {
        self.explained.contains(name)
    }

    /// The scripts of the same scenario that come before, in order.
    pub(crate) fn before(&self, piece: &Piece<'p>) -> &[Piece<'p>] {
        let first = self.all.partition_point(|other| other.group < piece.group);
        self.all.get(first..piece.index).unwrap_or(&[])
    }

    /// The scripts of the same scenario that come behind, in order.
    pub(crate) fn behind(&self, piece: &Piece<'p>) -> &[Piece<'p>] {
        let end = self.all.partition_point(|other| other.group <= piece.group);
        self.all.get(piece.index + 1..end).unwrap_or(&[])
    }
}

/// The languages behind a fence that are shell, and none.
fn is_shell(language: &str) -> bool {
    matches!(
        language.to_ascii_lowercase().as_str(),
        "" | "sh" | "bash" | "shell" | "console" | "zsh" | "shell-session" | "terminal"
    )
}

/// A command in small letters, as the patterns of the data are written.
pub(crate) fn lower(command: &Command) -> String {
    let given = command.assignments.iter().map(|assignment| {
        let value = assignment.value.as_ref().map_or("", |value| value.text.as_str());
        format!("{}={value}", assignment.name)
    });
    let words = command.words.iter().map(|word| word.text.clone());
    given.chain(words).collect::<Vec<_>>().join(" ").to_lowercase()
}

/// What is known while the steps of a scenario are walked through.
struct Place<'m, 'p> {
    model: &'m Model<'p>,
    group: usize,
    phase: String,
    given: Vec<String>,
    is_approved: bool,
    is_restored: bool,
}

impl<'m, 'p> Place<'m, 'p> {
    fn new(model: &'m Model<'p>, group: usize) -> Self {
        Self {
            model,
            group,
            phase: String::new(),
            given: Vec::new(),
            is_approved: false,
            is_restored: false,
        }
    }

    fn piece(&self, script: &'p Script, kind: PieceKind) -> Piece<'p> {
        Piece {
            script,
            shell: self.model.shell(script),
            kind,
            index: 0,
            group: self.group,
            title: self.phase.clone(),
            given: self.given.clone(),
            is_approved: self.is_approved,
            is_bounded: false,
            is_compared: false,
            is_restored: self.is_restored,
        }
    }

    fn probe(&self, probe: &'p Probe, all: &mut Vec<Piece<'p>>) {
        let Some(script) = &probe.run else { return };
        let mut piece = self.piece(script, PieceKind::Probe);
        piece.is_bounded = probe.within.is_some();
        piece.is_compared = probe.expect.is_some();
        all.push(piece);
    }
}

fn of_scenario<'p>(
    model: &Model<'p>,
    scenario: &'p Scenario,
    group: usize,
    all: &mut Vec<Piece<'p>>,
) {
    let given = scenario.parameters.names().map(str::to_owned).collect();
    let mut place = Place { given, ..Place::new(model, group) };
    for detection in &scenario.detection {
        let script = detection.run.iter();
        all.extend(script.map(|script| place.piece(script, PieceKind::Detection)));
    }
    for phase in &scenario.phases {
        place.phase = text(phase.title.as_ref());
        phase.only_if.iter().for_each(|probe| place.probe(probe, all));
        let steps = phase.steps.iter().flat_map(Step::with_ways);
        steps.for_each(|step| of_step(step, &mut place, all));
    }
}

fn of_step<'p>(step: &'p Step, place: &mut Place<'_, 'p>, all: &mut Vec<Piece<'p>>) {
    place.is_approved |= step.approve.is_some();
    place.is_restored |= step.restore.is_some() || !step.restores.is_empty();
    if let Some(ask) = &step.ask {
        // The answer becomes a parameter, whatever the question is.
        place.given.push(step.id.as_ref().unwrap_or(ask).value.clone());
    }
    step.only_if.iter().chain(&step.already_done).for_each(|probe| place.probe(probe, all));
    if let Some(script) = &step.run {
        let mut piece = place.piece(script, PieceKind::Step);
        piece.title = format!("{} {}", text(step.title.as_ref()), place.phase);
        piece.is_approved |= step.only_if.is_some();
        piece.is_bounded = step.timeout.is_some();
        piece.is_compared = !step.verify.is_empty();
        all.push(piece);
    }
    step.verify.iter().for_each(|probe| place.probe(probe, all));
}

fn text(title: Option<&At<String>>) -> String {
    title.map(|title| title.value.clone()).unwrap_or_default()
}

impl Piece<'_> {
    /// Where a part of the script was written.
    pub(crate) fn place(&self, range: std::ops::Range<usize>) -> Origin {
        self.script.place(range)
    }

    /// The commands with their index and, where the program is known, their use of it.
    pub(crate) fn invocations(&self) -> impl Iterator<Item = (usize, Invocation<'_>)> {
        let commands = self.shell.commands.iter().enumerate();
        commands.filter_map(|(at, command)| Some((at, Invocation::of(command)?)))
    }

    /// The commands that run where this one runs, in the same script.
    pub(crate) fn beside<'a>(
        &'a self,
        command: &'a Command,
    ) -> impl Iterator<Item = (usize, &'a Command)> {
        let commands = self.shell.commands.iter().enumerate();
        commands.filter(move |(_, other)| other.nested == command.nested)
    }

    /// What the comment before a command and the titles around it say, in small letters.
    pub(crate) fn purpose(&self, command: &Command) -> String {
        let comments = self.shell.comments.iter().rev();
        let before = comments
            .filter(|comment| comment.range.start < command.range.start)
            .find(|comment| comment.text.chars().any(char::is_alphabetic));
        let comment = before.map_or("", |comment| comment.text.as_str());
        format!("{comment} {}", self.title).to_lowercase()
    }

    /// Whether somebody or something looks at what a command prints, other than a person at a screen:
    /// it is piped, substituted or written to a file.
    pub(crate) fn is_read(&self, command: &Command) -> bool {
        let is_piped = self
            .shell
            .positions(command)
            .any(|position| position.pipe_index + 1 < position.pipe_length);
        let is_substituted = self.shell.blocks_around(command).any(|block| {
            use shell::BlockKind::{ProcessSubstitution, Substitution};
            matches!(block.kind, Substitution | ProcessSubstitution)
        });
        let outer = command.nested.and_then(|nested| self.shell.commands.get(nested.outer));
        is_piped
            || is_substituted
            || command.files_written().next().is_some()
            || outer.is_some_and(|outer| outer.range != command.range && self.is_read(outer))
    }

    /// Whether a command gets its input from somewhere: a pipe, a file, a here-document.
    pub(crate) fn has_input(&self, command: &Command) -> bool {
        use shell::RedirectionKind::{HereDocument, Read};
        let is_piped = self.shell.positions(command).any(|position| position.pipe_index > 0);
        let outer = command.nested.and_then(|nested| self.shell.commands.get(nested.outer));
        is_piped
            || command.redirections.iter().any(|found| matches!(found.kind, Read | HereDocument))
            || command.is_wrapped_in("xargs")
            || outer.is_some_and(|outer| self.has_input(outer))
    }
}

/// Names of places whose contents nobody misses.
fn is_scratch_path(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["/tmp/", "/var/tmp/", "/dev/shm/", "$tmp", "${tmp"].iter().any(|start| path.starts_with(start))
        || path.contains("mktemp")
        || path == "/tmp"
}

impl Piece<'_> {
    /// Whether a word names a place whose contents nobody misses, also by a parameter.
    pub(crate) fn is_scratch(&self, word: &shell::Word) -> bool {
        const STEPS_MAX: usize = 4;
        let mut word = word;
        for _ in 0..STEPS_MAX {
            if is_scratch_path(&word.text) {
                return true;
            }
            let Some(name) = word.parameters.first().filter(|_| word.text.starts_with('$')) else {
                return false;
            };
            let assigned = self.shell.assignments.iter().rev().find(|found| found.name == *name);
            let Some(value) = assigned.and_then(|found| found.value.as_ref()) else { return false };
            word = value;
        }
        false
    }
}

/// A command as it may stand in a title: one line, not too long, without a secret.
pub(crate) fn shown(command: &Command) -> String {
    const SHOWN: usize = 60;
    let words = command.words.iter().map(|word| {
        let has_space = word.text.contains(char::is_whitespace);
        if has_space { format!("'{}'", word.text.trim()) } else { word.text.clone() }
    });
    let line = words.collect::<Vec<_>>().join(" ");
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let masked = crate::mask::mask(&line, &[]);
    if masked.chars().nth(SHOWN).is_none() {
        return masked;
    }
    let short: String = masked.chars().take(SHOWN).collect();
    format!("{}…", short.trim_end())
}
