//! What was measured, as data and as a table, and whether all is as it must be.

use serde::Serialize;

use super::measure::Latency;
use super::screen::grouped;
use crate::output::human_bytes;

/// All that a demonstration has measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// PostgreSQL's version.
    pub(crate) postgres: String,
    /// pgbench's scale.
    pub(crate) scale: u32,
    /// How the first cluster was protected.
    pub(crate) protection: Protection,
    /// The machine is lost.
    pub(crate) machine: Disaster,
    /// A table is lost.
    pub(crate) table: Mistake,
    /// Both together.
    pub(crate) commits: Commits,
    /// What is not as it must be; nothing, if all is well.
    pub(crate) differences: Vec<String>,
    /// The whole run.
    pub(crate) total_seconds: f64,
}

/// How a cluster was protected, and what that cost.
#[derive(Debug, Serialize)]
pub(crate) struct Protection {
    /// Bytes of the cluster's files in the base backup.
    pub(crate) cluster_bytes: u64,
    /// Bytes of the objects that the base backup made.
    pub(crate) backup_stored_bytes: u64,
    /// Bytes of WAL that were streamed by the end of the measurement.
    pub(crate) wal_bytes: u64,
    /// Bytes of the objects of completed segments.
    pub(crate) wal_segments_stored_bytes: u64,
    /// Bytes of the objects that were sent before their segments were complete. Each has at least
    /// four KiB, so that its size says little; they go when the vault is collected.
    pub(crate) wal_parts_stored_bytes: u64,
    /// How long commits took before there was any protection.
    pub(crate) latency_without: Latency,
    /// How long they took when each waited for the vault.
    pub(crate) latency_with: Latency,
}

/// Commits that clients have written down, and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Commits {
    /// The client was told that they are done.
    pub(crate) acknowledged: u64,
    /// Of these, found again.
    pub(crate) recovered: u64,
    /// Of these, not found again. Must be 0.
    pub(crate) lost: u64,
    /// Found although no client was told: under way when the server died.
    pub(crate) unacknowledged: u64,
}

/// A recovery.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Recovery {
    /// Up to where.
    pub(crate) end: String,
    /// The timeline that began there.
    pub(crate) timeline: u64,
    /// Bytes that were read from the vault.
    pub(crate) bytes_read: u64,
    /// From the start of the command to the first query that may write.
    pub(crate) rto_seconds: f64,
}

/// The machine is lost.
#[derive(Debug, Serialize)]
pub(crate) struct Disaster {
    /// What became of the commits.
    pub(crate) commits: Commits,
    /// How old the youngest canary that came back was when the machine died.
    pub(crate) rpo_by_canary_seconds: f64,
    /// How often one was written: what came back cannot look younger.
    pub(crate) canary_every_seconds: u32,
    /// From the death of the server to a row written to the recovered one.
    pub(crate) outage_seconds: f64,
    /// The recovery.
    pub(crate) recovery: Recovery,
}

/// A table is dropped.
#[derive(Debug, Serialize)]
pub(crate) struct Mistake {
    /// The transaction that dropped it.
    pub(crate) transaction: String,
    /// Rows it had.
    pub(crate) rows: u64,
    /// Rows it has again.
    pub(crate) rows_recovered: u64,
    /// Whether every row is as it was.
    pub(crate) is_equal: bool,
    /// What became of the commits before it.
    pub(crate) commits: Commits,
    /// The recovery.
    pub(crate) recovery: Recovery,
}

impl Commits {
    /// Compares what clients were told with what is there.
    pub(crate) fn compare(
        acknowledged: &std::collections::BTreeSet<i64>,
        there: &std::collections::BTreeSet<i64>,
    ) -> Self {
        let count = |number: usize| number as u64;
        let recovered = count(acknowledged.intersection(there).count());
        let acknowledged_count = count(acknowledged.len());
        Self {
            acknowledged: acknowledged_count,
            recovered,
            lost: acknowledged_count - recovered,
            unacknowledged: count(there.len()) - recovered,
        }
    }

    /// Those of two loads.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            recovered: self.recovered + other.recovered,
            lost: self.lost + other.lost,
            unacknowledged: self.unacknowledged + other.unacknowledged,
        }
    }
}

