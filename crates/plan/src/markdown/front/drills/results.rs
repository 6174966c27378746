//! What came of drills: a table with a row for each time one was done, and a column that says how it
//! ended.
//!
//! The rule it keeps: a result is what the words of its cell say. A cell that only has a date, or
//! says how a drill is done, is none.

use super::super::table::Columns;
use super::Reading;
use crate::language::{At, DrillResult, Outcome};
use crate::markdown::measure::{date, spans};
use crate::markdown::text::Text;
use crate::markdown::vocabulary::{Word, plain_words, says};
use crate::units::{ByteSize, parse_size};

/// The column that says how it ended: one beside that of the day.
pub(super) fn column(columns: &Columns<'_>) -> Option<usize> {
    let count = columns.table.columns.len();
    let mut found = (0..count).filter(|at| columns.word(*at) == Some(Word::Last));
    found.next()?;
    found.next()
}

/// Words that outcomes are called by, the more telling first.
const OUTCOMES: &[(&str, Outcome)] = &[
    (
        "postponed|cancelled|canceled|skipped|not done|not executed|not carried out|verschoben|ausgefallen|abgesagt",
        Outcome::NotDone,
    ),
    ("aborted|partly|partially|partial|incomplete|abgebrochen|teilweise", Outcome::Aborted),
    ("fail|failed|failure|not passed|nicht bestanden|fehlgeschlagen", Outcome::Failed),
    ("pass|passed|ok|success|successful|successfully|bestanden|erfolgreich", Outcome::Passed),
];

/// What a row says of one time.
pub(super) fn read(day: Option<&Text>, cell: &Text) -> Option<DrillResult> {
    let words = plain_words(cell.as_str());
    let says = |word: &str| says(&words, word);
    let (_, outcome) = OUTCOMES.iter().find(|(spellings, _)| spellings.split('|').any(says))?;
    Some(DrillResult {
        date: day.and_then(|day| Some(day.at(date(day.as_str())?))),
        outcome: Some(cell.at(*outcome)),
        took: took(cell),
        size: size(cell.as_str()).map(|size| cell.at(size)),
        text: Some(cell.value()),
    })
}

/// The first time that is no objective: `PASS, 6 min with the test set, RTO 4 h met`.
fn took(cell: &Text) -> Option<At<std::time::Duration>> {
    let written = cell.as_str();
    let span = spans(written).into_iter().find(|span| {
        let before = written.get(..span.at.start).unwrap_or("").trim_end().to_lowercase();
        let behind = written.get(span.at.end..).unwrap_or("").trim_start().to_lowercase();
        let is_other = ["rto", "rpo", "of", "within", "under", "target", "after"]
            .iter()
            .any(|word| before.ends_with(word));
        !is_other && !behind.starts_with("late") && !behind.starts_with("ago")
    })?;
    Some(cell.slice(span.at).at(span.high))
}

/// How much data it was: `40 GB`.
fn size(written: &str) -> Option<ByteSize> {
    let words: Vec<&str> = written.split([' ', ',', ';', '(', ')']).collect();
    let whole = words.iter().find_map(|word| parse_size(word).ok());
    whole.or_else(|| words.windows(2).find_map(|pair| parse_size(&pair.join(" ")).ok()))
}

/// The stores that a title speaks of, by their names or those of the services whose data they are.
pub(super) fn stores(title: &Text, reading: &Reading) -> Vec<At<String>> {
    let mut found: Vec<String> =
        reading.stores.mentioned(title.as_str()).into_iter().map(str::to_owned).collect();
    for service in reading.services.mentioned(title.as_str()) {
        let state = reading.plan.services.get(service).map(|service| service.state.as_slice());
        found.extend(state.unwrap_or_default().iter().map(|store| store.value.clone()));
    }
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|store| title.at(store)).collect()
}
