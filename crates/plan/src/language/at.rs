//! Where a value was written, in which of a plan's files.
//!
//! The rule it keeps: a value and its place travel together, so that every finding can point at the
//! bytes it is about, whether they stand in YAML or in a document.

use std::ops::{Deref, Range};

use crate::mask::mask;

/// One of a plan's files, by its number in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub(crate) u32);

/// Bytes of a file. Files are smaller than 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origin {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// The byte behind the last.
    pub end: u32,
}

/// A value and where it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub origin: Origin,
}

/// A place in a file, counted from 1 as editors do; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

/// The files of a plan.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
}

/// A file of a plan.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name, as it was given.
    pub name: String,
    /// What it says, as text.
    pub text: String,
    /// What may be shown of it: the same bytes with secrets masked, none longer or shorter.
    shown: String,
    /// The first byte of each line.
    lines: Vec<u32>,
}

impl Origin {
    /// Bytes of a file.
    pub fn new(file: FileId, range: Range<usize>) -> Self {
        let fit = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { file, start: fit(range.start), end: fit(range.end) }
    }

    /// The bytes.
    pub fn range(&self) -> Range<usize> {
        // A `usize` has at least 32 bits wherever this runs.
        self.start as usize..self.end as usize
    }

    /// From the start of this to the end of `other`, which stands behind it in the same file.
    pub fn to(self, other: Self) -> Self {
        Self { end: other.end.max(self.end), ..self }
    }

    /// A part of it: `range` counts from its start.
    pub fn part(&self, range: Range<usize>) -> Self {
        let start = self.start as usize;
        let end = (start + range.end).min(self.end as usize);
        Self::new(self.file, (start + range.start).min(end)..end)
    }
}

impl<T> At<T> {
    /// A value and its place.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// Another value at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), origin: self.origin }
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl Sources {
    /// Adds a file. `secrets` are parts that no report may show, beyond what is recognised.
    pub fn add(&mut self, name: &str, text: &str, secrets: &[Range<usize>]) -> FileId {
        let lines = std::iter::once(0)
            .chain(
                text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1),
            )
            .map(|at| u32::try_from(at).unwrap_or(u32::MAX))
            .collect();
        let shown = mask(text, secrets);
        self.files.push(Source { name: name.to_owned(), text: text.to_owned(), shown, lines });
        FileId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// Adds the files of another plan; answers which number each has now.
    pub(crate) fn join(&mut self, other: Self) -> impl Fn(FileId) -> FileId + use<> {
        let before = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.files.extend(other.files);
        move |file| FileId(file.0.saturating_add(before))
    }

    /// Masks parts of a file in everything shown from now on.
    pub fn hide(&mut self, file: FileId, secrets: &[Range<usize>]) {
        if let Some(source) = self.files.get_mut(file.0 as usize) {
            source.shown = mask(&source.text, secrets);
        }
    }

    /// A file.
    pub fn file(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }

    /// All files, in the order they were added.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &Source)> {
        self.files.iter().zip(0..).map(|(source, number)| (FileId(number), source))
    }

    /// The text written there, unmasked: for reading on, never for showing.
    pub fn text(&self, origin: Origin) -> &str {
        self.file(origin.file).and_then(|file| file.text.get(origin.range())).unwrap_or("")
    }
}

impl Source {
    /// What may be shown of it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The place of a byte.
    pub fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|start| *start as usize <= offset).max(1);
        let start = self.lines.get(line - 1).map_or(0, |start| *start as usize);
        let before = self.text.as_bytes().get(start..offset.min(self.text.len())).unwrap_or(&[]);
        Place { line, column: 1 + String::from_utf8_lossy(before).chars().count() }
    }

    /// A line as it may be shown, without its end; lines count from 1.
    pub fn line(&self, line: usize) -> Option<&str> {
        let start = *self.lines.get(line.checked_sub(1)?)? as usize;
        let end = self.lines.get(line).map_or(self.shown.len(), |next| *next as usize);
        self.shown.get(start..end).map(|text| text.trim_end_matches(['\n', '\r']))
    }
}
