//! The text that is being read, and the place of each of its bytes in the text that was given.
//!
//! The two differ for a script inside of a script: its quotes are removed, its lines may have lost
//! their prompts.

use std::ops::Range;

use super::script::{Word, to_u32, to_usize};

/// A text with the origin of each byte.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) text: String,
    origins: Vec<u32>,
    end: usize,
}

impl Source {
    /// A text as it was given.
    pub(super) fn whole(text: &str) -> Self {
        let origins = (0..to_u32(text.len())).collect();
        Self { text: text.to_owned(), origins, end: text.len() }
    }

    /// Some ranges of a text, one behind the other.
    pub(super) fn of_ranges(text: &str, ranges: &[Range<usize>]) -> Self {
        let mut source = Self { text: String::new(), origins: Vec::new(), end: text.len() };
        for range in ranges {
            source.text.push_str(text.get(range.clone()).unwrap_or(""));
            source.origins.extend(range.clone().map(to_u32));
        }
        source.end = ranges.last().map_or(0, |range| range.end);
        source
    }

    /// Some ranges of another source, one behind the other.
    pub(super) fn of_parts(source: &Self, ranges: &[Range<usize>]) -> Self {
        let end = ranges.last().map_or(0, |range| source.outer(range.end..range.end).start);
        let mut parts = Self { text: String::new(), origins: Vec::new(), end };
        for range in ranges {
            parts.text.push_str(source.text.get(range.clone()).unwrap_or(""));
            parts.origins.extend(source.origins(range.clone()));
        }
        parts
    }

    /// A word, as a shell that is given it would read it.
    pub(super) fn of_word(word: &Word) -> Self {
        Self { text: word.text.clone(), origins: word.origins.clone(), end: word.range.end }
    }

    /// Words with a space between each two, as `ssh` and `eval` put them together.
    pub(super) fn of_words(words: &[Word]) -> Self {
        let end = words.last().map_or(0, |word| word.range.end);
        let mut source = Self { text: String::new(), origins: Vec::new(), end };
        for word in words {
            if !source.text.is_empty() {
                source.text.push(' ');
                source.origins.push(to_u32(word.range.start.saturating_sub(1)));
            }
            source.text.push_str(&word.text);
            source.origins.extend(&word.origins);
        }
        source
    }

    /// Where a range of this text stands in the text that was given.
    pub(super) fn outer(&self, range: Range<usize>) -> Range<usize> {
        let start = self.origins.get(range.start).map_or(self.end, |&at| to_usize(at));
        let last = range.end.checked_sub(1).filter(|&last| last >= range.start);
        let end =
            last.and_then(|last| self.origins.get(last)).map_or(start, |&at| to_usize(at) + 1);
        start..end.max(start)
    }

    /// The origins of a range.
    pub(super) fn origins(&self, range: Range<usize>) -> &[u32] {
        self.origins.get(range).unwrap_or(&[])
    }
}
