//! Tables by the meaning of their columns.

use crate::markdown::measure::{Unit, target};
use crate::markdown::text::Text;
use crate::markdown::tree::Table;
use crate::markdown::vocabulary::{Word, is_nothing, word};

/// A table whose columns are known.
pub(crate) struct Columns<'t> {
    pub(crate) table: &'t Table,
    words: Vec<Option<Word>>,
}

impl<'t> Columns<'t> {
    pub(crate) fn of(table: &'t Table) -> Self {
        let mut words: Vec<Option<Word>> =
            table.columns.iter().map(|name| word(name.as_str())).collect();
        // `Recovery` is a time where it stands beside a loss and its cells are times.
        let recovery = words.iter().position(|word| *word == Some(Word::Procedure));
        if let Some(at) = recovery
            .filter(|_| words.contains(&Some(Word::Rpo)) && !words.contains(&Some(Word::Rto)))
        {
            let mut cells = table.rows.iter().filter_map(|row| row.get(at));
            if cells.all(|cell| target(cell, None).is_some() || is_nothing(cell.as_str())) {
                words[at] = Some(Word::Rto);
            }
        }
        Self { table, words }
    }

    pub(crate) fn has(&self, word: Word) -> bool {
        self.words.contains(&Some(word))
    }

    pub(crate) fn has_any(&self, words: &[Word]) -> bool {
        words.iter().any(|word| self.has(*word))
    }

    /// The first of these words that is a column.
    pub(crate) fn first(&self, words: &[Word]) -> Option<usize> {
        words.iter().find_map(|word| self.position(*word))
    }

    pub(crate) fn position(&self, word: Word) -> Option<usize> {
        self.words.iter().position(|own| *own == Some(word))
    }

    pub(crate) fn word(&self, column: usize) -> Option<Word> {
        self.words.get(column).copied().flatten()
    }

    /// The cell of a row below a word.
    pub(crate) fn cell<'r>(&self, row: &'r [Text], word: Word) -> Option<&'r Text> {
        row.get(self.position(word)?).filter(|cell| !cell.is_blank())
    }

    /// The unit that the name of a word's column says.
    pub(crate) fn unit(&self, word: Word) -> Option<Unit> {
        Unit::of_column(self.table.columns.get(self.position(word)?)?.as_str())
    }

    /// Names of the columns that are none of these words.
    pub(crate) fn others(&self, known: &[Word]) -> Vec<Text> {
        let is_other =
            |(_, word): &(&Text, &Option<Word>)| word.is_none_or(|word| !known.contains(&word));
        let named = self.table.columns.iter().zip(&self.words).filter(is_other);
        named.map(|(name, _)| name.clone()).filter(|name| !name.is_blank()).collect()
    }
}
