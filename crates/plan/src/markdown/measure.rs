//! Durations, dates and rhythms as people write them in documents.
//!
//! The rule it keeps: what could mean two things is not read. `24/7` is no duration, `4 business
//! hours` is none, and of `1-2 hours` the longer counts, since a promise is kept at its end.

use std::ops::Range;
use std::time::Duration;

use jiff::civil::Date;

use super::text::Text;
use super::vocabulary::{is_nothing, says};
use crate::language::{At, Every};

#[cfg(test)]
mod tests;

/// A duration that was found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// Where a range begins; the same as `high` for a single value.
    pub(crate) low: Duration,
    pub(crate) high: Duration,
    /// Where it stands.
    pub(crate) at: Range<usize>,
    /// `-2 hours`, `20-40 min`: it was written as a range.
    pub(crate) is_range: bool,
}

/// A unit of time that a column names for all its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit(Duration);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Spellings of units, small.
const UNITS: &[(&str, Duration)] = &[
    ("s|sec|secs|second|seconds|sek|sekunde|sekunden", SECOND),
    ("m|min|mins|minute|minutes|minuten", MINUTE),
    ("h|hr|hrs|hour|hours|std|stunde|stunden", HOUR),
    ("d|day|days|tag|tage|tagen", DAY),
    ("w|wk|wks|week|weeks|woche|wochen", DAY.saturating_mul(7)),
];

/// Numbers in words, and articles that count one.
const NUMBERS: &[(&str, f64)] = &[
    ("one", 1.0),
    ("two", 2.0),
    ("three", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("six", 6.0),
    ("eight", 8.0),
    ("ten", 10.0),
    ("twelve", 12.0),
    ("fifteen", 15.0),
    ("thirty", 30.0),
    ("eine", 1.0),
    ("einer", 1.0),
    ("zwei", 2.0),
    ("vier", 4.0),
];

fn unit(word: &str) -> Option<Duration> {
    let lower = word.to_lowercase();
    UNITS.iter().find(|(words, _)| words.split('|').any(|w| w == lower)).map(|(_, unit)| *unit)
}

impl Unit {
    /// The unit in the brackets of a column's name: `RTO (hours)`, `RPO [min]`.
    pub(crate) fn of_column(name: &str) -> Option<Self> {
        // `Minutes` alone is the unit of its numbers.
        let Some((_, inner)) = name.split_once(['(', '[']) else {
            return unit(name.trim()).map(Self);
        };
        let word = inner.split([')', ']']).next()?.trim();
        unit(word.strip_prefix("in ").unwrap_or(word)).map(Self)
    }
}

/// The only duration in a text; none if there is no or more than one.
pub(crate) fn only_span(text: &str) -> Option<Span> {
    let spans = spans(text);
    match spans.as_slice() {
        [span] => Some(span.clone()),
        _ => None,
    }
}

/// A target as a cell or field states it: `30 min`, `< 5 min`, `4 hours (clean rebuild)`,
/// `zero`; with the unit of its column, bare numbers too.
pub(crate) fn target(text: &Text, column: Option<Unit>) -> Option<At<Duration>> {
    let written = text.as_str();
    // `5 min; 1 h when the whole site is lost`: the first holds where nothing else is said.
    let outside = written.split(['(', ';']).next().unwrap_or(written);
    let outside = if outside.trim().is_empty() { written } else { outside };
    if let Some(span) = only_span(outside) {
        let before = outside.get(..span.at.start).unwrap_or("");
        // A sentence with a duration in it states something else than a target.
        let is_short = before.split_whitespace().count() <= 3;
        return is_short.then(|| text.slice(span.at.clone()).at(span.high));
    }
    let bare = outside.trim().trim_start_matches(['<', '≤', '~', '≈', '=', ' ']);
    if let (Some(Unit(unit)), Some(count)) = (column, number(bare)) {
        return times(unit, count).map(|value| text.at(value));
    }
    let zero = ["0", "zero", "zero data loss", "no data loss", "none (zero loss)", "kein verlust"];
    let bare = bare.to_lowercase();
    let is_zero = zero.contains(&bare.as_str()) || bare.starts_with("0 for ");
    is_zero.then(|| text.at(Duration::ZERO))
}

/// Whether a cell says that a target does not apply, and not merely that nobody knows it.
pub(crate) fn is_not_applicable(text: &str) -> bool {
    let lower = text.trim().to_lowercase();
    let stateless = lower.contains("stateless") || lower.contains("no state") || lower == "cache";
    let outside = lower.split('(').next().unwrap_or("").trim();
    stateless
        || matches!(outside, "n/a" | "na" | "not applicable" | "entfällt" | "n.a.")
        || outside.starts_with("not applicable,")
}

/// All durations of a text, in order.
pub(crate) fn spans(text: &str) -> Vec<Span> {
    // Longer ones are paragraphs that no target is stated in.
    const LOOKED_AT: usize = 2000;
    let mut spans = Vec::new();
    let mut at = 0;
    while at < text.len().min(LOOKED_AT) {
        let Some(rest) = text.get(at..) else { break };
        let Some(start) = number_start(text, at, rest) else { break };
        match span_at(text, start) {
            Some(span) => {
                at = span.at.end;
                spans.push(span);
            }
            None => at = start + word_end(text, start).max(1),
        }
    }
    spans
}

/// Where the next number begins that no word or other number runs into.
fn number_start(text: &str, at: usize, rest: &str) -> Option<usize> {
    rest.char_indices().map(|(offset, c)| (at + offset, c)).find_map(|(start, c)| {
        let before = text.get(..start).and_then(|before| before.chars().next_back());
        let hyphened = text.get(..start).is_some_and(|before| {
            before.strip_suffix('-').is_some_and(|b| b.ends_with(char::is_alphabetic))
        });
        let is_inside = hyphened
            || before.is_some_and(|b| {
                b.is_alphanumeric() || matches!(b, '.' | ',' | ':' | '_' | '$' | '#' | '+')
            });
        let begins = c.is_ascii_digit() || number_word(text, start).is_some();
        (begins && !is_inside).then_some(start)
    })
}

fn word_end(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or("");
    rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())
}

