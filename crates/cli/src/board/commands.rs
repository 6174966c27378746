//! What a person types about a run, to the letter.
//!
//! The rule it keeps: a line shown on a screen is one that the program takes; a test gives each to the
//! parser. What is to be replaced stands in capital letters.

use soter_runbook::RunId;

use super::Command;

/// Makes lines about one run.
pub(super) struct Commands<'r> {
    /// The run.
    pub(super) run: &'r RunId,
    /// Options that each of them needs here.
    pub(super) options: &'r str,
}

impl Commands<'_> {
    fn line(&self, words: &str, verb: &str, rest: &str) -> Command {
        let mut line = format!("soter run {verb} {}", self.run);
        for part in [rest, self.options] {
            if !part.is_empty() {
                line.push(' ');
                line.push_str(part);
            }
        }
        Command { words: words.to_owned(), line }
    }

    pub(super) fn resume(&self) -> Command {
        self.line("carry it on", "resume", "")
    }

    pub(super) fn local(&self) -> Command {
        self.line("carry it on without the mirror", "resume", "--local")
    }

    pub(super) fn code(&self, step: &str) -> Command {
        self.line(
            "the approver makes a code, on their own machine",
            "code",
            &format!("{step} --as PERSON"),
        )
    }

    pub(super) fn approve(&self, step: &str) -> Command {
        self.line(
            "say yes, with the code they tell you",
            "approve",
            &format!("{step} --as PERSON --code CODE"),
        )
    }

    /// In a drill.
    pub(super) fn agree(&self, step: &str) -> Command {
        self.line(
            "say yes: in a drill their word is enough",
            "approve",
            &format!("{step} --as PERSON"),
        )
    }

    pub(super) fn break_glass(&self, step: &str) -> Command {
        let words = "nobody can be reached: say yes alone, which leaves an obligation";
        self.line(words, "approve", &format!("{step} --break-glass"))
    }

    pub(super) fn refuse(&self, step: &str) -> Command {
        self.line("say no", "refuse", &format!("{step} --why WHY"))
    }

    pub(super) fn answer(&self, step: &str) -> Command {
        self.line("answer", "answer", &format!("{step} ANSWER"))
    }

    pub(super) fn deed(&self, step: &str) -> Command {
        self.line("say that it is done", "answer", &format!("{step} done"))
    }

    pub(super) fn deed_for_good(&self, step: &str, target: &str) -> Command {
        let words = "it cannot be taken back: say that it is done, by the target's name";
        self.line(words, "answer", &format!("{step} {}", quoted(target)))
    }

    pub(super) fn give(&self, name: &str) -> Command {
        self.line("give it its value", "give", &format!("{name} VALUE"))
    }

    /// `about` names the step or phase, and which of its questions.
    pub(super) fn look(&self, about: &str, answer: &str) -> Command {
        let words = format!("you looked, and it is {answer}");
        self.line(&words, "look", &about.replacen(' ', &format!(" {answer} "), 1))
    }

    pub(super) fn retry(&self, step: &str) -> Command {
        self.line("try it again", "retry", step)
    }

    pub(super) fn ask_again(&self, step: &str) -> Command {
        self.line("ask again whether it is done", "retry", &format!("{step} --verification"))
    }

    pub(super) fn amend(&self, step: &str) -> Command {
        self.line("give it another script", "amend", &format!("{step} --script FILE --why WHY"))
    }

    pub(super) fn mark_done(&self, step: &str) -> Command {
        self.line("it was done by other means", "mark-done", &format!("{step} --why WHY"))
    }

    pub(super) fn skip(&self, step: &str) -> Command {
        self.line("leave it out", "skip", &format!("{step} --why WHY"))
    }

    /// `title` is that of the other way.
    pub(super) fn branch(&self, step: &str, title: &str) -> Command {
        let words = format!("take the other way instead: {title}");
        self.line(&words, "branch", &format!("{step} --why WHY"))
    }

    /// `title` is that of the steps that do it.
    pub(super) fn undo(&self, step: &str, title: &str) -> Command {
        let words = format!("take `{step}` back: {title}");
        self.line(&words, "undo", &format!("{step} --why WHY"))
    }

    pub(super) fn undo_by_hand(&self, step: &str) -> Command {
        let words = "it was taken back by hand";
        self.line(words, "undo", &format!("{step} --by-hand --why WHY"))
    }

    pub(super) fn abort(&self) -> Command {
        self.line("give the run up", "abort", "--why WHY")
    }

    pub(super) fn resolve(&self, step: &str) -> [Command; 4] {
        let line = |words, how| self.line(words, "resolve", &format!("{step} {how} --why WHY"));
        [
            line("it was not done, or may be done again: do it", "run"),
            line("it was done: go on with its probes", "done"),
            line("it is not needed", "skip"),
            line("it was not done, or not whole, and does not run any more: decide then", "failed"),
        ]
    }

    pub(super) fn lift(&self, name: &str) -> Command {
        let words = format!("say that {name} is over");
        self.line(&words, "lift", &format!("{} --why WHY", quoted(name)))
    }

    pub(super) fn go_on(&self) -> Command {
        self.line("let it go on", "continue", "")
    }
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Every line there is, for the test that gives each to the parser.
#[cfg(test)]
pub(super) fn every(of: &Commands<'_>) -> Vec<Command> {
    let mut all = vec![
        of.resume(),
        of.local(),
        of.code("a"),
        of.approve("a"),
        of.agree("a"),
        of.break_glass("a"),
        of.refuse("a"),
        of.answer("a"),
        of.deed("a"),
        of.deed_for_good("a", "The workshop"),
        of.give("host"),
        of.look("a --probe verify:2", "yes"),
        of.look("phase:1 ", "unknown"),
        of.retry("a"),
        of.ask_again("a"),
        of.amend("a"),
        of.mark_done("a"),
        of.skip("a"),
        of.branch("a", "from London"),
        of.undo("a", "the rule is taken away"),
        of.undo_by_hand("a"),
        of.abort(),
        of.lift("shop stopped"),
        of.go_on(),
    ];
    all.extend(of.resolve("a"));
    all
}
