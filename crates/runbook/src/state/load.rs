//! A run from the bytes of its journal, without carrying it on: for those who watch, and for the next
//! engine.

use thiserror::Error;

use super::State;
use super::event::Entry;
use crate::journal::{Record, Refused, Torn, read};

/// A run as its journal has it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What its records add up to.
    pub state: State,
    /// What they say, in order.
    pub entries: Vec<Entry>,
    /// Its end is not whole: a crash, or an append that is under way.
    pub torn: Option<Torn>,
}

/// A journal that does not say what has become of its run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadError {
    /// It is no journal, a newer one, or damaged.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A record is whole but says something this program does not accept: take the newer program.
    #[error(transparent)]
    Unfollowed(#[from] Unfollowed),
}

/// A record that does not fit what is before it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("record {n} cannot be followed: {what}")]
pub struct Unfollowed {
    /// The record.
    pub n: u64,
    /// Why.
    pub what: String,
}

/// Reads a run from its journal, also while an engine adds to it.
///
/// # Errors
/// When it is no journal, or says something this program does not know.
pub fn load(bytes: &[u8]) -> Result<Loaded, LoadError> {
    let reading = read(bytes)?;
    let (state, entries) = fold(&reading.records)?;
    Ok(Loaded { state, entries, torn: reading.torn })
}

/// What records add up to.
///
/// # Errors
/// When one does not fit, or there is none.
pub(crate) fn fold(records: &[Record]) -> Result<(State, Vec<Entry>), Unfollowed> {
    let mut entries: Vec<Entry> = Vec::with_capacity(records.len());
    let mut state: Option<State> = None;
    for record in records {
        let unfollowed = |what| Unfollowed { n: record.n, what };
        let entry = Entry::read(record).map_err(unfollowed)?;
        let followed = match &mut state {
            Some(state) => state.next(&entry),
            None => State::begin(&entry).map(|begun| state = Some(begun)),
        };
        followed.map_err(|illegal| unfollowed(illegal.to_string()))?;
        entries.push(entry);
    }
    let state = state.ok_or(Unfollowed { n: 1, what: "there is no record".to_owned() })?;
    Ok((state, entries))
}
