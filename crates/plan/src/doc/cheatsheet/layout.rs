//! Lines that fit: broken at blanks, in plain ASCII, no more of them than the page has.

use super::{Level, Row, Section};

/// What fits.
pub(super) struct Fitted {
    pub(super) sections: Vec<(&'static str, Vec<Row>)>,
    /// How many entries did not.
    pub(super) left_out: usize,
}

/// Shortens entries, and in the end leaves some out, the cheapest first, until all of them take
/// `lines_max` at most; `lines` says how many a row takes. A section takes one more for its title.
pub(super) fn fit(
    mut sections: Vec<Section>,
    lines_max: usize,
    lines: impl Fn(&Row) -> usize,
) -> Fitted {
    sections.retain(|section| !section.entries.is_empty());
    let height = |level: &Level| level.rows.iter().map(&lines).sum::<usize>();
    let entries: Vec<_> = sections.iter().flat_map(|section| &section.entries).collect();
    let mut total: usize = sections.len();
    // What is given up, in which order, and how many lines that saves.
    let mut cuts = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let heights: Vec<usize> = entry.levels.iter().map(height).chain([0]).collect();
        total += heights[0];
        for (level, pair) in entry.levels.iter().zip(heights.windows(2)) {
            // Of two that cost the same, the later goes first.
            let saved =
                isize::try_from(pair[0]).unwrap_or(0) - isize::try_from(pair[1]).unwrap_or(0);
            cuts.push((level.price, std::cmp::Reverse(at), saved));
        }
    }
    cuts.sort_by_key(|(price, at, _)| (*price, *at));
    let mut levels = vec![0_usize; entries.len()];
    for (_, std::cmp::Reverse(at), saved) in cuts {
        if total <= lines_max {
            break;
        }
        total = total.saturating_add_signed(-saved);
        levels[at] += 1;
    }
    let mut levels = levels.into_iter();
    let mut left_out = 0;
    let mut shown = Vec::new();
    for section in sections {
        let mut rows = Vec::new();
        for (entry, level) in section.entries.into_iter().zip(levels.by_ref()) {
            match entry.levels.into_iter().nth(level) {
                Some(level) => rows.extend(level.rows),
                None => left_out += 1,
            }
        }
        if !rows.is_empty() {
            shown.push((section.title, rows));
        }
    }
    Fitted { sections: shown, left_out }
}

/// A text as lines of at most `width` characters; those behind the first are set in by `hang`. A
/// command is broken as a shell reads it.
pub(super) fn wrapped(text: &str, width: usize, hang: usize, is_command: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut words = text.split_whitespace().peekable();
    while let Some(mut word) = words.next() {
        // Room for the backslash, where something follows.
        let tail = if is_command && words.peek().is_some() { 2 } else { 0 };
        loop {
            let used = line.chars().count();
            let blank = usize::from(!line.trim_start().is_empty());
            if used + blank + word.chars().count() + tail <= width {
                line.push_str(if blank == 1 { " " } else { "" });
                line.push_str(word);
                break;
            }
            if blank == 1 {
                lines.push(std::mem::replace(&mut line, " ".repeat(hang)));
                continue;
            }
            // A word that fits no line, such as a long address, is cut.
            let room = width.saturating_sub(used + tail).max(1);
            let cut = word.char_indices().nth(room).map_or(word.len(), |(at, _)| at);
            let (head, rest) = word.split_at(cut);
            line.push_str(head);
            if rest.is_empty() {
                break;
            }
            lines.push(std::mem::replace(&mut line, " ".repeat(hang)));
            word = rest;
        }
    }
    if !line.trim().is_empty() {
        lines.push(line);
    }
    let last = lines.len().saturating_sub(1);
    if is_command {
        lines.iter_mut().take(last).for_each(|line| line.push_str(" \\"));
    }
    lines
}

