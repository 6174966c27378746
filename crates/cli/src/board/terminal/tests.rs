use ratatui_core::backend::TestBackend;

use super::keys::Key;
use super::view::Page;
use super::*;
use crate::board::tests::{facts, plain, situations};

/// A screen of some size.
struct Screen {
    terminal: Terminal<TestBackend>,
    view: View,
}

impl Screen {
    fn new(columns: u16, rows: u16) -> Self {
        let terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        Self { terminal, view: View::default() }
    }

    /// What somebody sees, line by line.
    fn see(&mut self, board: &Board) -> String {
        let view = &mut self.view;
        self.terminal
            .draw(|frame| {
                let area = frame.area();
                draw::draw(view, board, frame.buffer_mut(), area);
            })
            .unwrap();
        let buffer = self.terminal.backend().buffer();
        let columns = usize::from(buffer.area().width.max(1));
        let rows = buffer.content().chunks(columns).map(|row| {
            let row: String = row.iter().map(|cell| cell.symbol()).collect();
            row.trim_end().to_owned()
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    fn press(&mut self, key: Key, board: &Board) -> String {
        assert_eq!(self.view.press(key, board), Pressed::Stay);
        self.see(board)
    }
}

#[test]
fn a_run_reads_well_on_a_small_screen() {
    for (name, board) in situations() {
        insta::assert_snapshot!(name, Screen::new(80, 24).see(&board));
    }
}

#[test]
fn the_pages_of_a_screen() {
    let (_, board) = situations().swap_remove(4);
    let mut screen = Screen::new(80, 30);
    screen.see(&board);
    insta::assert_snapshot!("page_step", screen.press(Key::Enter, &board));
    insta::assert_snapshot!("page_decisions", screen.press(Key::Letter('a'), &board));
    insta::assert_snapshot!("page_help", screen.press(Key::Letter('?'), &board));
}

/// All that can be read of a board by pressing keys on a screen of 80 columns and 24 rows.
fn all_pages(board: &Board) -> String {
    let mut screen = Screen::new(80, 24);
    let mut seen = screen.see(board);
    let turn = |screen: &mut Screen, seen: &mut String| {
        loop {
            let before = screen.view.from;
            seen.push_str(&screen.press(Key::Letter(' '), board));
            if screen.view.from == before {
                return;
            }
        }
    };
    for page in [Key::Tab, Key::Letter('a')] {
        seen.push_str(&screen.press(page, board));
        turn(&mut screen, &mut seen);
        screen.press(Key::Escape, board);
    }
    screen.press(Key::Home, board);
    for _ in 0..board.steps.len() {
        seen.push_str(&screen.press(Key::Enter, board));
        turn(&mut screen, &mut seen);
        screen.press(Key::Enter, board);
        screen.press(Key::Down, board);
    }
    seen
}

#[test]
fn every_fact_is_on_the_screen() {
    for (name, board) in situations() {
        let seen = plain(&all_pages(&board));
        for fact in facts(&board) {
            assert!(seen.contains(&plain(&fact)), "{name}: {fact:?} is nowhere");
        }
    }
}

#[test]
fn what_a_step_does_is_one_key_away() {
    let (_, board) = situations().swap_remove(1);
    let seen = plain(&all_pages(&board));
    for line in board.steps.iter().flat_map(|step| &step.text) {
        assert!(seen.contains(&plain(line)), "{line:?} is nowhere");
    }
}

#[test]
fn every_page_of_every_size_says_whether_it_is_the_real_thing() {
    for (name, board) in situations() {
        let banner = plain(&board.banner());
        for (columns, rows) in [(1, 1), (10, 3), (20, 10), (40, 12), (80, 24), (300, 100)] {
            let mut screen = Screen::new(columns, rows);
            for key in [Key::Escape, Key::Enter, Key::Tab, Key::Letter('a'), Key::Letter('?')] {
                let seen = plain(&screen.press(key, &board));
                let shown =
                    banner.chars().zip(seen.chars()).take_while(|(one, other)| one == other);
                let room = usize::from(columns) * usize::from(rows);
                let expect = banner.chars().count().min(if columns < 20 { room / 2 } else { room });
                assert!(shown.count() >= expect.min(4), "{name} {columns}x{rows}: {seen}");
                assert!(columns < 20 || seen.contains(&banner), "{name} {columns}x{rows}: {seen}");
            }
        }
    }
}

#[test]
fn what_needs_somebody_is_there_before_any_key() {
    for (name, board) in situations() {
        let seen = plain(&Screen::new(80, 24).see(&board));
        if let Some(decision) = board.decisions.first() {
            let expect = [&decision.title, &decision.who, &decision.commands[0].line];
            for fact in expect.into_iter().chain(&decision.until_words) {
                assert!(seen.contains(&plain(fact)), "{name}: {fact}");
            }
        }
        if board.mirror.is != "following" {
            let loud: String = plain(&board.mirror.words).chars().take(9).collect();
            assert!(seen.contains(&loud), "{name}: {seen}");
        }
        let whole: String = plain(&board.whole.words).chars().take(16).collect();
        assert!(seen.contains(&whole), "{name}: {seen}");
    }
}

#[test]
fn keys_choose_scroll_and_leave() {
    let (_, board) = situations().swap_remove(1);
    let mut screen = Screen::new(80, 24);
    screen.see(&board);
    assert_eq!(screen.view.step(&board), Some(2), "what runs is looked at");
    screen.press(Key::Up, &board);
    assert_eq!(screen.view.step(&board), Some(1));
    screen.press(Key::End, &board);
    assert_eq!(screen.view.step(&board), Some(board.steps.len() - 1));
    screen.press(Key::Down, &board);
    assert_eq!(screen.view.step(&board), Some(board.steps.len() - 1));
    screen.press(Key::Letter('f'), &board);
    assert_eq!(screen.view.step(&board), Some(2));
    screen.press(Key::Tab, &board);
    screen.press(Key::End, &board);
    let last = screen.view.from;
    assert!(last > 0);
    screen.press(Key::PageDown, &board);
    assert_eq!(screen.view.from, last, "there is nothing behind the end");
    screen.press(Key::Home, &board);
    assert_eq!((screen.view.from, screen.view.page), (0, Page::Everything));
    screen.press(Key::Escape, &board);
    assert_eq!(screen.view.page, Page::Overview);
    assert_eq!(screen.view.press(Key::Letter('r'), &board), Pressed::Redraw);
    assert_eq!(screen.view.press(Key::Letter('q'), &board), Pressed::Leave);
}

#[test]
fn a_screen_that_changes_its_size_is_drawn_anew() {
    let (_, board) = situations().swap_remove(1);
    let mut screen = Screen::new(120, 40);
    screen.see(&board);
    for (columns, rows) in [(80, 24), (20, 8), (120, 40)] {
        screen.terminal.backend_mut().resize(columns, rows);
        let expect = Screen::new(columns, rows).see(&board);
        assert_eq!(screen.see(&board), expect);
    }
}

#[test]
fn keys_come_whole_or_in_pieces() {
    let mut keys = Keys::default();
    let arrows = b"\x1b[A\x1b[B\x1bOA\x1b[5~\x1b[6~\x1b[H\x1b[4~";
    let expect = [Key::Up, Key::Down, Key::Up, Key::PageUp, Key::PageDown, Key::Home, Key::End];
    assert_eq!(keys.read(arrows), expect);
    let mut found = Vec::new();
    for byte in arrows {
        found.extend(keys.read(&[*byte]));
    }
    assert_eq!(found, expect);
    assert_eq!(keys.read(b"q\r\t\x7f"), [Key::Letter('q'), Key::Enter, Key::Tab, Key::Escape]);
    assert_eq!(keys.read(b"\x1b"), []);
    assert_eq!(keys.read(b""), [Key::Escape]);
    assert_eq!(keys.read(b"\x1b[200"), []);
    assert_eq!(keys.read(b""), [], "half a sequence is no key");
    assert_eq!(keys.read("ä\u{1b}[24~a".as_bytes()), [Key::Letter('a')]);
    assert_eq!(keys.read(b"\x1b\x1b[A"), [Key::Escape, Key::Up]);
    for byte in 0..=255_u8 {
        keys.read(&[byte; 40]);
    }
    keys.read(b"");
    assert_eq!(keys.read(b"a"), [Key::Letter('a')], "nothing stays behind");
}

#[test]
fn a_terminal_is_told_where_and_how() {
    use ratatui_core::layout::Size;
    use ratatui_core::style::{Color, Style};

    let told = |colour: bool| {
        let mut bytes = Vec::new();
        let size = || Ok(Size { width: 12, height: 2 });
        let mut terminal = Terminal::new(Ansi::new(&mut bytes, colour, size)).unwrap();
        terminal
            .draw(|frame| {
                let buffer = frame.buffer_mut();
                buffer.set_string(0, 0, "ok", Style::new().fg(Color::Green));
                buffer.set_string(4, 1, "é!", Style::new());
            })
            .unwrap();
        drop(terminal);
        String::from_utf8(bytes).unwrap()
    };
    let coloured = told(true);
    assert!(coloured.contains("\u{1b}[1;1H\u{1b}[0;32mok"), "{coloured:?}");
    assert!(coloured.contains("\u{1b}[2;5H\u{1b}[0mé\u{1b}[2;6H!"), "{coloured:?}");
    assert!(told(false).contains("\u{1b}[1;1H\u{1b}[0mok"), "{:?}", told(false));
}
