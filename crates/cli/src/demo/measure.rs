//! Numbers out of what happened.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// One commit that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// When it was begun.
    pub(super) at: Duration,
    /// How long it took.
    pub(super) took: Duration,
}

/// How long commits took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Latency {
    /// How many were measured.
    pub(crate) commits: usize,
    /// How many a second.
    pub(crate) commits_per_second: f64,
    /// Half were faster.
    pub(crate) median_ms: f64,
    /// One in a hundred was slower.
    pub(crate) p99_ms: f64,
}

impl Latency {
    /// Of the commits that were begun in a stretch of time; `None` if there were none.
    pub(super) fn of(samples: &[Sample], from: Duration, to: Duration) -> Option<Self> {
        let within = samples.iter().filter(|sample| from <= sample.at && sample.at < to);
        let mut took: Vec<Duration> = within.map(|sample| sample.took).collect();
        took.sort_unstable();
        let commits = took.len();
        let last = commits.checked_sub(1)?;
        let milliseconds = |rank: usize| round(took[rank.min(last)].as_secs_f64() * 1000.0, 100.0);
        let seconds = to.saturating_sub(from).as_secs_f64();
        Some(Self {
            commits,
            #[expect(clippy::cast_precision_loss, reason = "a count of a few seconds")]
            commits_per_second: round(commits as f64 / seconds, 1.0),
            median_ms: milliseconds(commits / 2),
            p99_ms: milliseconds(commits * 99 / 100),
        })
    }
}

/// Keeps so many parts of one: 100 for hundredths.
pub(super) fn round(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

/// Seconds in thousandths.
pub(super) fn seconds(duration: Duration) -> f64 {
    round(duration.as_secs_f64(), 1000.0)
}

/// Bytes of all files below a directory. What vanishes meanwhile does not count.
pub(super) fn size_below(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let size = match entry.file_type()? {
            kind if kind.is_dir() => size_below(&entry.path()),
            _ => entry.metadata().map(|metadata| metadata.len()),
        };
        match size {
            Ok(size) => bytes += size,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_that_of_the_commits_begun_in_time() {
        let sample =
            |at, took| Sample { at: Duration::from_millis(at), took: Duration::from_millis(took) };
        let mut samples: Vec<Sample> = (0..200).map(|n| sample(1000 + n, n + 1)).collect();
        samples.extend([sample(999, 10_000), sample(3000, 10_000)]);
        let (from, to) = (Duration::from_secs(1), Duration::from_secs(3));
        let latency = Latency::of(&samples, from, to).unwrap();
        assert_eq!(latency.commits, 200);
        assert!((latency.commits_per_second - 100.0).abs() < 1e-9);
        assert!((latency.median_ms - 101.0).abs() < 1e-9);
        assert!((latency.p99_ms - 199.0).abs() < 1e-9);
        assert_eq!(Latency::of(&samples, to * 2, to * 3), None);
    }

    #[test]
    fn sizes_add_up() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("inner");
        fs::create_dir(&inner).unwrap();
        for (path, length) in [(inner.join("a"), 1000), (directory.path().join("b"), 24)] {
            fs::File::create(path).unwrap().set_len(length).unwrap();
        }
        assert_eq!(size_below(directory.path()).unwrap(), 1024);
    }
}