/// A number in words at a place, and its length.
fn number_word(text: &str, start: usize) -> Option<(f64, usize)> {
    let rest = text.get(start..)?;
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let word = rest.get(..end)?;
    if word.len() < 3 || word.len() > 8 {
        return None;
    }
    let lower = word.to_lowercase();
    NUMBERS.iter().find(|(name, _)| *name == lower).map(|(_, value)| (*value, end))
}

/// `15 min`, `1-2 hours`, `2h30`, `1 h 30 min` at a place.
fn span_at(text: &str, start: usize) -> Option<Span> {
    let (first, mut at) = number_at(text, start)?;
    let mut low = None;
    let mut count = first;
    let gap = skip(text, at, |c| c == ' ');
    if let Some(behind) = range_sign(text, gap).filter(|_| read_unit(text, at).is_none()) {
        let (second, end) = number_at(text, skip(text, behind, |c| c == ' '))?;
        (low, count, at) = (Some(first), second, end);
    }
    let (size, mut end) = read_unit(text, at)?;
    let mut high = times(size, count)?;
    let low_end = match low {
        Some(low) => times(size, low)?,
        None => high,
    };
    let mut low = low_end;
    if low == high
        && let Some((more, behind)) = smaller(text, end, size)
    {
        high = high.checked_add(more)?;
        low = high;
        end = behind;
    }
    let mut is_range = low != high;
    // `20 min - 1 hour`
    let gap = skip(text, end, |c| c == ' ');
    if !is_range
        && let Some(behind) = range_sign(text, gap)
        && let Some((second, at)) = number_at(text, skip(text, behind, |c| c == ' '))
        && let Some((size, behind)) = read_unit(text, at)
    {
        high = times(size, second)?;
        end = behind;
        is_range = true;
    }
    (low <= high && !is_spoiled(text, start, end)).then_some(Span {
        low,
        high,
        at: start..end,
        is_range,
    })
}

/// A smaller unit behind a larger: the `30` of `2h30`, the `30 min` of `1 h 30 min`.
fn smaller(text: &str, end: usize, size: Duration) -> Option<(Duration, usize)> {
    let at = skip(text, end, |c| c == ' ');
    let (count, behind) = number_at(text, at)?;
    match read_unit(text, behind) {
        Some((unit, behind)) if unit < size => Some((times(unit, count)?, behind)),
        None if at == end && size == HOUR && behind - at == 2 => {
            Some((times(MINUTE, count)?, behind))
        }
        _ => None,
    }
}

/// Words around a duration that make it something else: `4 business hours`, `2 hours per month`.
fn is_spoiled(text: &str, start: usize, end: usize) -> bool {
    let behind = text.get(end..).unwrap_or("").trim_start().to_lowercase();
    let next = behind.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
    let rate = behind.strip_prefix('/').is_some_and(|rest| rest.starts_with(char::is_alphabetic));
    let ago = matches!(next, "per" | "pro" | "ago" | "old") || rate;
    let before = text.get(..start).unwrap_or("").trim_end().to_lowercase();
    let negated = before.ends_with("more than") || before.ends_with('>') || before.ends_with('≥');
    ago || negated
}

