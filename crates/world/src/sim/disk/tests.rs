use super::*;
use crate::durable;
use crate::sim::seeds;

/// How many seeds a test tries.
const SEEDS: u64 = 100;

fn contents(disk: &SimDisk, path: &str) -> Vec<u8> {
    durable::read(disk, Path::new(path), 1 << 20).unwrap()
}

fn create(disk: &SimDisk, path: &str, bytes: &[u8]) {
    disk.create(Path::new(path)).unwrap().write_at(0, bytes).unwrap();
}

#[test]
fn a_durable_write_is_old_or_new_after_a_crash_at_any_operation() {
    let path = Path::new("/a/b/state");
    let (old, new) = (vec![1; 3000], vec![2; 4000]);
    let mut outcomes = BTreeSet::new();
    for seed in seeds(SEEDS) {
        for operation in 0..100 {
            let disk = SimDisk::new(seed);
            durable::create_dir_all_durable(&disk, Path::new("/a/b")).unwrap();
            durable::write_durable(&disk, path, &old).unwrap();
            disk.crash_at(disk.operations() + operation);
            let written = durable::write_durable(&disk, path, &new);
            let finished = !disk.has_crashed();
            assert_eq!(written.is_ok(), finished);
            disk.reboot();
            let left = contents(&disk, "/a/b/state");
            assert!(left == old || left == new, "seed {seed} operation {operation}");
            assert!(written.is_err() || left == new, "seed {seed} operation {operation}");
            outcomes.insert((operation, left == new));
            if finished {
                break;
            }
        }
    }
    // The crash really could fall on either side of the rename.
    assert!(outcomes.iter().any(|(operation, new)| *operation > 0 && !new));
    assert!(outcomes.iter().any(|(_, new)| *new));
}

