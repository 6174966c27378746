//! What `pg_waldump` says of WAL, in the words of the decoder's tests.

use std::time::Duration;

use crate::lsn::Lsn;
use crate::testing::TestCluster;

/// The records of `pg_waldump`, in the words of [`describe`], and its commits.
pub(super) fn pg_waldump(
    cluster: &TestCluster,
    first_and_last: [&str; 2],
) -> (Vec<String>, Vec<String>) {
    let program = cluster.server_program("pg_waldump").arg("--bkp-details").arg("-p");
    let program = program.arg(cluster.data_directory().join("pg_wal")).args(first_and_last);
    // It ends with an error where the log ends.
    let output = program.env("TZ", "UTC").run(Duration::from_secs(100)).unwrap().stdout;
    let (mut records, mut commits) = (Vec::<String>::new(), Vec::new());
    for line in String::from_utf8_lossy(&output).lines() {
        if let Some(reference) = line.strip_prefix("\tblkref #") {
            let last = records.last_mut().unwrap();
            last.push_str(&block(reference));
        } else if line.starts_with("rmgr: ") {
            let (mut record, description) = record(line);
            let is_commit = record.starts_with("Transaction ") && description.starts_with("COMMIT");
            if is_commit {
                record.push_str(", commit");
                commits.push(description.to_owned());
            }
            records.push(record);
        }
    }
    (records, commits)
}

fn record(line: &str) -> (String, &str) {
    let field = |name: &str| {
        let rest = line.split_once(name).unwrap().1;
        rest.split_once(',').unwrap().0.trim()
    };
    let manager = line.strip_prefix("rmgr: ").unwrap().split_whitespace().next().unwrap();
    let length = field("len (rec/tot):").split_once('/').unwrap().1.trim();
    let lsn: Lsn = field(" lsn:").parse().unwrap();
    let previous: Lsn = field(" prev ").parse().unwrap();
    let description = line.split_once("desc: ").unwrap().1;
    (format!("{manager} {length} tx {} at {lsn} after {previous}", field(" tx:")), description)
}

/// `0: rel 1663/5/1259 fork main blk 3 (FPW); hole: …`
fn block(reference: &str) -> String {
    let reference = reference.split(';').next().unwrap();
    let rest = reference.split_once(": rel ").unwrap().1;
    let (relation, rest) = rest.split_once(" fork ").unwrap();
    let (fork, rest) = rest.split_once(" blk ").unwrap();
    let (number, image) = rest.split_once(' ').unwrap_or((rest, ""));
    let image = match image.trim() {
        "" => String::new(),
        image => format!(" {image}"),
    };
    format!(", {relation} {fork} {number}{image}")
}
