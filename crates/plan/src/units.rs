//! Durations and sizes as people write them: always with a unit.
//!
//! The rule it keeps: no guessing. A bare number is refused (seconds? milliseconds?), months and
//! years are refused (how long is one?), and a value that does not come out even is refused rather
//! than rounded. What is printed reads back as the same value.

use std::fmt;
use std::time::Duration;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Why a text is no duration or size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct UnitError {
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub hint: String,
}

/// Reads `250 ms`, `15 min`, `1h30m`, `7 days`, `PT15M`.
///
/// A day is 24 hours and a week seven days: these are lengths, not dates.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (terms, units) = match text.trim().strip_prefix('P') {
        Some(rest) => (iso_terms(rest).ok_or_else(duration_shape)?, &[][..]),
        None => (terms(text.trim()).ok_or_else(duration_shape)?, &DURATION_UNITS[..]),
    };
    let mut nanos: u128 = 0;
    let mut previous = u128::MAX;
    for term in &terms {
        let unit = term.nanos.or_else(|| find(units, &term.unit)).ok_or_else(|| {
            if term.unit.is_empty() {
                bare(&term.number, "5 s, 250 ms, 15 min")
            } else {
                unknown_unit(&term.unit)
            }
        })?;
        if unit >= previous {
            return Err(UnitError {
                problem: "the units do not fall".to_owned(),
                hint: "write the largest first and each once: 1h30m".to_owned(),
            });
        }
        previous = unit;
        nanos = scaled(&term.number, unit)
            .and_then(|value| nanos.checked_add(value))
            .ok_or_else(|| uneven("a nanosecond"))?;
    }
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).map_err(|_| too_large())?;
    let rest = u32::try_from(nanos % NANOS_PER_SECOND).map_err(|_| too_large())?;
    Ok(Duration::new(seconds, rest))
}

