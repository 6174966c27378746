//! `soter verify`: looks at what backups and recovery need, and says what damage costs.

mod etcd;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use soter_vault::ids::BackupId;
use soter_vault::keys::{ReaderKeys, Role};
use soter_vault::log::Log;
use soter_vault::verify::{
    Checked, CheckedWal, Depth, Request, WalRequest, attest, check_parts, hurt_by, verify,
    verify_wal,
};
use soter_vault::wal::{SessionAccess, WalReader, WalVault};
use soter_world::Stop;

use crate::context::{Access, Context, log_failure};
use crate::failure::{Ending, Failure};
use crate::onlooker::{Onlooker, Signing};
use crate::output::Meter;

use report::{Found, Report};

/// Objects that are read at once; each is at most 64 MiB.
const LANES: usize = 2;

/// Verify the backups of a store and the WAL that continues them. Nothing is restored, unless an etcd
/// is to be tried on a scratch member: --level restored.
///
/// It shows that the vault has kept what the agent stored; that the agent stored the truth only a
/// restore shows. No key to the contents is needed. With --identity streamed parts are opened, too.
/// With --collector what was found is signed into the log, and `soter backups` shows it. The exit
/// code is 1 if anything is missing or damaged.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The store, as the plan calls it.
    store: Option<String>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    signing: Signing,
    /// How closely to look.
    #[arg(long, value_enum, default_value_t = LevelArg::Hashed)]
    level: LevelArg,
    /// Look at this backup only, and at the WAL that it needs; may be repeated.
    #[arg(long = "backup", value_name = "ID")]
    backups: Vec<BackupId>,
    #[command(flatten)]
    scratch: etcd::ScratchArgs,
}

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LevelArg {
    /// Every object is there with its length.
    Present,
    /// Every object is read and has its hash; WAL has its signature.
    Hashed,
    /// Of an etcd: and the newest backup is restored to a scratch member, whose keys are counted.
    Restored,
}

impl LevelArg {
    pub(super) fn depth(self) -> Depth {
        match self {
            Self::Present => Depth::Present,
            Self::Hashed | Self::Restored => Depth::Hashed,
        }
    }
}

pub(super) fn run(context: &Context, args: &VerifyArgs) -> Result<(), Failure> {
    let key = args.signing.key(context)?;
    let onlooker = context.onlooker(&args.access, key.as_ref(), args.store.as_deref())?;
    // Before hours of reading: whoever may not sign hears of it now.
    let author = key.as_ref().map(|key| onlooker.author(key, Role::Verifier)).transpose()?;
    let mut log = onlooker.log(context)?;
    if args.level == LevelArg::Restored {
        return etcd::run(context, args, (&onlooker, author.as_ref()), &mut log);
    }
    let selected = selected(&log, &args.backups)?;
    let found = look(context, args, &onlooker, &log, selected)?;
    if let Some(author) = &author {
        attest(&mut log, author, &found.backups).map_err(|error| log_failure(&error))?;
    }
    let report = Report::of(&onlooker.name, log.catalogue(), &found, author.is_some());
    for finding in log.catalogue().findings() {
        context.output.warn(&finding.problem.to_string());
    }
    context.output.data(&report, Report::in_words);
    if report.backups.is_empty() {
        return Err(Failure::new(Ending::No, format!("{} has no backup", onlooker.name))
            .hint(format!("make one: soter backup {}", onlooker.name)));
    }
    report.verdict()
}

/// The backups that are asked for, all of which must be live. None means all.
fn selected(log: &Log, wanted: &[BackupId]) -> Result<Option<BTreeSet<BackupId>>, Failure> {
    let live: BTreeSet<BackupId> = log.catalogue().live().map(|backup| backup.id).collect();
    match wanted.iter().find(|id| !live.contains(id)) {
        Some(id) => Err(Failure::new(Ending::No, format!("there is no live backup {id}"))
            .hint("`soter backups` lists them")),
        None => Ok((!wanted.is_empty()).then(|| wanted.iter().copied().collect())),
    }
}

fn look(
    context: &Context,
    args: &VerifyArgs,
    onlooker: &Onlooker,
    log: &Log,
    selected: Option<BTreeSet<BackupId>>,
) -> Result<Found, Failure> {
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let depth = args.level.depth();
    let is_whole = selected.is_none();
    let request = Request { depth, backups: selected, hashed_since: None, lanes: LANES };
    let shown = Shown::new(context, &format!("verifying backups of {}", onlooker.name));
    let outcome = verify(log, &request, &stop, &|bytes, total| shown.advance(bytes, total));
    shown.meter.finish();
    let backups = outcome.map_err(|error| log_failure(&error))?;
    let mut wal = Vec::new();
    if is_whole {
        let except = log.catalogue().live().filter_map(|backup| backup.wal).collect();
        let request = WalRequest { depth, except, lanes: LANES };
        let shown = Shown::new(context, &format!("verifying WAL of {}", onlooker.name));
        let outcome = verify_wal(log, &request, &stop, &|bytes, total| shown.advance(bytes, total));
        shown.meter.finish();
        wal = outcome.map_err(|error| log_failure(&error))?;
        if let (Some(keys), Depth::Hashed) = (&onlooker.reader, depth) {
            open_parts(log, keys, &mut wal)?;
        }
    }
    let hurt = hurt(onlooker, log, &backups)?;
    Ok(Found { backups, wal, hurt, parts_opened: onlooker.reader.is_some() })
}

/// With an operator's key the streamed parts can be read, too.
fn open_parts(log: &Log, keys: &ReaderKeys, wal: &mut [CheckedWal]) -> Result<(), Failure> {
    let sessions = |id| SessionAccess::of(log.catalogue(), keys, id);
    let reader = WalReader { keys, sessions: &sessions, workers: LANES };
    let vault = log.vault();
    for checked in wal {
        let (store, clock) = (&*vault.objects, &*vault.clock);
        let wal = WalVault { store, clock, trust: log.trust(), archive: checked.archive };
        let faults = check_parts(&wal, &checked.range, reader);
        checked.faults.extend(faults.map_err(|error| log_failure(&error))?);
    }
    Ok(())
}

/// For each backup, the files that have something in damaged packs; only with a key to metadata.
fn hurt(
    onlooker: &Onlooker,
    log: &Log,
    backups: &[Checked],
) -> Result<BTreeMap<(BackupId, String), soter_vault::verify::Hurt>, Failure> {
    let mut hurt = BTreeMap::new();
    let Some(metadata) = &onlooker.metadata else { return Ok(hurt) };
    for checked in backups.iter().filter(|checked| !checked.passed()) {
        let is_pack = |object: &str| object.starts_with("data/") || object.starts_with("map/");
        for fault in checked.faults.iter().filter(|fault| is_pack(&fault.object)) {
            let objects = BTreeSet::from([fault.object.clone()]);
            let found = hurt_by(log, metadata, checked.backup, &objects);
            let found = found.map_err(|error| log_failure(&error))?;
            hurt.insert((checked.backup, fault.object.clone()), found);
        }
    }
    Ok(hurt)
}

struct Shown<'a> {
    meter: Meter<'a>,
    done: AtomicU64,
}

impl<'a> Shown<'a> {
    fn new(context: &'a Context, doing: &str) -> Self {
        let meter = context.output.progress(&*context.clock, doing);
        Self { meter, done: AtomicU64::new(0) }
    }

    fn advance(&self, bytes: u64, total: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.meter.bytes(done, total.max(done));
    }
}