#[test]
fn a_writer_that_forgets_a_sync_is_caught() {
    let rename_unsynced = |disk: &SimDisk| {
        create(disk, "/new", &[2; 2000]);
        disk.rename(Path::new("/new"), Path::new("/state")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
    };
    let directory_unsynced = |disk: &SimDisk| {
        let file = disk.create(Path::new("/new")).unwrap();
        file.write_at(0, &[2; 2000]).unwrap();
        file.sync().unwrap();
        disk.rename(Path::new("/new"), Path::new("/state")).unwrap();
    };
    let writers: [&dyn Fn(&SimDisk); 2] = [&rename_unsynced, &directory_unsynced];
    for writer in writers {
        let caught = seeds(SEEDS).any(|seed| {
            let disk = SimDisk::new(seed);
            durable::write_durable(&disk, Path::new("/state"), &[1; 2000]).unwrap();
            writer(&disk);
            disk.reboot();
            contents(&disk, "/state") != [2; 2000]
        });
        assert!(caught);
    }
}

#[test]
fn a_directory_that_was_not_synced_into_its_parent_can_take_its_files_along() {
    let lost = seeds(SEEDS).any(|seed| {
        let disk = SimDisk::new(seed);
        disk.create_dir(Path::new("/new")).unwrap();
        durable::write_durable(&disk, Path::new("/new/file"), b"x").unwrap();
        disk.reboot();
        disk.metadata(Path::new("/new/file")).is_err()
    });
    assert!(lost);
    for seed in seeds(SEEDS) {
        let disk = SimDisk::new(seed);
        durable::create_dir_all_durable(&disk, Path::new("/new/deep")).unwrap();
        durable::write_durable(&disk, Path::new("/new/deep/file"), b"x").unwrap();
        disk.reboot();
        assert_eq!(contents(&disk, "/new/deep/file"), b"x", "seed {seed}");
    }
}

#[test]
fn a_rename_arrives_whole_or_not_at_all() {
    for seed in seeds(SEEDS) {
        let disk = SimDisk::new(seed);
        disk.create_dir(Path::new("/a")).unwrap();
        disk.create_dir(Path::new("/b")).unwrap();
        create(&disk, "/a/file", b"x");
        disk.sync_filesystem(Path::new("/")).unwrap();
        disk.rename(Path::new("/a/file"), Path::new("/b/file")).unwrap();
        disk.reboot();
        let at = |path: &str| disk.metadata(Path::new(path)).is_ok();
        assert!(at("/a/file") != at("/b/file"), "seed {seed}");
    }
}

#[test]
fn syncing_one_directory_keeps_the_order_of_changes_in_the_others() {
    for seed in seeds(SEEDS) {
        let disk = SimDisk::new(seed);
        disk.create_dir(Path::new("/a")).unwrap();
        disk.create_dir(Path::new("/b")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let file = disk.create(Path::new("/a/new")).unwrap();
        file.write_at(0, b"new").unwrap();
        file.sync().unwrap();
        create(&disk, "/b/file", b"old");
        disk.rename(Path::new("/a/new"), Path::new("/b/file")).unwrap();
        disk.sync_dir(Path::new("/a")).unwrap();
        disk.reboot();
        assert_eq!(contents(&disk, "/b/file"), b"new", "seed {seed}");
    }
}

#[test]
fn a_restart_loses_nothing_and_open_files_are_stale() {
    let disk = SimDisk::new(1);
    let file = disk.create(Path::new("/file")).unwrap();
    file.write_at(0, b"unsynced").unwrap();
    disk.crash_at(disk.operations());
    assert!(disk.metadata(Path::new("/file")).is_err());
    assert!(disk.metadata(Path::new("/file")).is_err());
    disk.restart();
    assert_eq!(contents(&disk, "/file"), b"unsynced");
    assert!(file.len().is_err());
}

#[test]
fn an_operation_fails_once_and_a_failed_sync_saves_nothing() {
    let disk = SimDisk::new(1);
    let file = disk.create(Path::new("/file")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file.write_at(0, b"lost").unwrap();
    disk.fail_at(disk.operations(), io::ErrorKind::Other);
    assert!(file.sync().is_err());
    file.sync().unwrap();
    assert_eq!(contents(&disk, "/file"), b"lost");
    disk.reboot();
    assert_eq!(contents(&disk, "/file"), b"");
}

#[test]
fn a_full_disk_takes_what_fits_and_no_new_names() {
    let disk = SimDisk::new(1);
    disk.full_after(10);
    let file = disk.create(Path::new("/file")).unwrap();
    let error = file.write_at(0, &[7; 20]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(contents(&disk, "/file"), [7; 10]);
    file.write_at(0, &[8; 10]).unwrap();
    let error = disk.create(Path::new("/other")).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.available_bytes(Path::new("/")).unwrap(), 0);
    disk.remove_file(Path::new("/file")).unwrap();
    assert_eq!(disk.available_bytes(Path::new("/")).unwrap(), 10);
    disk.full_after(u64::MAX);
    create(&disk, "/other", &[0; 1000]);
}

#[test]
fn a_repeated_link_says_that_it_exists() {
    let disk = SimDisk::new(1);
    create(&disk, "/from", b"x");
    disk.repeat_at(disk.operations());
    let error = disk.link(Path::new("/from"), Path::new("/to")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(disk.metadata(Path::new("/to")).unwrap().links, 2);
    disk.forbid_links();
    let error = disk.link(Path::new("/from"), Path::new("/third")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
}

/// Random operations on both disks must give the same answers, or the simulation proves nothing.
#[test]
fn it_answers_as_the_real_file_system_does() {
    for seed in seeds(SEEDS) {
        let root = tempfile::tempdir().unwrap();
        let sim = SimDisk::new(seed);
        durable::create_dir_all_durable(&sim, root.path()).unwrap();
        let random = SeededRandom::new(seed);
        for step in 0..200 {
            let choose = || {
                let names = ["a", "b", "d", "d/a", "d/e", "l", "l/a", "d/../b", "n/a"];
                root.path().join(names[random.index(names.len())])
            };
            let (one, two) = (choose(), choose());
            let operation = random.below(13);
            let real = apply(&crate::disk::OsDisk, operation, &one, &two);
            let simulated = apply(&sim, operation, &one, &two);
            assert_eq!(simulated, real, "seed {seed} step {step}: {operation} {one:?} {two:?}");
        }
    }
}

fn apply(disk: &dyn Disk, operation: u64, one: &Path, two: &Path) -> Result<String, io::ErrorKind> {
    let done = |result: io::Result<()>| result.map(|()| String::new());
    let answer = match operation {
        0 => disk.create(one).and_then(|file| done(file.write_at(3, b"text"))),
        1 => disk.open(one).and_then(|file| {
            let mut buffer = [0; 20];
            let count = file.read_at(1, &mut buffer)?;
            Ok(format!("{:?}", &buffer[..count]))
        }),
        2 => disk.open_write(one).and_then(|file| {
            file.set_len(2)?;
            file.write_at(1, b"longer")?;
            Ok(file.len()?.to_string())
        }),
        3 => done(disk.link(one, two)),
        4 => done(disk.rename(one, two)),
        5 => done(disk.rename_noreplace(one, two)),
        6 => done(disk.remove_file(one)),
        7 => done(disk.create_dir(one)),
        8 => done(disk.remove_dir(one)),
        9 => done(disk.symlink(two.file_name().map(Path::new).unwrap(), one)),
        10 => disk.read_link(one).map(|target| format!("{target:?}")),
        11 => disk.list(one).map(|entries| format!("{entries:?}")),
        _ => disk.metadata(one).map(|found| {
            let links =
                if found.kind == crate::disk::FileKind::Directory { 0 } else { found.links };
            let size = if found.kind == crate::disk::FileKind::File { found.size } else { 0 };
            format!("{:?} {size} {:o} {links}", found.kind, found.mode)
        }),
    };
    answer.map_err(|error| error.kind())
}
