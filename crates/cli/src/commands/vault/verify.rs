//! `soter vault verify`: everything in a vault, whoever's it is, and whether it can be believed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use soter_vault::ids::StoreId;
use soter_vault::log::{Log, Severity};
use soter_vault::names::{Name, VAULT_RECORD};
use soter_vault::survey::Survey;
use soter_vault::verify::{
    CheckedWal, Damage, Depth, Request, Told, WalRequest, verify, verify_heads, verify_wal,
};
use soter_world::Stop;

use super::access::{VaultAccess, WholeVault};
use crate::commands::verify::LevelArg;
use crate::context::{Context, log_failure};
use crate::failure::{Ending, Failure};
use crate::output::{human_bytes, table};

/// Objects that are read at once; each is at most 64 MiB.
const LANES: usize = 2;

/// Verify a whole vault: record, trust lists, the log of every store, the objects of every backup, all
/// WAL, and what nobody of ours has put there.
///
/// No key to contents is needed: any key file of the vault says whom to believe. `soter verify` says
/// more of one store: which files and moments damage costs.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct VaultVerifyArgs {
    #[command(flatten)]
    access: VaultAccess,
    /// How closely to look.
    #[arg(long, value_enum, default_value_t = LevelArg::Present)]
    level: LevelArg,
}

#[derive(Serialize)]
struct Report {
    passed: bool,
    stores: Vec<StoreLine>,
    findings: Vec<Found>,
    /// Damaged objects that another one stands in for.
    repaired: Vec<String>,
}

#[derive(Serialize)]
struct StoreLine {
    store: String,
    log_entries: u64,
    backups: usize,
    objects: u64,
    bytes: u64,
    wal_files: u64,
}

/// Something that is wrong.
#[derive(Serialize)]
struct Found {
    object: String,
    what: String,
}

pub(super) fn run(context: &Context, args: &VaultVerifyArgs) -> Result<(), Failure> {
    if args.level == LevelArg::Restored {
        return Err(Failure::new(Ending::Input, "a whole vault is not restored to be verified")
            .hint("it is done store by store: soter verify STORE --level restored"));
    }
    let whole = args.access.open(context, None)?;
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let mut report =
        Report { passed: true, stores: Vec::new(), findings: Vec::new(), repaired: Vec::new() };
    report.of_trust(&whole);
    let meter = context.output.progress(&*context.clock, "verifying the vault");
    let done = AtomicU64::new(0);
    let told = |bytes: u64, total: u64| {
        let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        meter.bytes(done, total.max(done));
    };
    for (name, log) in whole.logs(context)? {
        let looked = report.of_store(&name, &log, args.level.depth(), &stop, &told);
        looked.map_err(|error| {
            meter.finish();
            log_failure(&error).during(&format!("verify {name}"))
        })?;
    }
    meter.finish();
    report.of_strangers(&whole)?;
    report.passed = report.findings.is_empty();
    context.output.data(&report, in_words);
    if report.passed {
        return Ok(());
    }
    let count = report.findings.len();
    Err(Failure::new(Ending::No, format!("the vault is not as it should be: {count} findings"))
        .hint("`soter verify STORE` says what damage costs and how to mend it"))
}

impl Report {
    fn find(&mut self, object: impl Into<String>, what: impl ToString) {
        self.findings.push(Found { object: object.into(), what: what.to_string() });
    }

    fn of_trust(&mut self, whole: &WholeVault) {
        for finding in &whole.open.trust.findings {
            let text = finding.to_string();
            let what = text.split_once(": ").map_or(text.as_str(), |(_, what)| what);
            self.find(finding.name.clone(), what);
        }
        // It is not signed, and nothing is believed because of it; but somebody has changed it.
        let record = whole.open.trust.record.as_ref();
        if record.is_some_and(|record| !record.roots.iter().any(|it| whole.pins.roots.contains(it)))
        {
            self.find(VAULT_RECORD, "it names other roots than the key file");
        }
    }

