//! What was appended behind an entry that was seen before, without what lies before it.
//!
//! For who asks a long log one question often: whoever archives a WAL segment need not read a year
//! of backups to see that the cluster is still the one it was. The rule: this says only what the
//! whole log would say as well; where the tail alone does not decide, it says nothing.

use crate::ids::StoreId;
use crate::keys::Trust;
use crate::log::append::Log;
use crate::log::error::LogError;
use crate::log::event::{Event, LogHead};
use crate::vault::Vault;

/// What lies behind an entry.
#[derive(Debug)]
pub struct Tail {
    /// The newest entry.
    pub head: LogHead,
    /// What was appended, oldest first. The rules of a log may still make any of it void.
    pub events: Vec<Event>,
}

impl Tail {
    /// Reads what follows `seen`, which must have been linked and durable when it was seen. `None`
    /// when the whole log must be read: `seen` is not there, or what follows it is not an unbroken
    /// chain of entries that this version knows.
    ///
    /// # Errors
    /// The store's.
    pub fn read(
        vault: &Vault,
        store: StoreId,
        trust: &Trust,
        seen: LogHead,
    ) -> Result<Option<Self>, LogError> {
        let log = Log::unread(vault, store, trust.clone());
        let Some(Ok(entry)) = log.read_authentic(seen.sequence)? else { return Ok(None) };
        if entry.hash != seen.hash {
            return Ok(None);
        }
        let (mut trust_number, mut tail) = (entry.head.trust, Self { head: seen, events: vec![] });
        while let Some(next) = tail.head.sequence.checked_add(1) {
            let Some(found) = log.look(next)? else { return Ok(Some(tail)) };
            let Ok(entry) = found.entry else { return Ok(None) };
            let follows = entry.head.previous == Some(tail.head.hash);
            if !follows || entry.head.trust < trust_number || entry.unknown().is_some() {
                return Ok(None);
            }
            trust_number = entry.head.trust;
            tail.head = LogHead { sequence: next, hash: entry.hash };
            tail.events.push(entry.event);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::sample::Bench;
    use crate::log::{Duty, PackSet};
    use crate::names::Name;
    use crate::objects::{Created, Metered, ObjectStore};

    fn read(bench: &Bench, vault: &Vault, seen: LogHead) -> Option<Tail> {
        Tail::read(vault, bench.keys.writer.store, &bench.keys.trust, seen).unwrap()
    }

    fn head(bench: &Bench) -> LogHead {
        bench.log().catalogue().head().unwrap()
    }

    #[test]
    fn it_says_what_the_whole_log_says_and_reads_no_more_than_that() {
        let bench = Bench::new(11);
        let session = bench.open(Duty::Wal);
        for _ in 0..20 {
            bench.back_up(&session, 0, PackSet::default());
        }
        let seen = head(&bench);
        let metered = Arc::new(Metered::new(Arc::clone(&bench.vault.objects)));
        let objects = Arc::clone(&metered) as Arc<dyn ObjectStore>;
        let vault = Vault { objects, ..bench.vault.clone() };
        let tail = read(&bench, &vault, seen).unwrap();
        assert_eq!((tail.head, tail.events), (seen, vec![]));
        let counts = metered.counts();
        assert_eq!((counts.reads, counts.heads, counts.lists), (1, 1, 0), "{counts:?}");
        bench.back_up(&session, 0, PackSet::default());
        bench.open(Duty::Wal);
        let tail = read(&bench, &vault, seen).unwrap();
        assert_eq!(tail.head, head(&bench));
        assert!(matches!(tail.events.as_slice(), [Event::Backup(_), Event::Open(_)]));
    }

    #[test]
    fn it_says_nothing_about_another_log_a_hole_or_a_break() {
        let bench = Bench::new(12);
        let session = bench.open(Duty::Wal);
        let opened = head(&bench);
        bench.back_up(&session, 0, PackSet::default());
        let other = Bench::new(13);
        other.open(Duty::Wal);
        assert!(read(&bench, &bench.vault, head(&other)).is_none(), "another log's head");
        let beyond = LogHead { sequence: 7, ..opened };
        assert!(read(&bench, &bench.vault, beyond).is_none(), "an entry that is not there");
        let end = Name::Log(bench.keys.writer.store, 2).to_string();
        assert_eq!(bench.memory.create(&end, b"squatted").unwrap(), Created::New);
        assert!(read(&bench, &bench.vault, opened).is_none(), "a hole");
        bench.open(Duty::Wal);
        assert!(read(&bench, &bench.vault, head(&bench)).is_some(), "behind the hole");
        assert!(read(&bench, &bench.vault, opened).is_none(), "the hole is before it still");
    }

    #[test]
    fn it_does_not_step_over_an_entry_that_was_taken_away() {
        let bench = Bench::new(14);
        let session = bench.open(Duty::Wal);
        let opened = head(&bench);
        bench.back_up(&session, 0, PackSet::default());
        let gone = head(&bench);
        let name = |sequence| Name::Log(bench.keys.writer.store, sequence).to_string();
        let last = bench.memory.read(&name(gone.sequence)).unwrap();
        bench.memory.delete(&name(gone.sequence)).unwrap();
        assert!(read(&bench, &bench.vault, gone).is_none());
        // Under the next number it is not the entry that follows.
        for (sequence, bytes) in [(gone.sequence, &b"x"[..]), (gone.sequence + 1, &last)] {
            assert_eq!(bench.memory.create(&name(sequence), bytes).unwrap(), Created::New);
        }
        assert!(read(&bench, &bench.vault, opened).is_none());
    }
}
