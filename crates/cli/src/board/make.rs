//! From a state, a moment and a forecast to a board.

use std::time::Duration;

use soter_runbook::StepId;
use soter_runbook::driver::{Answer, Kind, Which};
use soter_runbook::forecast::{Outlook, Unknown, Verdict, spoken};
use soter_runbook::procedure::{self, Action};
use soter_runbook::state::{
    Closing, Life as RunLife, Moment, PhaseState, PhaseStatus, State, Status, StepState,
};

use super::commands::Commands;
use super::page::clock_time;
use super::{
    Attended, Board, Evidence, Life, Next, Obligation, Phase, Probe, Seen, Service, Step, Way,
    decisions, engines,
};

/// Longest line of a log or of evidence; what is longer is cut, and says so.
const LINE_CHARS_MAX: usize = 400;

/// So many lines of evidence are shown of an answer.
const EVIDENCE_LINES_MAX: usize = 20;

/// So many steps that come next.
const NEXT_MAX: usize = 5;

impl Board {
    /// Of a run as it is seen.
    pub(crate) fn of(seen: &Seen<'_>) -> Self {
        let (state, now) = (seen.state, seen.now);
        let begun = &state.begun;
        let commands = Commands { run: state.run(), options: seen.options };
        let titles = (begun.procedure.scenario.as_str(), "the whole run");
        Self {
            run: state.run().to_string(),
            kind: kind_word(begun.kind),
            target: clean(&begun.target),
            scenario: begun.procedure.scenario.clone(),
            title: shown(&begun.procedure.title, state),
            copy_words: seen.copy.map(clean),
            requester: clean(&begun.requester),
            since: state.since.at,
            now: now.at,
            elapsed_ms: millis(match state.life {
                RunLife::Closed(_) => state.last.since(&state.since),
                _ => now.since(&state.since),
            }),
            disaster: engines::disaster(state),
            life: life(&state.life, seen.attended),
            engine: engines::engine(seen, &commands),
            takeovers: engines::takeovers(state),
            mirror: engines::mirror(state, now),
            decisions: decisions::all(state, now, &commands),
            whole: service(titles, &seen.forecast.whole, now),
            services: begun
                .procedure
                .services
                .iter()
                .zip(&seen.forecast.services)
                .map(|(one, outlook)| service((&one.name, &one.title), outlook, now))
                .collect(),
            phases: phases(state, now),
            steps: steps(seen),
            next: next(seen),
            obligations: obligations(state, now, &commands),
            values: state
                .parameters
                .iter()
                .map(|(name, value)| (name.clone(), clean(&value.to_string())))
                .collect(),
            evidence: evidence(state),
            done_when: begun.procedure.done_when.as_deref().map(|text| shown(text, state)),
        }
    }
}

pub(super) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Real => "REAL",
        Kind::Drill => "DRILL",
    }
}

pub(super) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// A text of the plan as a line on a screen.
pub(super) fn shown(text: &str, state: &State) -> String {
    clean(&state.shown(text))
}

/// A line as it may go to a terminal: what would move a cursor or change a colour is left out.
pub(super) fn clean(line: &str) -> String {
    cleaned(line, LINE_CHARS_MAX)
}

fn cleaned(line: &str, chars_max: usize) -> String {
    let mut shown = String::new();
    let mut letters = line.chars().peekable();
    let mut count = 0;
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => skip_escape(&mut letters),
            '\t' | '\n' => shown.push(' '),
            letter if letter.is_control() => {}
            // Marks that turn the direction of a text: what is shown would not be what is there.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            letter if count < chars_max => {
                shown.push(letter);
                count += 1;
            }
            _ => {
                shown.push('…');
                break;
            }
        }
    }
    shown.trim_end().to_owned()
}

/// A text as it may go to a terminal, in all its lines and to its end: who decides must have read it.
pub(super) fn whole(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| cleaned(line, usize::MAX)).collect();
    lines.join("\n").trim_end().to_owned()
}