    fn of_store(
        &mut self,
        name: &str,
        log: &Log,
        depth: Depth,
        stop: &Stop,
        told: Told<'_>,
    ) -> Result<(), soter_vault::log::LogError> {
        let catalogue = log.catalogue();
        let store = catalogue.place().store;
        for finding in catalogue.findings().iter().filter(|it| it.severity() > Severity::Note) {
            let object = Name::Log(store, finding.sequence).to_string();
            self.find(object, &finding.problem);
        }
        let request = Request { depth, backups: None, hashed_since: None, lanes: LANES };
        let backups = verify(log, &request, stop, told)?;
        let except = catalogue.live().filter_map(|backup| backup.wal).collect();
        let wal = verify_wal(log, &WalRequest { depth, except, lanes: LANES }, stop, told)?;
        let known: Vec<_> = wal.iter().map(CheckedWal::looked_at).collect();
        let heads = verify_heads(log, depth, &known, stop)?;
        let mut named = BTreeSet::new();
        let of_backups = backups.iter().flat_map(|checked| &checked.faults);
        let of_wal = wal.iter().flat_map(|checked| &checked.faults);
        let faults = of_backups.map(|fault| (&fault.object, &fault.damage));
        for (object, damage) in faults.chain(of_wal.map(|fault| (&fault.object, &fault.damage))) {
            if !named.insert(object.clone()) {
                continue;
            }
            match damage {
                Damage::Repaired { .. } => self.repaired.push(format!("{object}: {damage}")),
                _ => self.find(object.clone(), damage),
            }
        }
        for finding in heads.findings {
            if named.insert(finding.object.clone()) {
                self.find(finding.object, finding.fault);
            }
        }
        for (checked, (from, to)) in
            wal.iter().flat_map(|it| it.range.gaps.iter().map(move |gap| (it, *gap)))
        {
            let segment = soter_vault::wal::Segment {
                timeline: checked.range.timeline,
                number: checked.archive.segment_at(from),
            };
            let object = checked.archive.segment_file(segment).name();
            self.find(object, format!("{} bytes of WAL are missing from here on", to - from));
        }
        let counted = backups.iter().map(|it| (it.objects_count, it.objects_bytes));
        let counted = counted.chain(wal.iter().map(|it| (it.objects_count, it.objects_bytes)));
        let (objects, bytes) = counted.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        self.stores.push(StoreLine {
            store: name.to_owned(),
            log_entries: catalogue.next_sequence(),
            backups: backups.len(),
            objects,
            bytes,
            wal_files: heads.files_count,
        });
        Ok(())
    }

    fn of_strangers(&mut self, whole: &WholeVault) -> Result<(), Failure> {
        let stores = &whole.open.trust().newest().stores;
        let ids: BTreeSet<StoreId> = stores.iter().map(|row| row.id).collect();
        let survey = Survey::read(&*whole.objects(), &ids)
            .map_err(|error| Failure::of(Ending::Failed, &error))?;
        for name in &survey.foreign_names {
            self.find(name.clone(), "nothing of this vault has such a name");
        }
        let named = survey.foreign_names.len() as u64;
        if survey.foreign.objects > named {
            let more = survey.foreign.objects - named;
            self.find("…", format!("{more} more objects are nobody's"));
        }
        Ok(())
    }
}

fn in_words(report: &Report) -> String {
    let row = |line: &StoreLine| {
        vec![
            line.store.clone(),
            line.log_entries.to_string(),
            line.backups.to_string(),
            line.objects.to_string(),
            human_bytes(line.bytes),
            line.wal_files.to_string(),
        ]
    };
    let rows: Vec<_> = report.stores.iter().map(row).collect();
    let header = ["store", "log entries", "backups", "objects", "size", "WAL files"];
    let mut lines = vec![table(&header, &rows)];
    lines.extend(report.repaired.iter().map(|what| format!("repaired: {what}")));
    lines.extend(report.findings.iter().map(|it| format!("finding: {}: {}", it.object, it.what)));
    if report.passed {
        lines.push("all is as it should be".to_owned());
    }
    lines.join("\n")
}
