//! What an effective entry changes in the state. Whether it is effective was judged before.

use jiff::Timestamp;

use crate::ids::VaultId;
use crate::keys::{PublicKey, Trust};
use crate::log::catalogue::{AttestRow, BackupRow, Catalogue, HoldRow, SessionRow};
use crate::log::entry::Entry;
use crate::log::event::{Backup, Event, Open, Retire, Sweep, WalRange};
use crate::log::finding::Problem;
use crate::log::packs::PackRows;
use crate::log::validate::Imported;

/// Who did it, where and when.
#[derive(Clone, Copy)]
struct Origin {
    sequence: u64,
    signer: PublicKey,
    claimed: Timestamp,
    stored: Timestamp,
    vault: Option<VaultId>,
}

impl Catalogue {
    pub(super) fn change(&mut self, trust: &Trust, entry: Entry, stored: Timestamp) {
        let origin = Origin {
            sequence: entry.head.sequence,
            signer: entry.head.signer,
            claimed: entry.head.claimed,
            stored,
            vault: None,
        };
        if let Some(row) = self.entries.get_mut(&origin.sequence) {
            row.effective = true;
        }
        let Origin { sequence, signer, .. } = origin;
        match entry.event {
            Event::Open(open) => self.open(open, origin),
            Event::Backup(backup) => {
                let rows = backup.rows.clone();
                self.commit(&backup, rows, origin);
            }
            Event::Retire(retire) => self.retire(&retire, stored),
            Event::Sweep(sweep) => self.sweep(sweep),
            Event::Hold(hold) => {
                self.holds.insert(sequence, HoldRow { sequence, hold, signer, stored });
            }
            Event::Unhold(unhold) => {
                self.holds.remove(&unhold.hold);
            }
            Event::Attest(attest) => {
                let rows = self.attests.entry(attest.backup).or_default();
                rows.push(AttestRow { sequence, attest, signer, stored });
            }
            Event::Import(import) => {
                let imported = Imported::parse(self.place, trust, &import);
                let Imported { open, opener, backup, rows } =
                    imported.expect("an import that does not parse was judged void");
                let vault = Some(import.source);
                if !self.sessions.contains_key(&open.session) {
                    self.open(open, Origin { signer: opener, vault, ..origin });
                }
                self.commit(&backup, rows, Origin { vault, ..origin });
            }
            Event::Unknown(_) => {}
        }
    }

    fn open(&mut self, open: Open, origin: Origin) {
        let imported = origin.vault.is_some();
        if !imported && let Some(before) = self.newest.insert(open.duty, open.session) {
            let before = self.sessions.get_mut(&before).expect("the newest session is known");
            before.superseded = Some(origin.sequence);
        }
        if let Some(incarnation) = &open.incarnation {
            self.incarnations.insert(incarnation.id, incarnation.bound_to.clone());
        }
        let row = SessionRow {
            id: open.session,
            sequence: origin.sequence,
            duty: open.duty,
            agent: open.agent,
            signer: origin.signer,
            incarnation: open.incarnation,
            adopts: open.adopts.into_iter().collect(),
            commitment: open.commitment,
            wrapped: open.wrapped,
            stored: origin.stored,
            superseded: None,
            imported,
        };
        self.sessions.insert(row.id, row);
    }

    fn commit(&mut self, backup: &Backup, rows: PackRows, origin: Origin) {
        let packs = backup.packs();
        if let Some(pack) = self.undescribed(&packs, &rows) {
            self.report(origin.sequence, Problem::Undescribed { backup: backup.id, pack });
        }
        let new_bytes = backup.rows.iter().map(|(_, _, row)| u64::from(row.length)).sum();
        self.described.add(&rows.packs());
        self.rows.extend(rows);
        let row = BackupRow {
            id: backup.id,
            sequence: origin.sequence,
            session: backup.session,
            claimed: origin.claimed,
            stored: origin.stored,
            wal: backup.wal,
            packs,
            new_bytes,
            is_increment: !backup.referenced.is_empty(),
            retired: None,
            imported_from: origin.vault,
        };
        self.live.insert(row.sequence, row.id);
        self.backups.insert(row.id, row);
    }

    fn retire(&mut self, retire: &Retire, stored: Timestamp) {
        for id in &retire.backups {
            let backup = self.backups.get_mut(id).expect("a live backup is known");
            backup.retired = Some(stored);
            self.live.remove(&backup.sequence);
        }
    }

    fn sweep(&mut self, sweep: Sweep) {
        self.described.remove(&sweep.packs);
        self.rows.forget(&sweep.packs);
        self.swept.add(&sweep.packs);
        for range in sweep.wal {
            merge(&mut self.swept_wal, range);
        }
        for range in sweep.parts {
            merge(&mut self.swept_parts, range);
        }
    }
}

/// Adds a range to others; those it overlaps or continues become one with it. A store sweeps daily
/// for years, and every backup is compared with all ranges.
fn merge(ranges: &mut Vec<WalRange>, mut new: WalRange) {
    ranges.retain(|old| {
        let joins = (old.incarnation, old.timeline, old.segment_bytes)
            == (new.incarnation, new.timeline, new.segment_bytes)
            && old.from <= new.to
            && new.from <= old.to;
        if joins {
            new.from = new.from.min(old.from);
            new.to = new.to.max(old.to);
        }
        !joins
    });
    ranges.push(new);
}
