//! What somebody has chosen to look at, and what a key makes of it.

use super::keys::Key;
use crate::board::Board;

/// A page of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Page {
    /// What matters now.
    #[default]
    Overview,
    /// One step, with its log, probes and script.
    Step,
    /// What is needed of people, with everything to type.
    Decisions,
    /// All there is.
    Everything,
    /// The keys.
    Help,
}

/// What is looked at.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) page: Page,
    /// The step that was chosen; none: the one that matters most.
    pub(super) chosen: Option<usize>,
    /// The first row of a page that is longer than the screen.
    pub(super) from: usize,
    /// How many rows there were room for when it was last drawn, and how many there are.
    pub(super) room: usize,
    pub(super) rows: usize,
}

/// What follows from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    /// The screen goes on.
    Stay,
    /// Somebody leaves. The run goes on.
    Leave,
    /// The terminal shows something else than what was drawn.
    Redraw,
}

impl View {
    /// The step that is looked at.
    pub(super) fn step(&self, board: &Board) -> Option<usize> {
        self.chosen.filter(|at| *at < board.steps.len()).or_else(|| matters_most(board))
    }

    pub(super) fn press(&mut self, key: Key, board: &Board) -> Pressed {
        match key {
            Key::Letter('q' | 'Q') => return Pressed::Leave,
            // Ctrl-L is not a letter; this is for terminals where somebody else has written.
            Key::Letter('r' | 'R') => return Pressed::Redraw,
            Key::Letter('?' | 'h') => self.open(Page::Help),
            Key::Letter('a' | 'A') => self.open(Page::Decisions),
            Key::Tab if self.page == Page::Everything => self.open(Page::Overview),
            Key::Tab => self.open(Page::Everything),
            Key::Enter if self.page == Page::Overview => self.open(Page::Step),
            Key::Enter | Key::Escape => self.open(Page::Overview),
            _ if self.page == Page::Overview => self.choose(key, board),
            _ => self.scroll(key),
        }
        Pressed::Stay
    }

    fn open(&mut self, page: Page) {
        (self.page, self.from) = (page, 0);
    }

    fn choose(&mut self, key: Key, board: &Board) {
        let Some(last) = board.steps.len().checked_sub(1) else { return };
        let at = self.step(board).unwrap_or(0);
        self.chosen = Some(match key {
            Key::Up => at.saturating_sub(1),
            Key::Down => (at + 1).min(last),
            Key::PageUp => at.saturating_sub(10),
            Key::PageDown => (at + 10).min(last),
            Key::Home => 0,
            Key::End => last,
            // Follow what matters again.
            Key::Letter('f') => {
                self.chosen = None;
                return;
            }
            _ => return,
        });
    }

    fn scroll(&mut self, key: Key) {
        let last = self.rows.saturating_sub(self.room);
        let page = self.room.saturating_sub(1).max(1);
        self.from = match key {
            Key::Up => self.from.saturating_sub(1),
            Key::Down => self.from + 1,
            Key::PageUp => self.from.saturating_sub(page),
            Key::PageDown | Key::Letter(' ') => self.from + page,
            Key::Home => 0,
            Key::End => last,
            _ => self.from,
        }
        .min(last);
    }
}

/// The step that somebody wants to see who has chosen none: one that needs a person, else one that
/// runs, else the next.
pub(super) fn matters_most(board: &Board) -> Option<usize> {
    let find = |states: &[&str]| board.steps.iter().position(|step| states.contains(&step.is));
    find(&["doubt", "failed", "undone"])
        .or_else(|| find(&["person"]))
        .or_else(|| find(&["runs", "verifies"]))
        .or_else(|| find(&["retries", "ready"]))
        .or_else(|| find(&["waits"]))
        .or_else(|| board.steps.len().checked_sub(1))
}
