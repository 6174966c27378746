//! The terminal itself: taken, and given back as it was.
//!
//! The rule it keeps: it is given back however the process goes on: when the screen ends, and before a
//! panic says anything. Ctrl-C stays a signal; Ctrl-Z, which would leave the terminal taken, is a key.

use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use ratatui_core::layout::Size;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

/// Another screen, so that what was there before is there again afterwards, and no cursor.
const TAKE: &[u8] = b"\x1b[?1049h\x1b[?25l";

/// Back: no colours, the cursor, the screen that was there.
const GIVE_BACK: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";

/// A read returns after so many tenths of a second without a key: this is how often the screen looks
/// for a new board.
const READ_TENTHS: u8 = 1;

/// So many bytes of keys at once.
const KEYS_BYTES: usize = 256;

/// How the terminal was, while it is taken.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal, taken until this is dropped.
pub(super) struct Mode(());

impl Mode {
    pub(super) fn take() -> io::Result<Self> {
        give_back_before_a_panic_speaks();
        let before = tcgetattr(io::stdin())?;
        let mut taken = before.clone();
        taken.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        taken.special_codes[SpecialCodeIndex::VMIN] = 0;
        taken.special_codes[SpecialCodeIndex::VTIME] = READ_TENTHS;
        taken.special_codes[SpecialCodeIndex::VSUSP] = 0;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let mode = Self(());
        tcsetattr(io::stdin(), OptionalActions::Now, &taken)?;
        io::stderr().write_all(TAKE)?;
        Ok(mode)
    }

    /// The keys that were pressed, as they came; none after a tenth of a second without any.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = [0; KEYS_BYTES];
        match rustix::io::read(io::stdin(), &mut bytes) {
            Ok(count) => Ok(bytes.get(..count).unwrap_or_default().to_vec()),
            Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn size(&self) -> io::Result<Size> {
        let size = tcgetwinsize(io::stderr())?;
        // Some serial consoles do not know.
        let or = |count: u16, usual: u16| if count == 0 { usual } else { count };
        Ok(Size { width: or(size.ws_col, 80), height: or(size.ws_row, 24) })
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back if it is taken.
fn give_back() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // Nothing is left to be done about a terminal that does not take this.
        drop(io::stderr().write_all(GIVE_BACK));
        drop(io::stderr().flush());
        tcsetattr(io::stdin(), OptionalActions::Flush, &before).ok();
    }
}

fn give_back_before_a_panic_speaks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            next(panic);
        }));
    });
}
