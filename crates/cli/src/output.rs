//! What people and programs read: data on standard output, words and progress on standard error.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use soter_plan::check::render::Paper;
use soter_world::Clock;

use crate::failure::{Ending, Failure};

/// A line of progress at most this often, where there is no terminal.
const PLAIN_LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Where a command writes to.
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    terminal: bool,
    unwritten: Mutex<Option<io::Error>>,
}

impl Output {
    /// For this process.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        Self { json, quiet, terminal, unwritten: Mutex::new(None) }
    }

    /// The command's result: as JSON if asked for, else as text. A closed pipe is no error.
    pub(crate) fn data<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        let shown = if self.json {
            serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string())
        } else {
            text(value)
        };
        self.text(&shown);
    }

    /// A result that is a text. A closed pipe is no error.
    pub(crate) fn text(&self, text: &str) {
        let written = writeln!(io::stdout(), "{}", text.trim_end());
        if let (Err(error), Ok(mut unwritten)) = (written, self.unwritten.lock()) {
            unwritten.get_or_insert(error);
        }
    }

    /// Ends the output. A result that did not reach its file, as on a full disk, is no result;
    /// whoever closed a pipe does not want to read the rest.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        let flushed = io::stdout().flush();
        let unwritten = self.unwritten.lock().ok().and_then(|mut unwritten| unwritten.take());
        match unwritten.map_or(flushed, Err) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::of(Ending::Failed, &error).during("write the result"))
            }
            _ => Ok(()),
        }
    }

    /// A sentence about what happens.
    pub(crate) fn say(&self, sentence: &str) {
        if !self.quiet {
            drop(writeln!(io::stderr(), "{sentence}"));
        }
    }

    /// A sentence that must be seen.
    pub(crate) fn warn(&self, sentence: &str) {
        drop(writeln!(io::stderr(), "warning: {sentence}"));
    }

    /// Whether results are wanted as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a line may move: a terminal, and somebody who looks at it.
    pub(crate) fn is_live(&self) -> bool {
        self.terminal && !self.quiet
    }

    /// Shows how far something is: a bar on a terminal, lines otherwise.
    pub(crate) fn progress<'a>(&self, clock: &'a dyn Clock, doing: &str) -> Meter<'a> {
        self.progress_on(Box::new(io::stderr()), clock, doing)
    }

    fn progress_on<'a>(
        &self,
        to: Box<dyn Write + Send>,
        clock: &'a dyn Clock,
        doing: &str,
    ) -> Meter<'a> {
        let bar = if self.is_live() {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            bar.set_style(style());
            bar.set_message(doing.to_owned());
            Some(bar)
        } else {
            None
        };
        let next = clock.monotonic() + PLAIN_LINE_INTERVAL;
        let lines = Lines { next, quiet: self.quiet, to };
        Meter { bar, doing: doing.to_owned(), clock, lines: Mutex::new(lines) }
    }
}

/// Columns of what is not shown on a terminal: files, pipes, the logs of a build.
const COLUMNS: usize = 100;

/// What standard output is.
pub(crate) fn paper() -> Paper {
    paper_of(&io::stdout())
}

/// What standard error is.
pub(crate) fn error_paper() -> Paper {
    paper_of(&io::stderr())
}

fn paper_of(stream: &(impl IsTerminal + AsFd)) -> Paper {
    if !stream.is_terminal() {
        return Paper { width: COLUMNS, colour: false };
    }
    let columns = rustix::termios::tcgetwinsize(stream).map(|size| usize::from(size.ws_col));
    let width = columns.ok().filter(|columns| *columns > 0).unwrap_or(Paper::PLAIN.width);
    #[expect(clippy::disallowed_methods, reason = "how a person says that they want no colours")]
    let refused = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
    Paper { width, colour: !refused }
}

fn style() -> ProgressStyle {
    let template = "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

struct Lines {
    next: Duration,
    quiet: bool,
    to: Box<dyn Write + Send>,
}

/// How far something is. May be told from several threads.
pub(crate) struct Meter<'a> {
    bar: Option<ProgressBar>,
    doing: String,
    clock: &'a dyn Clock,
    lines: Mutex<Lines>,
}

impl Meter<'_> {
    /// `done` of `total` bytes are done.
    pub(crate) fn bytes(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            return;
        }
        let Ok(mut lines) = self.lines.lock() else { return };
        let now = self.clock.monotonic();
        if lines.quiet || now < lines.next {
            return;
        }
        lines.next = now + PLAIN_LINE_INTERVAL;
        let line = format!("{}: {} of {}", self.doing, human_bytes(done), human_bytes(total));
        drop(writeln!(lines.to, "{line}"));
    }

    /// It is over; the bar disappears.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A size as people read it, in powers of 1024: `0 B`, `1.0 KiB`, `16.0 MiB`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // A tenth of a unit is all that is shown, so tenths are all that is computed.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A duration as people read it: `0.25 s`, `12.3 s`, `4 min 10 s`, `2 h 5 min`.
pub(crate) fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.2} s", duration.as_secs_f64()),
        10..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A table with aligned columns; numbers and words alike are left-aligned.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(header.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use soter_world::sim::SimClock;

    use super::*;

    /// A standard error that is looked at afterwards.
    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What an hour's work shows of itself in its first 12 seconds, with a bar or not.
    fn shown(output: &Output) -> (String, bool) {
        let (clock, shown) = (SimClock::new(), Shown::default());
        let meter = output.progress_on(Box::new(shown.clone()), &clock, "restoring orders");
        for second in 0..12 {
            meter.bytes(second << 20, 3600 << 20);
            clock.advance(Duration::from_secs(1));
        }
        meter.finish();
        let bytes = shown.0.lock().unwrap().clone();
        (String::from_utf8(bytes).unwrap(), meter.bar.is_some())
    }

    #[test]
    fn progress_is_a_bar_on_a_terminal_and_a_line_each_five_seconds_elsewhere() {
        let output =
            |terminal, quiet| Output { json: false, quiet, terminal, unwritten: Mutex::new(None) };
        let lines = "restoring orders: 5.0 MiB of 3.5 GiB\nrestoring orders: 10.0 MiB of 3.5 GiB\n";
        assert_eq!(shown(&output(false, false)), (lines.to_owned(), false));
        assert_eq!(shown(&output(true, false)), (String::new(), true));
        assert_eq!(shown(&output(false, true)), (String::new(), false));
        assert_eq!(shown(&output(true, true)), (String::new(), false));
    }

    #[test]
    fn sizes_read_well() {
        let shown = [0, 1023, 1024, 16 << 20, (16 << 20) - 1, 1 << 40, u64::MAX].map(human_bytes);
        assert_eq!(
            shown,
            ["0 B", "1023 B", "1.0 KiB", "16.0 MiB", "15.9 MiB", "1.0 TiB", "16383.9 PiB"]
        );
    }

    #[test]
    fn durations_read_well() {
        let shown =
            [250, 12_345, 250_000, 7_500_000].map(Duration::from_millis).map(human_duration);
        assert_eq!(shown, ["0.25 s", "12.3 s", "4 min 10 s", "2 h 5 min"]);
    }

    #[test]
    fn columns_are_aligned() {
        let rows =
            vec![vec!["a".to_owned(), "1".to_owned()], vec!["longer".to_owned(), "2".to_owned()]];
        assert_eq!(table(&["id", "n"], &rows), "id      n\na       1\nlonger  2");
    }
}
