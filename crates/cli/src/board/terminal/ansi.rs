//! What a terminal is told, in the sequences that every terminal of today takes.
//!
//! The rule it keeps: it only writes. Keys, sizes and signals come to the process by other ways, so
//! nothing here asks the terminal anything.

use std::fmt::Write as _;
use std::io::{self, Write};

use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};

/// Writes cells to a terminal.
pub(super) struct Ansi<W, S> {
    to: W,
    colour: bool,
    size: S,
    cursor: Position,
}

impl<W: Write, S: Fn() -> io::Result<Size>> Ansi<W, S> {
    pub(super) fn new(to: W, colour: bool, size: S) -> Self {
        Self { to, colour, size, cursor: Position::ORIGIN }
    }

    fn look(&self, cell: &Cell) -> String {
        let mut codes = "\u{1b}[0".to_owned();
        for (modifier, code) in [(Modifier::BOLD, 1), (Modifier::DIM, 2), (Modifier::REVERSED, 7)] {
            if cell.modifier.contains(modifier) {
                push(&mut codes, code);
            }
        }
        let colours = [(cell.fg, 30), (cell.bg, 40)];
        for (colour, base) in colours.into_iter().filter(|_| self.colour) {
            if let Some(number) = number(colour) {
                push(&mut codes, base + number);
            }
        }
        codes.push('m');
        codes
    }
}

fn push(codes: &mut String, code: u8) {
    write!(codes, ";{code}").expect("a text takes everything");
}

/// The eight colours that are used, by their number.
fn number(colour: Color) -> Option<u8> {
    Some(match colour {
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::White => 7,
        _ => return None,
    })
}

impl<W: Write, S: Fn() -> io::Result<Size>> Backend for Ansi<W, S> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut looks = String::new();
        let mut next = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                write!(self.to, "\u{1b}[{};{}H", u32::from(y) + 1, u32::from(x) + 1)?;
            }
            let look = self.look(cell);
            if look != looks {
                self.to.write_all(look.as_bytes())?;
                looks = look;
            }
            self.to.write_all(cell.symbol().as_bytes())?;
            // A wide letter moves the cursor by more: then it is set anew.
            next = cell.symbol().is_ascii().then_some((x.saturating_add(1), y));
        }
        self.to.write_all(b"\x1b[0m")
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.to.write_all(b"\x1b[?25l")
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.to.write_all(b"\x1b[?25h")
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(self.cursor)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.cursor = position.into();
        let Position { x, y } = self.cursor;
        write!(self.to, "\u{1b}[{};{}H", u32::from(y) + 1, u32::from(x) + 1)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.to.write_all(b"\x1b[0m\x1b[2J")
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.to.write_all(match region {
            ClearType::All => b"\x1b[2J",
            ClearType::AfterCursor => b"\x1b[0J",
            ClearType::BeforeCursor => b"\x1b[1J",
            ClearType::CurrentLine => b"\x1b[2K",
            ClearType::UntilNewLine => b"\x1b[0K",
        })
    }

    fn size(&self) -> io::Result<Size> {
        (self.size)()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: (self.size)()?, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
