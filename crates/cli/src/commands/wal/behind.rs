//! The process that `soter wal push` leaves behind: it stores the segments that follow while the
//! server hands over the first.
//!
//! The one rule: it leaves a note only for what is durable in the vault, with nothing odd about it.
//! Whatever else happens, the server's own call finds out and says so.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use soter_plan::{Plan, Store, StoreName};
use soter_postgres::agent::{Trusting, push_file, push_file_in_steps};
use soter_postgres::behind::{Behind, Place};
use soter_postgres::incarnation::Marker;
use soter_world::exec;

use super::{Direct, PushArgs, WORKERS};
use crate::context::{Context, postgres};
use crate::failure::Failure;

/// The notes for the server whose file this is, and the file's name in its directory. `None` for a
/// file from elsewhere, and while the cluster has no life yet.
pub(super) fn notes<'c>(
    context: &'c Context,
    plan: &Plan,
    store: &Store,
    path: &Path,
) -> Option<(Behind<'c>, String)> {
    let data = &postgres(store).data_directory;
    let (directory, file) = (data.join("pg_wal"), path.file_name()?.to_str()?);
    if path.parent() != Some(&directory) {
        return None;
    }
    let vault = plan.vaults.get(store.vault()?)?;
    let marker = Marker::read(&*context.disk, data).ok()??;
    let place = Place {
        vault: vault.url.to_string(),
        roots: vault.root_keys.iter().map(ToString::to_string).collect(),
        store: marker.store,
        incarnation: marker.incarnation,
        system_identifier: marker.system_identifier,
    };
    let behind = Behind::new(&*context.disk, &*context.clock, directory, place)?;
    Some((behind, file.to_owned()))
}

/// Starts the process, if one is of use. Without it everything is only slower.
pub(super) fn start(
    context: &Context,
    (notes, file): (&Behind<'_>, &str),
    (name, args): (&StoreName, &PushArgs),
) {
    if !notes.wants_worker(file) {
        return;
    }
    let Ok(binary) = std::env::current_exe() else { return };
    let mut words: Vec<OsString> = vec!["--quiet".into(), "--plan".into()];
    words.push(context.plan_path.clone().into());
    words.extend(["wal".into(), "behind".into(), args.file.clone().into()]);
    words.extend(["--store".into(), name.as_str().into()]);
    let worker = exec::Command::new(binary).args(words);
    match worker.stdout(exec::Output::Null).stderr(exec::Output::Null).spawn() {
        // It goes on when we end, which is soon.
        Ok(worker) => drop(worker.release()),
        Err(error) => context.output.warn(&format!("nothing is stored ahead: {error}")),
    }
}

/// The process's work.
pub(super) fn run(context: &Context, args: &PushArgs) -> Result<(), Failure> {
    let plan = context.plan()?;
    let (name, store) = context.postgres_store(&plan, args.store.as_deref())?;
    let path = postgres(store).data_directory.join(&args.file);
    let direct = Direct::open(context, (&plan, name, store))?;
    let Some((notes, file)) = notes(context, &plan, store, &path) else { return Ok(()) };
    if !notes.is_of(&direct.archive) {
        return Ok(());
    }
    let (wal, sealer, turns) = (direct.wal(), direct.sealer(1), Turns::new(WORKERS));
    let disk = &*context.disk;
    let store = |path: &Path| {
        let known = path.file_name().and_then(|name| wal.archive.file(name.to_str()?));
        let is_there = known.is_some_and(|file| !matches!(wal.locate(&file), Ok(None)));
        let pushed = if is_there {
            push_file(&wal, &sealer, disk, path, Trusting::Heads)
        } else {
            push_file_in_steps(&wal, disk, path, |file, source| {
                turns.take(|| sealer.seal(file, source))
            })
        };
        pushed.is_ok_and(|pushed| pushed.findings.is_empty())
    };
    notes.run(&file, &store).map_err(|error| Failure::of(crate::failure::Ending::Failed, &error))
}

/// So many at a time.
struct Turns {
    free: Mutex<usize>,
    given_back: Condvar,
}

impl Turns {
    fn new(number: usize) -> Self {
        Self { free: Mutex::new(number), given_back: Condvar::new() }
    }

    fn take<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.given_back.wait_while(free, |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        let done = work();
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.given_back.notify_one();
        done
    }
}