/// The table at the end.
pub(crate) fn table(report: &Report) -> String {
    let mut lines = Vec::new();
    let mut row = |what: &str, value: String| lines.push(format!("  {what:<34}{value}"));
    let commits = report.commits;
    row("commits acknowledged", grouped(commits.acknowledged));
    row("        recovered", grouped(commits.recovered));
    row("        lost", grouped(commits.lost));
    let machine = &report.machine;
    row(
        "RPO by canary, machine lost",
        format!(
            "{:.2} s (one is written every {} s)",
            machine.rpo_by_canary_seconds, machine.canary_every_seconds
        ),
    );
    row(
        "RTO to first query, machine lost",
        format!(
            "{:.1} s from the SIGKILL on; {}",
            machine.outage_seconds,
            restored(&machine.recovery)
        ),
    );
    row("RTO to first query, table lost", restored(&report.table.recovery));
    let protection = &report.protection;
    row("cluster", human_bytes(protection.cluster_bytes));
    row(
        "base backup, stored",
        format!(
            "{}, {} of it",
            human_bytes(protection.backup_stored_bytes),
            percent(protection.backup_stored_bytes, protection.cluster_bytes)
        ),
    );
    row(
        "WAL streamed",
        format!(
            "{}; {} in segments, {} in parts until collected",
            human_bytes(protection.wal_bytes),
            human_bytes(protection.wal_segments_stored_bytes),
            human_bytes(protection.wal_parts_stored_bytes)
        ),
    );
    row("commit latency without Soter", latency(&protection.latency_without));
    row("commit latency with Soter", latency(&protection.latency_with));
    row("all of this took", format!("{:.0} s", report.total_seconds));
    lines.join("\n")
}

fn restored(recovery: &Recovery) -> String {
    let read = human_bytes(recovery.bytes_read);
    format!("soter restore took {:.1} s, read {read}", recovery.rto_seconds)
}

/// In one line.
pub(crate) fn latency(latency: &Latency) -> String {
    format!(
        "median {:.2} ms, p99 {:.2} ms ({:.0} commits/s)",
        latency.median_ms, latency.p99_ms, latency.commits_per_second
    )
}

/// A share of something, in whole percent.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    format!("{} %", (part * 100 + whole / 2) / whole.max(1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_lost() {
        let acknowledged = BTreeSet::from([1, 2, 3]);
        let there = BTreeSet::from([1, 3, 4]);
        let commits = Commits::compare(&acknowledged, &there);
        let expected = Commits { acknowledged: 3, recovered: 2, lost: 1, unacknowledged: 1 };
        assert_eq!(commits, expected);
        assert_eq!(commits.and(commits).lost, 2);
    }

    /// A run in which every number is another.
    fn sample() -> Report {
        let recovery = |rto_seconds, bytes_read| Recovery {
            end: "0/1".to_owned(),
            timeline: 2,
            bytes_read,
            rto_seconds,
        };
        let latency = |median_ms, p99_ms, commits_per_second| Latency {
            commits: 1,
            commits_per_second,
            median_ms,
            p99_ms,
        };
        let commits =
            Commits { acknowledged: 12_345, recovered: 12_343, lost: 2, unacknowledged: 3 };
        Report {
            postgres: "15.1".to_owned(),
            scale: 50,
            protection: Protection {
                cluster_bytes: 800 << 20,
                backup_stored_bytes: 80 << 20,
                wal_bytes: 33 << 20,
                wal_segments_stored_bytes: 11 << 20,
                wal_parts_stored_bytes: 5 << 20,
                latency_without: latency(0.51, 1.52, 801.0),
                latency_with: latency(2.53, 7.54, 402.0),
            },
            machine: Disaster {
                commits,
                rpo_by_canary_seconds: 0.73,
                canary_every_seconds: 1,
                outage_seconds: 9.4,
                recovery: recovery(8.2, 70 << 20),
            },
            table: Mistake {
                transaction: "777".to_owned(),
                rows: 5,
                rows_recovered: 5,
                is_equal: true,
                commits,
                recovery: recovery(6.1, 60 << 20),
            },
            commits,
            differences: Vec::new(),
            total_seconds: 61.0,
        }
    }

    #[test]
    fn the_table_has_everything_that_was_measured() {
        let shown = table(&sample());
        let rows: Vec<(&str, &str)> = shown
            .lines()
            .map(|line| line.strip_prefix("  ").unwrap().split_at(34))
            .map(|(what, value)| (what.trim_end(), value))
            .collect();
        let expected = [
            ("commits acknowledged", "12,345"),
            ("        recovered", "12,343"),
            ("        lost", "2"),
            ("RPO by canary, machine lost", "0.73 s (one is written every 1 s)"),
            (
                "RTO to first query, machine lost",
                "9.4 s from the SIGKILL on; soter restore took 8.2 s, read 70.0 MiB",
            ),
            ("RTO to first query, table lost", "soter restore took 6.1 s, read 60.0 MiB"),
            ("cluster", "800.0 MiB"),
            ("base backup, stored", "80.0 MiB, 10 % of it"),
            ("WAL streamed", "33.0 MiB; 11.0 MiB in segments, 5.0 MiB in parts until collected"),
            ("commit latency without Soter", "median 0.51 ms, p99 1.52 ms (801 commits/s)"),
            ("commit latency with Soter", "median 2.53 ms, p99 7.54 ms (402 commits/s)"),
            ("all of this took", "61 s"),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn shares_are_rounded() {
        assert_eq!([percent(1, 8), percent(0, 0), percent(8, 8)], ["13 %", "0 %", "100 %"]);
    }
}