fn range_sign(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    ["-", "–", "—", "to ", "bis "]
        .iter()
        .find(|sign| rest.starts_with(**sign))
        .map(|sign| at + sign.len())
}

fn skip(text: &str, at: usize, is_waste: impl Fn(char) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or("");
    at + rest.find(|c| !is_waste(c)).unwrap_or(rest.len())
}

/// A decimal number with a point or a comma, or one in words.
fn number_at(text: &str, start: usize) -> Option<(f64, usize)> {
    if let Some((value, len)) = number_word(text, start) {
        return Some((value, start + len));
    }
    let rest = text.get(start..)?;
    let mut end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let fraction = rest.get(end..)?.strip_prefix(['.', ',']).unwrap_or("");
    let digits = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
    if end > 0 && digits > 0 && digits < 3 {
        end += 1 + digits;
    }
    number(rest.get(..end)?).map(|value| (value, start + end))
}

fn number(text: &str) -> Option<f64> {
    let digits = text.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b','));
    let value = text.replace(',', ".").parse::<f64>().ok()?;
    (digits && value < 100_000.0).then_some(value)
}

/// The unit behind a number, with spaces or a hyphen between them (`90-day`).
fn read_unit(text: &str, at: usize) -> Option<(Duration, usize)> {
    let start = skip(text, at, |c| matches!(c, ' ' | '\u{a0}' | '\u{202f}'));
    let hyphen = text.get(start..)?.starts_with('-') && start == at;
    let start = if hyphen { start + 1 } else { start };
    let rest = text.get(start..)?;
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    unit(rest.get(..end)?).map(|unit| (unit, start + end))
}

/// So many of a unit, to the second.
fn times(unit: Duration, count: f64) -> Option<Duration> {
    Duration::try_from_secs_f64((unit.as_secs_f64() * count).round()).ok()
}

/// How often something happens, as a document says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rhythm {
    pub(crate) every: Option<Every>,
    /// A cron line in UTC, where the clock time and its zone are said.
    pub(crate) cron: Option<String>,
    pub(crate) continuous: bool,
}

/// Words for rhythms that [`Every::parse`] does not know, and what it knows them as.
const RHYTHMS: &[(&str, &str)] = &[
    (
        "täglich|jede nacht|nächtlich|every night|each night|once a day|once per day|each day",
        "daily",
    ),
    ("wöchentlich|once a week|each week|every sunday|every saturday|every monday", "weekly"),
    ("monatlich|once a month|each month", "monthly"),
    ("vierteljährlich|once a quarter|each quarter|four times a year", "quarterly"),
    (
        "halbjährlich|half yearly|half-year|semiannually|semi-annual|semiannual|biannual|bi-annual|twice yearly|twice a year|twice per year|every six months",
        "half-yearly",
    ),
    ("jährlich|annual|once a year|once per year|each year", "yearly"),
    ("stündlich|each hour|every hour|once an hour", "hourly"),
];

const CONTINUOUS: &[&str] = &[
    "continuous",
    "continuously",
    "real-time",
    "realtime",
    "real time",
    "streaming",
    "synchronous",
    "every commit",
    "each commit",
    "on commit",
    "on change",
    "on every change",
    "kontinuierlich",
    "fortlaufend",
    "laufend",
    "always on",
];

/// Reads `Daily @ 02:00 UTC`, `Every 6 hours`, `Continuous (every 60s)`, `Weekly @ Sunday 02:00 UTC`.
pub(crate) fn rhythm(text: &str) -> Option<Rhythm> {
    let lower = text.to_lowercase();
    let lower = lower.trim();
    if is_nothing(lower) {
        return None;
    }
    let text = super::vocabulary::plain_words(lower);
    let says = |word: &str| says(&text, word);
    let continuous = CONTINUOUS.iter().any(|word| says(word));
    let every = every(lower).or_else(|| {
        let known = RHYTHMS.iter().find(|(words, _)| words.split('|').any(says));
        known.and_then(|(_, word)| Every::parse(word))
    });
    let every = every.or_else(|| Every::parse(weekdays(&text)?));
    let cron = every.and_then(|every| cron(lower, every));
    (continuous || every.is_some()).then_some(Rhythm { every, cron, continuous })
}