/// The rest of a sequence behind an escape: `[`, parameters, and a letter; or one letter.
fn skip_escape(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match letters.next() {
        Some('[') => while letters.next().is_some_and(|one| !('@'..='~').contains(&one)) {},
        // A title: until a bell, or another escape with what follows it.
        Some(']') => {
            while let Some(one) = letters.next() {
                if one == '\u{7}' {
                    return;
                }
                if one == '\u{1b}' {
                    letters.next();
                    return;
                }
            }
        }
        _ => {}
    }
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(clean).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

fn life(life: &RunLife, attended: Attended) -> Life {
    let (is, words) = match life {
        RunLife::Running if attended == Attended::Nobody => {
            ("running", "stands still, and is not over".to_owned())
        }
        RunLife::Running => ("running", "running".to_owned()),
        RunLife::Paused { why, by_engine: true } => {
            ("paused", format!("PAUSED, a person is needed: {}", clean(why)))
        }
        RunLife::Paused { why, by_engine: false } => {
            ("paused", format!("PAUSED by a person: {}", clean(why)))
        }
        RunLife::Aborting => {
            ("giving_up", "BEING GIVEN UP: what runs is ended, nothing is begun".to_owned())
        }
        RunLife::Closed(Closing::Success) => {
            ("succeeded", "DONE: every step is over, every probe said yes".to_owned())
        }
        RunLife::Closed(Closing::Aborted) => {
            ("given_up", "GIVEN UP: it is over, and not all is back".to_owned())
        }
    };
    Life { is, words }
}

fn service((name, title): (&str, &str), outlook: &Outlook, now: &Moment) -> Service {
    let is_given_up = outlook.unknown == Some(Unknown::GivenUp);
    let verdict = match outlook.verdict() {
        _ if is_given_up => "given_up",
        Verdict::Made(_) => "made",
        Verdict::Missed(_) => "missed",
        Verdict::Makes(_) => "makes",
        Verdict::Late(_) => "late",
        Verdict::LateAtLeast(_) => "late_at_least",
        Verdict::Unsure => "unsure",
        Verdict::LeftOut => "left_out",
        Verdict::NoPromise => "no_promise",
    };
    Service {
        name: name.to_owned(),
        title: clean(title),
        verdict,
        is_back: outlook.is_back,
        expected_ms: (!is_given_up).then(|| millis(outlook.at)),
        is_at_least: outlook.unknown.is_some(),
        rto_ms: outlook.rto.map(millis),
        words: outlook.words(),
        basis_words: outlook.basis.words(now.at).filter(|_| !outlook.is_back && !is_given_up),
    }
}

fn phases(state: &State, now: &Moment) -> Vec<Phase> {
    // How many steps are over, and how many there are.
    let mut counts = vec![(0, 0); state.phases().len()];
    for step in state.steps().filter(|step| !step.is_of_way()) {
        let (over, all) = &mut counts[step.step.phase];
        *over += usize::from(step.status.is_finished());
        *all += 1;
    }
    let all = state.phases().zip(counts).enumerate();
    all.map(|(at, (of, counts))| phase(at + 1, of, counts, state, now)).collect()
}

fn phase(
    number: usize,
    (spec, phase): (&procedure::Phase, &PhaseState),
    (over, steps): (usize, usize),
    state: &State,
    now: &Moment,
) -> Phase {
    let elapsed = phase.began.as_ref().map(|began| match phase.status {
        PhaseStatus::Done => phase.since.as_ref().unwrap_or(now).since(began),
        _ if matches!(state.life, RunLife::Closed(_)) => state.last.since(began),
        _ => now.since(began),
    });
    let so_far = elapsed.map(spoken).unwrap_or_default();
    let is_given_up = matches!(state.life, RunLife::Aborting | RunLife::Closed(Closing::Aborted));
    let (is, words) = match phase.status {
        PhaseStatus::Pending | PhaseStatus::Asking if is_given_up => {
            ("waits", "was not begun".to_owned())
        }
        PhaseStatus::Pending => ("waits", "waits for others".to_owned()),
        PhaseStatus::Asking => ("asked", "it is asked whether it is needed".to_owned()),
        PhaseStatus::Begun => ("begun", format!("{over} of {steps} steps over, for {so_far}")),
        PhaseStatus::Skipped => ("left_out", "left out: its condition said no".to_owned()),
        PhaseStatus::Done => ("done", format!("done in {so_far}")),
    };
    Phase {
        number,
        title: shown(&spec.title, state),
        is,
        steps_over: over,
        steps,
        elapsed_ms: elapsed.map(millis),
        budget_ms: spec.budget.map(millis),
        is_over_budget: elapsed.zip(spec.budget).is_some_and(|(elapsed, budget)| elapsed > budget),
        words,
    }
}

fn steps(seen: &Seen<'_>) -> Vec<Step> {
    let all = seen.state.steps().zip(&seen.forecast.steps);
    let all = all.filter(|(step, _)| step.status != Status::Apart);
    let steps = all.map(|(step, expected)| {
        let spec = &*step.step;
        let elapsed = elapsed(step, seen.state, seen.now);
        let (is, words) = status(step, seen, elapsed);
        let is_left = step.status.is_finished() || matches!(step.status, Status::Branched { .. });
        let estimate = (!is_left).then(|| expected.estimate.words(seen.now.at));
        let matters = !is_left && step.attempt > 0;
        Step {
            id: spec.id.to_string(),
            title: shown(&spec.title, seen.state),
            phase: spec.phase + 1,
            is,
            words,
            why: why(step),
            elapsed_ms: elapsed.map(millis),
            budget_ms: spec.budget.map(millis),
            is_over_budget: elapsed
                .zip(spec.budget)
                .is_some_and(|(elapsed, budget)| elapsed > budget),
            attempt: step.attempt,
            attempts_max: spec.retries.saturating_add(1),
            estimate_words: estimate,
            action: spec.action.word(),
            text: text(&spec.action, seen.state),
            on: spec.on.as_deref().map(|on| shown(on, seen.state)),
            owner: spec.owner.clone(),
            is_destructive: spec.destructive,
            amendments: step.amendments,
            approved_by: step.approvals.iter().map(|(person, _)| clean(person)).collect(),
            probes: probes(step, seen.state),
            log: if matters {
                let tail = (seen.tail)(&spec.id, step.attempt);
                tail.iter().map(|line| clean(line)).collect()
            } else {
                Vec::new()
            },
            if_it_fails: spec.if_it_fails.as_deref().map(|text| shown(text, seen.state)),
            instead: spec.instead.as_ref().map(way),
            in_place_of: seen.state.replaced_by(step).map(|owner| owner.step.id.to_string()),
            undo: spec.undo.as_ref().map(way),
            undoes: seen.state.undone_by(step).map(|owner| owner.step.id.to_string()),
        }
    });
    steps.collect()
}

fn way(way: &procedure::Way) -> Way {
    let steps = way.steps.iter().map(ToString::to_string).collect();
    Way { title: clean(&way.title), steps }
}

/// How long a step has taken since its first attempt, or took.
fn elapsed(step: &StepState, state: &State, now: &Moment) -> Option<Duration> {
    let began = step.began.as_ref()?;
    let end = match &step.since {
        Some(since) if step.status.is_finished() => since,
        _ if matches!(state.life, RunLife::Closed(_)) => &state.last,
        _ => now,
    };
    Some(end.since(began))
}

fn why(step: &StepState) -> Option<String> {
    let why = match &step.status {
        Status::Failed { why, .. }
        | Status::Doubt { why }
        | Status::Skipped { why }
        | Status::Branched { why }
        | Status::Replaced { why }
        | Status::Undoing { why }
        | Status::Undone { why } => why,
        _ => step.to_be_skipped()?,
    };
    Some(clean(why))
}

fn status(step: &StepState, seen: &Seen<'_>, elapsed: Option<Duration>) -> (&'static str, String) {
    let took = elapsed.map(spoken);
    let so_far = took.as_deref().unwrap_or("0 s");
    let attempt = match step.attempt {
        0 | 1 => String::new(),
        number => format!(", attempt {number}"),
    };
    let is_given_up =
        matches!(seen.state.life, RunLife::Aborting | RunLife::Closed(Closing::Aborted));
    match &step.status {
        Status::Pending | Status::Ready { .. } if is_given_up => {
            ("waits", "was not begun".to_owned())
        }
        Status::Person | Status::Verifying if is_given_up => ("waits", "was given up".to_owned()),
        Status::Failed { .. } if is_given_up => ("failed", format!("failed{attempt}")),
        Status::Pending => ("waits", waits_for(step, seen.state)),
        Status::Ready { delay } => {
            let since = step.since.as_ref().unwrap_or(seen.now);
            let left = seen.now.left(since, *delay);
            if matches!(seen.state.life, RunLife::Paused { .. }) {
                ("ready", "ready, and held up by the pause".to_owned())
            } else if left.is_zero() {
                ("ready", "about to begin".to_owned())
            } else {
                ("ready", format!("is tried again in {}", spoken(left)))
            }
        }
        Status::Running => {
            let adopted = step.adopted_by.map(|engine| format!(", adopted by engine {engine}"));
            ("runs", format!("runs for {so_far}{attempt}{}", adopted.unwrap_or_default()))
        }
        Status::Person => ("person", person(step)),
        Status::Verifying => {
            let (yes, all) = (step.verified().count(), step.step.verify.len());
            ("verifies", format!("is verified: {yes} of {all} said yes, {so_far}{attempt}"))
        }
        Status::Failed { .. } if step.may_retry() => {
            ("retries", format!("failed{attempt}, and is tried again"))
        }
        Status::Failed { .. } => ("failed", format!("FAILED{attempt}: somebody must decide")),
        Status::Doubt { .. } => ("doubt", "IN DOUBT: done or not, nobody knows".to_owned()),
        Status::Done => match (&took, &step.tried) {
            (Some(took), Some(_)) => ("done", format!("done in {took}{attempt}")),
            _ => ("done", "done, not by this run's own doing".to_owned()),
        },
        Status::Skipped { .. } => ("left_out", "left out".to_owned()),
        Status::Undoing { .. } if is_given_up => ("undoing", "was being undone".to_owned()),
        Status::Undoing { .. } => ("undoing", "is being undone".to_owned()),
        Status::Undone { .. } if is_given_up => ("undone", "undone".to_owned()),
        Status::Undone { .. } => ("undone", "UNDONE: somebody must decide".to_owned()),
        Status::Apart => ("apart", "belongs to another way, which nobody has taken".to_owned()),
        Status::Branched { .. } => {
            ("branched", format!("left for another way{attempt}: {}", title_of_way(step)))
        }
        Status::Replaced { .. } => {
            ("replaced", format!("another way was taken and is over: {}", title_of_way(step)))
        }
    }
}

fn title_of_way(step: &StepState) -> String {
    step.step.instead.as_ref().map(|way| clean(&way.title)).unwrap_or_default()
}

fn person(step: &StepState) -> String {
    match &step.step.action {
        Action::Approve { count, .. } => {
            format!("waits for approval: {} of {count} said yes", step.approvals.len())
        }
        Action::Ask { .. } => "waits for an answer".to_owned(),
        _ => "waits for somebody to do it".to_owned(),
    }
}

/// What a step waits for: unfinished steps, else its phase.
fn waits_for(step: &StepState, state: &State) -> String {
    const NAMED_MAX: usize = 3;
    if step.to_be_skipped().is_some() {
        return "will be left out".to_owned();
    }
    let is_open = |id: &&StepId| state.step(id).is_some_and(|one| !one.status.is_finished());
    let before: Vec<&StepId> = step.step.after.iter().filter(is_open).collect();
    let named: Vec<String> = before.iter().take(NAMED_MAX).map(|id| format!("`{id}`")).collect();
    match before.len() {
        0 => "waits for its phase".to_owned(),
        count if count > NAMED_MAX => {
            format!("waits for {} and {} more", named.join(", "), count - NAMED_MAX)
        }
        _ => format!("waits for {}", named.join(", ")),
    }
}

/// What a step does, exactly.
fn text(action: &Action, state: &State) -> Vec<String> {
    let written = match action {
        Action::Look | Action::Capture => Vec::new(),
        // It gets its parameters as variables: its text stays as it is.
        Action::Run(script) => return whole(script).lines().map(str::to_owned).collect(),
        Action::Wait { duration } => vec![format!("{} pass", spoken(*duration))],
        Action::Http(http) => {
            let request = format!("{} {}", http.method, http.url);
            [vec![request], http.body.iter().cloned().collect()].concat()
        }
        Action::Terraform(of) => {
            let line = format!("{} {} {}", of.action, of.directory, of.variables.join(" "));
            vec![line]
        }
        Action::Restore(of) => {
            let mut line = format!("{} to {}", of.store, of.to);
            if let Some(target) = &of.target {
                line.push_str(&format!(" in {target}"));
            }
            if let Some(from) = &of.from {
                line.push_str(&format!(" from {from}"));
            }
            if of.bump_revision {
                line.push_str(", revisions moved on");
            }
            vec![line]
        }
        Action::Kubernetes(of) => {
            let object = of.object.as_deref().or(of.manifest.as_deref()).unwrap_or_default();
            vec![format!("{} {object}", of.action)]
        }
        other => other.texts().into_iter().map(str::to_owned).collect(),
    };
    let shown: Vec<String> = written.iter().map(|text| whole(&state.shown(text))).collect();
    shown.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

fn probes(step: &StepState, state: &State) -> Vec<Probe> {
    let spec = &step.step;
    let gates = [
        ("only_if", Which::OnlyIf, spec.only_if.as_ref()),
        ("already_done", Which::AlreadyDone, spec.already_done.as_ref()),
    ];
    let gates = gates.into_iter().filter_map(|(word, which, probe)| Some((word, which, probe?)));
    let verify = spec.verify.iter().enumerate();
    let verify = verify.map(|(at, probe)| ("verify", Which::Verify(at), probe));
    let shown = gates.chain(verify).map(|(word, which, probe)| {
        let said = step.answers.get(&which);
        let (answer, words) = match said.map(|(answer, _)| *answer) {
            Some(Answer::Yes) => ("yes", "said yes"),
            Some(Answer::No) => ("no", "said no"),
            Some(Answer::Unknown) => ("unknown", "could not be answered"),
            None => ("none", "has no answer"),
        };
        let mut evidence = said.map(|(_, evidence)| lines(evidence)).unwrap_or_default();
        let cut = evidence.len().saturating_sub(EVIDENCE_LINES_MAX);
        evidence.drain(..cut);
        let words = match probe.stable_for {
            Some(length) => format!("{words}; it must hold for {}", spoken(length)),
            None => words.to_owned(),
        };
        let title = shown(&probe.title, state);
        Probe { which: word, title, answer, words, evidence }
    });
    shown.collect()
}

fn next(seen: &Seen<'_>) -> Vec<Next> {
    if matches!(seen.state.life, RunLife::Aborting | RunLife::Closed(_)) {
        return Vec::new();
    }
    let passed = seen.now.since(&seen.state.since);
    let waiting = seen.state.steps().zip(&seen.forecast.steps);
    let mut waiting: Vec<_> = waiting
        .filter(|(step, _)| step.status == Status::Pending && step.to_be_skipped().is_none())
        .map(|(step, expected)| (expected.begin.saturating_sub(passed), step))
        .collect();
    // Stable: what begins together stays in the order of the plan.
    waiting.sort_by_key(|(begin, _)| *begin);
    waiting.truncate(NEXT_MAX);
    let next = waiting.into_iter().map(|(begin, step)| Next {
        step: step.step.id.to_string(),
        title: shown(&step.step.title, seen.state),
        in_ms: millis(begin),
        words: if begin.is_zero() {
            "as soon as what it waits for is over".to_owned()
        } else {
            format!("in about {}", spoken(begin))
        },
    });
    next.collect()
}

fn obligations(state: &State, now: &Moment, commands: &Commands<'_>) -> Vec<Obligation> {
    let all = state.obligations.iter().map(|(name, obligation)| {
        let since = &obligation.since;
        let elapsed = now.since(since);
        let lifted = match lifting(state, name) {
            Some(step) => format!("`{}` lifts it", step.step.id),
            None => format!("a person lifts it: {}", commands.lift(name).line),
        };
        let words = format!(
            "in place for {}, since {}, by `{}`; {lifted}",
            spoken(elapsed),
            clock_time(since.at),
            obligation.step
        );
        Obligation {
            name: clean(name),
            step: obligation.step.to_string(),
            since: since.at,
            elapsed_ms: millis(elapsed),
            words,
        }
    });
    all.collect()
}

/// The step that will lift it; not one of another way, which nobody may ever take.
fn lifting<'s>(state: &'s State, name: &String) -> Option<&'s StepState> {
    let lifts = |one: &&StepState| one.step.lifts.contains(name) && one.status != Status::Apart;
    state.steps().find(lifts)
}

fn evidence(state: &State) -> Vec<Evidence> {
    let all = state.captured.iter().map(|one| Evidence {
        source: clean(&one.source),
        path: clean(&one.path),
        bytes: one.bytes,
        sha256: one.sha256.clone(),
    });
    all.collect()
}
