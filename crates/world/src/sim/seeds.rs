//! Which seeds a random test tries.
//!
//! A test loops over [`seeds`] and prints the seed when it fails; `SOTER_SEEDS=17..18` then replays
//! that one, and `make soak SEEDS=a..b` runs all such tests over a long range.

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Range;

/// The variable that asks for other seeds: `a..b`, or a number for `0..number`.
pub const SEEDS_VARIABLE: &str = "SOTER_SEEDS";

/// The variable that names a file to which each test adds a line: its name and its seeds. This is
/// how a soak run knows which tests take seeds.
pub const SEEDS_LOG_VARIABLE: &str = "SOTER_SEEDS_LOG";

/// The variable that asks for another number of inputs for each property.
pub const CASES_VARIABLE: &str = "PROPTEST_CASES";

/// The seeds a random test tries: `0..count`, unless [`SEEDS_VARIABLE`] says otherwise.
pub fn seeds(count: u64) -> Range<u64> {
    let seeds = variable(SEEDS_VARIABLE)
        .map_or(0..count, |text| parse(&text).expect("SOTER_SEEDS is written a..b, or a number"));
    if let Some(path) = variable(SEEDS_LOG_VARIABLE) {
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        let line = format!("{name} {}..{}\n", seeds.start, seeds.end);
        let log = OpenOptions::new().create(true).append(true).open(path);
        log.and_then(|mut log| log.write_all(line.as_bytes())).expect("SOTER_SEEDS_LOG is a file");
    }
    seeds
}

/// How many inputs a property is tried with: `usual`, unless [`CASES_VARIABLE`] says otherwise. This
/// is how `make fuzz` lengthens every property, also those that try fewer than most.
pub fn cases(usual: u32) -> u32 {
    variable(CASES_VARIABLE).map_or(usual, |text| text.parse().expect("PROPTEST_CASES is a number"))
}

#[expect(clippy::disallowed_methods, reason = "tests have no other way to be told")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn parse(text: &str) -> Option<Range<u64>> {
    match text.split_once("..") {
        Some((start, end)) => Some(start.parse().ok()?..end.parse().ok()?),
        None => Some(0..text.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_or_a_number() {
        assert_eq!(parse("17..18"), Some(17..18));
        assert_eq!(parse("30"), Some(0..30));
        for text in ["", "a", "1..", "..2", "1..x", "-1..2"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
