//! WAL on the server's disk: how much waits, and how long until the disk is full.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::Duration;

use soter_world::Disk;
use soter_world::disk::FileKind;

use super::status::{QueueStatus, seconds};
use crate::lsn::Lsn;

/// Over how long the rate is measured: long enough to even out a checkpoint.
const RATE_WINDOW: Duration = Duration::from_secs(300);

/// How fast WAL is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rate(VecDeque<(Duration, Lsn)>);

impl Rate {
    /// The server has WAL up to here.
    pub(crate) fn note(&mut self, now: Duration, end: Lsn) {
        self.0.push_back((now, end));
        while self.0.len() > 2
            && self.0.front().is_some_and(|(at, _)| now.saturating_sub(*at) > RATE_WINDOW)
        {
            self.0.pop_front();
        }
    }

    /// How long until so many bytes were written.
    fn time_for(&self, bytes: u64) -> Option<Duration> {
        let ((began, from), (ended, to)) = (self.0.front()?, self.0.back()?);
        let written = to.0.checked_sub(from.0).filter(|written| *written > 0)?;
        let took = ended.checked_sub(*began)?.as_millis();
        let millis = took.checked_mul(u128::from(bytes))? / u128::from(written);
        Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

/// Looks at the server's `pg_wal`. `kept_bytes` is what it holds for us.
pub(crate) fn measure(
    disk: &dyn Disk,
    data_directory: &Path,
    kept_bytes: u64,
    rate: &Rate,
) -> io::Result<QueueStatus> {
    let directory = data_directory.join("pg_wal");
    let mut pg_wal_bytes = 0;
    for entry in disk.list(&directory)? {
        if entry.kind == FileKind::File {
            // A file that has just been removed is not there any more.
            pg_wal_bytes += disk.metadata(&directory.join(entry.name)).map_or(0, |m| m.size);
        }
    }
    let waiting = disk.list(&directory.join("archive_status")).unwrap_or_default();
    let is_ready = |name: &OsStr| Path::new(name).extension() == Some(OsStr::new("ready"));
    let ready_files = waiting.iter().filter(|entry| is_ready(&entry.name)).count() as u64;
    let available_bytes = disk.available_bytes(&directory)?;
    let full_in_seconds = rate.time_for(available_bytes).map(seconds);
    Ok(QueueStatus { pg_wal_bytes, kept_bytes, ready_files, available_bytes, full_in_seconds })
}

#[cfg(test)]
mod tests {
    use soter_world::sim::SimDisk;

    use super::*;

    #[test]
    fn the_forecast_follows_the_rate() {
        let mut rate = Rate::default();
        assert_eq!(rate.time_for(100), None);
        rate.note(Duration::from_secs(10), Lsn(1000));
        rate.note(Duration::from_secs(20), Lsn(1000));
        assert_eq!(rate.time_for(100), None);
        rate.note(Duration::from_secs(30), Lsn(3000));
        assert_eq!(rate.time_for(1000), Some(Duration::from_secs(10)));
        rate.note(Duration::from_secs(1000), Lsn(3000));
        rate.note(Duration::from_secs(1100), Lsn(3000));
        assert_eq!(rate.time_for(1000), None);
    }

    #[test]
    fn what_waits_is_counted() {
        let disk = SimDisk::new(1);
        for directory in ["/data", "/data/pg_wal", "/data/pg_wal/archive_status"] {
            disk.create_dir(Path::new(directory)).unwrap();
        }
        for name in ["000000010000000000000001", "000000010000000000000002"] {
            let path = Path::new("/data/pg_wal").join(name);
            disk.create(&path).unwrap().set_len(1000).unwrap();
        }
        for name in ["a.ready", "b.done"] {
            disk.create(&Path::new("/data/pg_wal/archive_status").join(name)).unwrap();
        }
        disk.full_after(5000);
        let mut rate = Rate::default();
        rate.note(Duration::from_secs(0), Lsn(0));
        rate.note(Duration::from_secs(1), Lsn(1000));
        let found = measure(&disk, Path::new("/data"), 7, &rate).unwrap();
        let expected = QueueStatus {
            pg_wal_bytes: 2000,
            kept_bytes: 7,
            ready_files: 1,
            available_bytes: 5000,
            full_in_seconds: Some(5.0),
        };
        assert_eq!(found, expected);
    }
}