/// A text in characters that every machine has had since 1963.
pub(super) fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii_graphic() || c == ' ' => out.push(c),
            c if c.is_whitespace() || c == '\u{a0}' => out.push(' '),
            '\u{2010}'..='\u{2015}' | '\u{2212}' => out.push('-'),
            '\u{2018}'..='\u{201b}' => out.push('\''),
            '\u{201c}'..='\u{201f}' | '«' | '»' => out.push('"'),
            '…' => out.push_str("..."),
            '→' => out.push_str("->"),
            '≤' => out.push_str("<="),
            '≥' => out.push_str(">="),
            '×' => out.push('x'),
            '·' | '•' => out.push('*'),
            '€' => out.push_str("EUR"),
            c => out.push_str(letter(c)),
        }
    }
    out
}

/// A letter of the languages that plans are written in, without its marks.
fn letter(c: char) -> &'static str {
    match c {
        'ä' | 'æ' => "ae",
        'ö' | 'ø' | 'œ' => "oe",
        'ü' => "ue",
        'Ä' | 'Æ' => "Ae",
        'Ö' | 'Ø' | 'Œ' => "Oe",
        'Ü' => "Ue",
        'ß' => "ss",
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ą' => "a",
        'ç' | 'ć' | 'č' => "c",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' => "e",
        'ì' | 'í' | 'î' | 'ï' | 'ı' => "i",
        'ł' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ő' => "o",
        'ř' => "r",
        'ś' | 'š' | 'ş' => "s",
        'ù' | 'ú' | 'û' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'À' | 'Á' | 'Â' | 'Ã' | 'Å' => "A",
        'Ç' | 'Č' => "C",
        'È' | 'É' | 'Ê' | 'Ë' => "E",
        'Ł' => "L",
        'Ñ' => "N",
        'Ó' | 'Ô' | 'Õ' => "O",
        'Š' | 'Ś' => "S",
        'Ž' | 'Ż' => "Z",
        'µ' | 'μ' => "u",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, Kind};
    use super::*;

    #[test]
    fn lines_are_broken_at_blanks_and_commands_as_a_shell_reads_them() {
        assert_eq!(wrapped("aa bb cc dd", 8, 2, false), ["aa bb cc", "  dd"]);
        assert_eq!(wrapped("aa bb cc dd", 8, 2, true), ["aa bb \\", "  cc dd"]);
        assert_eq!(wrapped("abcdefghij", 4, 1, false), ["abcd", " efg", " hij"]);
        assert!(wrapped("", 4, 1, false).is_empty());
    }

    #[test]
    fn a_fax_can_send_every_letter() {
        assert_eq!(ascii("Müller → “ok” … ≤ 5 µs"), "Mueller -> \"ok\" ... <= 5 us");
        assert_eq!(ascii("名"), "?");
    }

    /// Entries of 3, 2 and 1 rows, of which each costs so much more than the one before.
    fn fitted(prices: &[u32], lines_max: usize) -> (Vec<usize>, usize) {
        let row =
            |entry: usize| Row { name: String::new(), text: entry.to_string(), kind: Kind::Head };
        let entry = |(at, price): (usize, &u32)| Entry {
            levels: [(3, 0), (2, 10), (1, 20)]
                .map(|(rows, more)| Level { rows: vec![row(at); rows], price: price + more })
                .into(),
        };
        let entries = prices.iter().enumerate().map(entry).collect();
        let fitted = fit(vec![Section { title: "s", entries }], lines_max, |_| 1);
        let rows: Vec<&Row> = fitted.sections.iter().flat_map(|(_, rows)| rows).collect();
        let count = |at: usize| rows.iter().filter(|row| row.text == at.to_string()).count();
        ((0..prices.len()).map(count).collect(), fitted.left_out)
    }

    #[test]
    fn what_costs_least_is_given_up_first() {
        assert_eq!(fitted(&[3, 2, 1], 10), (vec![3, 3, 3], 0));
        assert_eq!(fitted(&[3, 2, 1], 9), (vec![3, 3, 2], 0));
        assert_eq!(fitted(&[1, 2, 3], 9), (vec![2, 3, 3], 0));
        assert_eq!(fitted(&[3, 2, 1], 4), (vec![1, 1, 1], 0));
        assert_eq!(fitted(&[3, 2, 1], 3), (vec![1, 1, 0], 1));
        assert_eq!(fitted(&[3, 2, 1], 0), (vec![0, 0, 0], 3));
        assert_eq!(fitted(&[1, 1, 100], 4), (vec![0, 0, 3], 2));
    }
}
