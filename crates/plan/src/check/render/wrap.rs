//! Words into lines of a certain width, as a terminal shows them.

use unicode_width::UnicodeWidthStr;

/// Breaks a text at its blanks, so that no line is wider than `width` where that can be. Line breaks
/// of the text stay; a word that is wider has a line of its own.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_whitespace() {
            let needed = word.width();
            if used > 0 && used + 1 + needed > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += needed;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn lines_are_as_wide_as_they_may_be() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one\n\ntwo", 80), ["one", "", "two"]);
        // Two columns each, as a terminal draws them.
        assert_eq!(wrap("日本 語 a", 6), ["日本", "語 a"]);
        assert_eq!(wrap("verylongword a", 4), ["verylongword", "a"]);
        assert_eq!(wrap("", 4), Vec::<String>::new());
    }
}
