//! What the person sees: headings, one line for each thing that was done, and on a terminal a line
//! that lives while something is being done.

use std::cell::RefCell;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use soter_world::Clock;

use crate::output::{Output, human_duration};

/// Times end at this column, within the narrowest terminal.
const WIDTH: usize = 79;

/// How often the living line moves.
const TICK: Duration = Duration::from_millis(100);

/// Where the demonstration is shown.
pub(super) struct Screen<'a> {
    output: &'a Output,
    clock: &'a dyn Clock,
    begun: Duration,
    step_begun: RefCell<Duration>,
    living: Option<ProgressBar>,
}

impl<'a> Screen<'a> {
    /// An empty one; time begins to run.
    pub(super) fn new(output: &'a Output, clock: &'a dyn Clock) -> Self {
        let living = output.is_live().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("   {spinner} {msg}  {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
            bar.enable_steady_tick(TICK);
            bar
        });
        let begun = clock.monotonic();
        Self { output, clock, begun, step_begun: RefCell::new(begun), living }
    }

    /// How long it has been running.
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.begun)
    }

    /// A sentence.
    pub(super) fn say(&self, sentence: &str) {
        match &self.living {
            Some(bar) => bar.suspend(|| self.output.say(sentence)),
            None => self.output.say(sentence),
        }
    }

    /// An act begins.
    pub(super) fn act(&self, number: u32, title: &str) {
        let heading = format!("{number}  {title}");
        let seconds = self.elapsed().as_secs();
        let heading = set_against(&heading, &format!("{}:{:02}", seconds / 60, seconds % 60));
        self.say("");
        self.say(&self.strong(&heading));
    }

    /// Something begins that takes a while.
    pub(super) fn begin(&self, what: &str) {
        *self.step_begun.borrow_mut() = self.clock.monotonic();
        if let Some(bar) = &self.living {
            bar.reset_elapsed();
        }
        self.live(what);
    }

    /// How far it is.
    pub(super) fn live(&self, what: &str) {
        if let Some(bar) = &self.living {
            bar.set_message(what.to_owned());
        }
    }

    /// It is done, and this came of it.
    pub(super) fn done(&self, what: &str) {
        let took = self.clock.monotonic().saturating_sub(*self.step_begun.borrow());
        self.live("");
        self.say(&set_against(&format!("   ✓ {what}"), &human_duration(took)));
    }

    /// More about what was done.
    pub(super) fn note(&self, what: &str) {
        self.say(&format!("     {what}"));
    }

    /// What is done to the cluster, which in earnest would be terrible.
    pub(super) fn drill(&self, what: &str) {
        self.live("");
        self.say(&self.strong(&format!("   ✗ DRILL: {what}")));
    }

    /// Something is not as it must be.
    pub(super) fn differs(&self, what: &str) {
        self.say(&self.strong(&format!("   ! {what}")));
    }

    fn strong(&self, text: &str) -> String {
        if self.living.is_some() { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.living {
            bar.finish_and_clear();
        }
    }
}

fn set_against(left: &str, right: &str) -> String {
    let taken = left.chars().count() + right.chars().count();
    let blanks = WIDTH.saturating_sub(taken).max(2);
    format!("{left}{:blanks$}{right}", "")
}

/// A number as people read it: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let shown = [0, 999, 1000, 12_345, 5_000_000].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "5,000,000"]);
    }

    #[test]
    fn times_stand_in_one_column() {
        let lines = [set_against("short", "1.2 s"), set_against("somewhat longer", "12.3 s")];
        assert!(lines.iter().all(|line| line.len() == WIDTH), "{lines:?}");
        assert_eq!(set_against(&"x".repeat(WIDTH), "1 s"), format!("{}  1 s", "x".repeat(WIDTH)));
    }
}
