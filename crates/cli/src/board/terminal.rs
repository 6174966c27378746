//! A run on a terminal that somebody looks at.
//!
//! The rule it keeps: watching is not carrying on. The screen has a thread of its own, is given
//! boards, and gives back nothing but that somebody has left; to leave it changes nothing in the run.
//! Ctrl-C is not a key here: it reaches the process as it always does. However the screen ends, the
//! terminal is as it was before.

mod ansi;
mod draw;
mod keys;
mod mode;
mod view;

#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use ratatui_core::terminal::Terminal;

use super::Board;
use ansi::Ansi;
use keys::Keys;
use mode::Mode;
use view::{Pressed, View};

/// Whether somebody can look and press keys: both ends are a terminal, and it is one that can move
/// its cursor.
pub(crate) fn is_possible() -> bool {
    #[expect(clippy::disallowed_methods, reason = "how a terminal says what it is")]
    let kind = std::env::var("TERM").unwrap_or_default();
    io::stdin().is_terminal() && io::stderr().is_terminal() && !matches!(&*kind, "" | "dumb")
}

/// A screen is written at once, so that nobody sees half of it.
const SCREEN_BYTES: usize = 1 << 16;

/// A screen that somebody watches.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

struct Shared {
    board: Mutex<Option<Arc<Board>>>,
    is_new: AtomicBool,
    is_over: AtomicBool,
    is_left: AtomicBool,
}

/// Says at its end that the screen is left.
struct LeftAtTheEnd(Arc<Shared>);

impl Drop for LeftAtTheEnd {
    fn drop(&mut self) {
        self.0.is_left.store(true, Ordering::Release);
    }
}

/// A defect, for the test that looks at what becomes of the terminal. No released binary has it.
#[cfg(debug_assertions)]
fn panic_if_asked() {
    let is_asked = std::env::var_os("SOTER_TEST_SCREEN_PANIC").is_some();
    assert!(!is_asked, "asked for by SOTER_TEST_SCREEN_PANIC");
}

impl Watch {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it is none, or does not do as it should.
    pub(crate) fn begin(colour: bool) -> io::Result<Self> {
        let mode = Mode::take()?;
        let shared = Arc::new(Shared {
            board: Mutex::new(None),
            is_new: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("screen".to_owned()).spawn(move || {
            // Also if it has a defect: then somebody else goes on to show the run.
            let _left = LeftAtTheEnd(Arc::clone(&of_thread));
            watch(&of_thread, &mode, colour)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Shows another board.
    pub(crate) fn show(&self, board: Board) {
        *self.shared.board.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(board));
        self.shared.is_new.store(true, Ordering::Release);
    }

    /// Whether whoever watched has left, or the screen could not go on: the terminal is as it was.
    pub(crate) fn is_left(&self) -> bool {
        self.shared.is_left.load(Ordering::Acquire)
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    /// When the screen could not go on.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.close().unwrap_or(Ok(()))
    }

    fn close(&mut self) -> Option<io::Result<()>> {
        self.shared.is_over.store(true, Ordering::Release);
        let ended = self.thread.take()?.join();
        Some(ended.unwrap_or_else(|_| Err(io::Error::other("the screen has a defect"))))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.close());
    }
}

/// The screen's thread: draws what is new, takes keys, ends when asked to or when somebody leaves.
fn watch(shared: &Shared, mode: &Mode, colour: bool) -> io::Result<()> {
    let size = || mode.size();
    let to = io::BufWriter::with_capacity(SCREEN_BYTES, io::stderr());
    let mut terminal = Terminal::new(Ansi::new(to, colour, size))?;
    terminal.clear()?;
    let (mut view, mut keys) = (View::default(), Keys::default());
    let mut drawn = None;
    loop {
        let is_over = shared.is_over.load(Ordering::Acquire);
        let board = shared.board.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut is_changed = shared.is_new.swap(false, Ordering::AcqRel);
        if let Some(board) = &board {
            for key in keys.read(&mode.read()?) {
                is_changed = true;
                match view.press(key, board) {
                    Pressed::Leave => return Ok(()),
                    Pressed::Redraw => terminal.clear()?,
                    Pressed::Stay => {}
                }
            }
            let now = mode.size()?;
            if is_changed || drawn != Some(now) {
                terminal.draw(|frame| {
                    let area = frame.area();
                    draw::draw(&mut view, board, frame.buffer_mut(), area);
                })?;
                drawn = Some(now);
                #[cfg(debug_assertions)]
                panic_if_asked();
            }
        } else {
            drop(mode.read()?);
        }
        if is_over {
            return Ok(());
        }
    }
}