/// Writes a duration so that it reads back the same: `7 days`, `250 ms`, `1h30m`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0 s".to_owned();
    }
    // One unit where it fits, else hours, minutes, and so on, each once.
    if let Some((unit, size)) = WRITTEN_UNITS.iter().find(|(_, size)| nanos.is_multiple_of(*size)) {
        let count = nanos / size;
        let plural = if *unit == "day" && count != 1 { "s" } else { "" };
        if *size >= NANOS_PER_DAY || count < LARGEST_COUNT {
            return format!("{count} {unit}{plural}");
        }
    }
    let mut rest = nanos;
    let mut text = String::new();
    for (unit, size) in SHORT_UNITS {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

/// Reads `16 MiB`, `1.5 GiB`, `4 GB`, `512 B`.
pub fn parse_size(text: &str) -> Result<ByteSize, UnitError> {
    let terms = terms(text.trim()).filter(|terms| terms.len() == 1).ok_or_else(size_shape)?;
    let term = &terms[0];
    let unit = find(&SIZE_UNITS, &term.unit).ok_or_else(|| {
        if term.unit.is_empty() {
            bare(&term.number, "16 MiB, 4 GB")
        } else {
            UnitError {
                problem: format!("`{}` is no unit of size", crate::tree::short(&term.unit)),
                hint: "units are B, KiB, MiB, GiB, TiB and kB, MB, GB, TB".to_owned(),
            }
        }
    })?;
    let bytes = scaled(&term.number, unit).ok_or_else(|| uneven("a byte"))?;
    u64::try_from(bytes).map(ByteSize).map_err(|_| too_large())
}

impl fmt::Display for ByteSize {
    /// The largest unit that comes out even, so that it reads back the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 8] = [
            ("TiB", 1 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
            ("TB", 1_000_000_000_000),
            ("GB", 1_000_000_000),
            ("MB", 1_000_000),
            ("kB", 1_000),
        ];
        let even = UNITS.iter().filter(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        // Of 2 100 GB and 2 050 781 250 KiB the one that people say.
        match even.min_by_key(|(_, size)| self.0 / size) {
            Some((unit, size)) => write!(f, "{} {unit}", self.0 / size),
            None => write!(f, "{} B", self.0),
        }
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;
const NANOS_PER_DAY: u128 = 86_400 * NANOS_PER_SECOND;

/// Above this many of one unit, `5400 s` is harder to read than `1h30m`.
const LARGEST_COUNT: u128 = 1000;

/// All spellings of a unit, and its length in nanoseconds.
const DURATION_UNITS: [(&[&str], u128); 8] = [
    (&["ns"], 1),
    (&["us", "µs", "μs"], 1_000),
    (&["ms"], 1_000_000),
    (&["s", "sec", "secs", "second", "seconds"], NANOS_PER_SECOND),
    (&["m", "min", "mins", "minute", "minutes"], 60 * NANOS_PER_SECOND),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600 * NANOS_PER_SECOND),
    (&["d", "day", "days"], NANOS_PER_DAY),
    (&["w", "wk", "wks", "week", "weeks"], 7 * NANOS_PER_DAY),
];

const WRITTEN_UNITS: [(&str, u128); 7] = [
    ("day", NANOS_PER_DAY),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("min", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const SHORT_UNITS: [(&str, u128); 7] = [
    ("d", NANOS_PER_DAY),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const SIZE_UNITS: [(&[&str], u128); 9] = [
    (&["B", "byte", "bytes"], 1),
    (&["KiB"], 1 << 10),
    (&["MiB"], 1 << 20),
    (&["GiB"], 1 << 30),
    (&["TiB"], 1 << 40),
    (&["kB", "KB"], 1_000),
    (&["MB"], 1_000_000),
    (&["GB"], 1_000_000_000),
    (&["TB"], 1_000_000_000_000),
];

/// A number and the word behind it; `nanos` is set where the place decides the unit (ISO 8601).
struct Term {
    number: String,
    unit: String,
    nanos: Option<u128>,
}

fn find(units: &[(&[&str], u128)], unit: &str) -> Option<u128> {
    units.iter().find(|(names, _)| names.contains(&unit)).map(|(_, size)| *size)
}

/// Splits `1h 30 min` into numbers and words; none if it does not alternate.
fn terms(text: &str) -> Option<Vec<Term>> {
    let mut rest = text;
    let mut terms = Vec::new();
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(after.trim_start(), char::is_alphabetic);
        if number.is_empty() {
            return None;
        }
        terms.push(Term { number: number.to_owned(), unit: unit.to_owned(), nanos: None });
        rest = after.trim_start();
    }
    if terms.is_empty() { None } else { Some(terms) }
}

/// The part of an ISO 8601 duration behind its `P`: `1DT12H`, `T15M`, `2W`.
fn iso_terms(text: &str) -> Option<Vec<Term>> {
    let (date, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    let mut all = Vec::new();
    for (part, letters) in [(date, "WD"), (time, "HMS")] {
        if part.is_empty() {
            continue;
        }
        for mut term in terms(part)? {
            let lower = term.unit.to_ascii_lowercase();
            // Months and years stay without a length, and are refused as unknown units.
            if letters.contains(term.unit.as_str()) && term.unit.len() == 1 {
                term.nanos = find(&DURATION_UNITS, &lower);
            }
            all.push(term);
        }
    }
    if all.is_empty() { None } else { Some(all) }
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

/// A decimal number times a unit; none if it is no number or does not come out even.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = fraction.parse::<u128>().ok()?.checked_mul(unit)?;
    if !fraction.is_multiple_of(scale) {
        return None;
    }
    whole.parse::<u128>().ok()?.checked_mul(unit)?.checked_add(fraction / scale)
}

fn bare(number: &str, examples: &str) -> UnitError {
    UnitError {
        problem: format!("`{}` has no unit", crate::tree::short(number)),
        hint: format!("say what it counts: {examples}"),
    }
}

fn unknown_unit(unit: &str) -> UnitError {
    let calendar = ["M", "Y", "mo", "month", "months", "y", "yr", "year", "years"];
    let hint = if calendar.contains(&unit) {
        "months and years differ in length: write days".to_owned()
    } else {
        "units are ms, s, min, h, days, weeks".to_owned()
    };
    UnitError { problem: format!("`{}` is no unit of time", crate::tree::short(unit)), hint }
}

fn uneven(smallest: &str) -> UnitError {
    UnitError {
        problem: format!("this is no number, or finer than {smallest}"),
        hint: "write a number such as 15 or 1.5 in front of the unit".to_owned(),
    }
}

fn too_large() -> UnitError {
    UnitError { problem: "the number is too large".to_owned(), hint: "use fewer digits".to_owned() }
}

fn duration_shape() -> UnitError {
    UnitError {
        problem: "this is no duration".to_owned(),
        hint: "write a number and a unit: 250 ms, 15 min, 1h30m, 7 days, PT15M".to_owned(),
    }
}

fn size_shape() -> UnitError {
    UnitError {
        problem: "this is no size".to_owned(),
        hint: "write a number and a unit: 16 MiB, 4 GB".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(text: &str) -> u128 {
        parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}")).as_millis()
    }

    #[test]
    fn durations_read_in_every_spelling() {
        for (text, expect) in [
            ("250 ms", 250),
            ("5s", 5_000),
            ("15 min", 900_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("1 h 30 min", 5_400_000),
            ("1.5 hours", 5_400_000),
            ("7 days", 604_800_000),
            ("1 week", 604_800_000),
            ("PT15M", 900_000),
            ("P1DT12H", 129_600_000),
            ("P2W", 1_209_600_000),
            ("PT0.5S", 500),
        ] {
            assert_eq!(millis(text), expect, "{text}");
        }
    }

    #[test]
    fn sizes_read_in_every_spelling() {
        for (text, expect) in [
            ("512 B", 512),
            ("16 MiB", 16 << 20),
            ("16MiB", 16 << 20),
            ("1.5 GiB", 3 << 29),
            ("4 GB", 4_000_000_000),
            ("10 kB", 10_000),
        ] {
            assert_eq!(parse_size(text), Ok(ByteSize(expect)), "{text}");
        }
    }

    #[test]
    fn what_is_unclear_is_refused() {
        let long = format!("{}h", "9".repeat(60));
        for text in [
            "",
            " ",
            "15",
            "15 minute s",
            "m",
            "30m1h",
            "1h1h",
            "1 month",
            "P1M",
            "P1Y",
            "PT",
            "P",
            "PT1D",
            "1..5 s",
            ".",
            "-5 s",
            "1,5 s",
            "0.0000000001 s",
            "1e3 s",
            "5 S",
            &long,
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
        for text in ["", "16", "16 mib", "1 GiB 2 MiB", "0.3 B", "-1 B", "MiB", "99999999 TiB"] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_easy_to_read() {
        let written = |text| format_duration(parse_duration(text).unwrap());
        assert_eq!(written("P7D"), "7 days");
        assert_eq!(written("24h"), "1 day");
        assert_eq!(written("PT90M"), "90 min");
        assert_eq!(written("1h30m15s"), "1h30m15s");
        assert_eq!(written("0.25 s"), "250 ms");
        assert_eq!(parse_size("1024 KiB").unwrap().to_string(), "1 MiB");
    }

    proptest! {
        #[test]
        fn written_durations_and_sizes_read_back(secs in 0u64..10_000_000_000, nanos in 0u32..1_000_000_000, bytes: u64) {
            let duration = Duration::new(secs, nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            let duration = Duration::from_secs(secs);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&ByteSize(bytes).to_string()), Ok(ByteSize(bytes)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,24}") {
            drop(parse_duration(&text));
            drop(parse_size(&text));
        }
    }
}
