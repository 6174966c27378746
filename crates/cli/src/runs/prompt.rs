//! Asking the person at the terminal.
//!
//! The rule it keeps: what is secret is not shown while it is typed, also when it ends badly.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use crate::failure::{Ending, Failure};

/// What the keys Ctrl and C send.
const CTRL_C: u8 = 3;

/// Whether somebody can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a line.
pub(crate) fn line(question: &str) -> Result<String, Failure> {
    let failed =
        |error: io::Error| Failure::of(Ending::Failed, &error).during("ask at the terminal");
    write!(io::stderr(), "{question} ").and_then(|()| io::stderr().flush()).map_err(failed)?;
    let mut answer = String::new();
    let count = io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    if count == 0 {
        return Err(Failure::new(Ending::Input, "the question was not answered"));
    }
    Ok(answer.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks for a line that is not shown.
pub(crate) fn secret(question: &str) -> Result<String, Failure> {
    let hidden = Hidden::begin()?;
    let answer = line(question);
    drop(hidden);
    drop(writeln!(io::stderr()));
    match answer {
        Ok(answer) if answer.contains(char::from(CTRL_C)) => {
            Err(Failure::new(Ending::Input, "the question was not answered"))
        }
        other => other,
    }
}

/// The terminal shows nothing of what is typed as long as this lives.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> Result<Self, Failure> {
        let failed =
            |error: rustix::io::Errno| Failure::of(Ending::Failed, &io::Error::from(error));
        let before = termios::tcgetattr(io::stdin()).map_err(failed)?;
        let mut silent = before.clone();
        // Ctrl-C ends the line instead of the process, which could not make the terminal show again.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &silent).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing anyway.
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0).ok();
    }
}

/// Says something to the person who is asked.
pub(crate) fn say(words: &str) {
    drop(writeln!(io::stderr(), "{words}"));
}