/// `sunday 00:30` is each week, `mon–sat 00:30` each day.
fn weekdays(text: &str) -> Option<&'static str> {
    const DAYS: &[&str] = &[
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sun",
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sonntag",
        "montag",
        "dienstag",
        "mittwoch",
        "donnerstag",
        "freitag",
        "samstag",
    ];
    let mut words = text.split([' ', '-']);
    let is_day =
        |word: Option<&str>| word.is_some_and(|word| DAYS.contains(&word.trim_end_matches('s')));
    if !is_day(words.next()) {
        return None;
    }
    Some(if is_day(words.find(|word| *word != "to")) { "daily" } else { "weekly" })
}

/// The first rhythm among the words: `daily`, `every 6 hours`, `quarterly`.
fn every(lower: &str) -> Option<Every> {
    if let Some((_, behind)) = lower.split_once("every ").or_else(|| lower.split_once("alle ")) {
        let spans = spans(behind);
        if let Some(span) = spans.first().filter(|span| span.at.start == 0 && !span.is_range) {
            return Some(Every { months: 0, length: span.high }).filter(|e| !e.length.is_zero());
        }
        let words: Vec<&str> = behind.split([' ', ',', ')', '@']).take(2).collect();
        if let Some(every) = Every::parse(&words.join(" "))
            .or_else(|| Every::parse(&format!("every {}", words.first()?)))
        {
            return Some(every);
        }
    }
    let mut words = lower.split(|c: char| !(c.is_alphanumeric() || c == '-'));
    let known = |word: &str| {
        !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit()) && word.len() > 4
    };
    words.find_map(|word| known(word).then(|| Every::parse(word)).flatten())
}

/// `daily @ 02:00 utc`, `weekly @ sunday 02:00 utc` as a cron line.
fn cron(lower: &str, every: Every) -> Option<String> {
    const DAYS: [&str; 7] =
        ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let zone = lower.contains("utc") || lower.contains("gmt") || lower.contains("zulu");
    let colon =
        lower.match_indices(':').map(|(at, _)| at).find(|at| clock(lower, *at).is_some())?;
    let (hour, minute) = clock(lower, colon).filter(|_| zone)?;
    if every.months > 0 {
        return None;
    }
    if every.length == DAY {
        return Some(format!("{minute} {hour} * * *"));
    }
    let day = DAYS.iter().position(|day| lower.contains(day));
    day.filter(|_| every.length == DAY * 7).map(|day| format!("{minute} {hour} * * {day}"))
}

/// The hour and minute around a colon.
fn clock(text: &str, colon: usize) -> Option<(u8, u8)> {
    let before = text.get(..colon)?;
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let hour = before.get(before.len() - digits..)?.parse::<u8>().ok().filter(|h| *h < 24)?;
    let rest = text.get(colon + 1..)?;
    let minute = rest.get(..2)?.parse::<u8>().ok().filter(|m| *m < 60)?;
    let closed = !rest.get(2..)?.starts_with(|c: char| c.is_ascii_digit());
    let afternoon = rest.get(2..)?.trim_start().starts_with("pm");
    (closed && !afternoon).then_some((hour, minute))
}

/// A day as people write it: `2025-12-13`, `13.12.2025`, `13 December 2025`, `December 13, 2025`.
/// Of `03/04/2025` nobody knows which is the month.
pub(crate) fn date(text: &str) -> Option<Date> {
    let text = text.trim();
    let iso = text.get(..10).and_then(|start| start.parse::<Date>().ok());
    iso.or_else(|| {
        let first = text.split_whitespace().next()?.trim_end_matches([',', ':', ';']);
        let dots: Vec<&str> = first.split('.').collect();
        let [day, month, year] = dots.as_slice() else { return None };
        (year.len() == 4).then(|| civil(year, month.parse().ok()?, day))?
    })
    .or_else(|| {
        let words: Vec<&str> =
            text.split([' ', ',', '-']).filter(|word| !word.is_empty()).take(3).collect();
        let [first, second, year] = words.as_slice() else { return None };
        match (month(first), month(second)) {
            (Some(month), None) => civil(year, month, second),
            (None, Some(month)) => civil(year, month, first),
            _ => None,
        }
    })
}

fn civil(year: &str, month: i8, day: &str) -> Option<Date> {
    let day = day.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '.');
    Date::new(year.parse().ok().filter(|year| *year > 1900)?, month, day.parse().ok()?).ok()
}

fn month(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const LONG: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let lower = word.to_lowercase();
    let lower = lower.trim_end_matches('.');
    let short = MONTHS.iter().position(|month| *month == lower);
    let at = short.or_else(|| LONG.iter().position(|month| *month == lower))?;
    i8::try_from(at + 1).ok()
}
