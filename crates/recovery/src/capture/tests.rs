use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use soter_runbook::procedure::{Action as Doing, Parameters};
use soter_world::sim::{SimDisk, seeds};
use soter_world::{OsDisk, Secret};

use super::*;
use crate::testing::{self, Desk};
use soter_runbook::procedure::Given;

/// What is found.
const TEXT: &str = "damage\n";

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::File::create(path).unwrap();
    io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn attempt(capture: &[&str]) -> Attempt {
    testing::attempt(Doing::Capture, |step| step.capture = names(capture))
}

fn keep(desk: &Desk, attempt: &Attempt) -> Result<Vec<Captured>, String> {
    let evidence = Evidence { means: desk.means() };
    evidence.capture(attempt, &desk.place()).expect("there is something to keep")
}

fn run_directory(desk: &Desk) -> PathBuf {
    desk.place().run_directory
}

fn by_another_program(path: &Path) -> String {
    let sum = exec::Command::new("sha256sum").arg(path).run(std::time::Duration::from_secs(60));
    let sum = String::from_utf8(sum.unwrap().checked().unwrap().stdout).unwrap();
    sum.split(' ').next().unwrap().to_owned()
}

#[test]
fn evidence_is_kept_once_with_its_hash_and_whose_it_was() {
    let desk = Desk::new("", "kind: drill\n");
    let run = run_directory(&desk);
    put(&run.join("work/found/damage.txt"), TEXT);
    let outside = desk.root().join("outside.log");
    put(&outside, "a\nb\n");
    symlink(&outside, run.join("work/link")).unwrap();
    let written = [outside.to_str().unwrap(), "found/damage.txt", "link"];
    let mut attempt = attempt(&written);
    Arc::make_mut(&mut attempt.step).owner = Some("ada".to_owned());
    // What an earlier try left when it was cut off is not in the way.
    put(&run.join("captures/step.1.partial/files/found/damage.txt"), "half");
    let kept = keep(&desk, &attempt).unwrap();
    let paths: Vec<&str> = kept.iter().map(|one| one.path.as_str()).collect();
    let of_outside = format!("step.1/files{}", outside.display());
    assert_eq!(
        paths,
        [&*of_outside, "step.1/files/found/damage.txt", "step.1/files/link", "step.1/custody.json"]
    );
    for one in &kept {
        let path = run.join(CAPTURES).join(&one.path);
        assert_eq!(by_another_program(&path), one.sha256, "{}", one.path);
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.len(), found.permissions().mode() & 0o777), (one.bytes, 0o400));
    }
    assert_eq!(kept[1].bytes, TEXT.len() as u64);
    let custody = fs::read(run.join("captures/step.1/custody.json")).unwrap();
    let custody: Custody = serde_json::from_slice(&custody).unwrap();
    assert_eq!((custody.responsible.as_deref(), custody.target.as_str()), (Some("ada"), "lab"));
    assert_eq!(custody.kind, "DRILL");
    assert!(!custody.taken_by.is_empty() && custody.taken_by.contains('('));
    assert_eq!(custody.files[0].mode.len(), 4);
    assert!(!custody.files[0].changed_meanwhile);
    assert_eq!(keep(&desk, &attempt).unwrap(), kept, "asked again");
    assert_eq!(verify(&OsDisk, &run, &kept), Vec::<String>::new());
    assert_eq!(problems(&OsDisk, &run.join("captures/step.1")), Vec::<String>::new());
}

#[test]
fn evidence_that_was_told_of_outlives_a_power_cut() {
    for seed in seeds(20) {
        let desk = Desk::new("", "kind: drill\n");
        let run = run_directory(&desk);
        let disk = SimDisk::new(seed);
        for name in ["work/found/deep/damage.txt", "work/a"] {
            let path = run.join(name);
            durable::create_dir_all_durable(&disk, durable::parent(&path)).unwrap();
            durable::write_durable(&disk, &path, TEXT.as_bytes()).unwrap();
        }
        durable::create_dir_all_durable(&disk, &run.join(CAPTURES)).unwrap();
        let means = Means { disk: Arc::new(disk.clone()), ..desk.means() };
        let attempt = attempt(&["found/deep/damage.txt", "a"]);
        let kept = Evidence { means }.capture(&attempt, &desk.place()).unwrap().unwrap();
        disk.reboot();
        assert_eq!(verify(&disk, &run, &kept), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn what_was_changed_added_or_taken_away_is_named() {
    let desk = Desk::new("", "kind: drill\n");
    let run = run_directory(&desk);
    put(&run.join("work/a"), TEXT);
    put(&run.join("work/b"), TEXT);
    put(&run.join("work/c"), TEXT);
    let kept = keep(&desk, &attempt(&["a", "b", "c"])).unwrap();
    let directory = run.join("captures/step.1/files");
    let writable = |path: &Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    };
    writable(&directory.join("a"));
    // One bit.
    put(&directory.join("a"), "famage\n");
    fs::remove_file(directory.join("b")).unwrap();
    put(&directory.join("more"), "x");
    // Nobody was told of what was cut off before it was whole.
    put(&run.join("captures/step.2.partial/files/x"), "x");
    let found = verify(&OsDisk, &run, &kept);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].contains("files/a: it has 7 bytes with the SHA-256"), "{found:#?}");
    assert!(found[1].starts_with("cannot read") && found[1].contains("files/b"), "{found:#?}");
    assert!(found[2].ends_with("files/more: the journal does not know it"), "{found:#?}");
    assert_eq!(problems(&OsDisk, &run.join("captures/step.1")).len(), 2);
}

#[test]
fn what_cannot_be_kept_fails_and_leaves_nothing() {
    let desk = Desk::new("", "kind: drill\n");
    let run = run_directory(&desk);
    put(&run.join("work/there"), TEXT);
    fs::create_dir_all(run.join("work/directory")).unwrap();
    let large = fs::File::create(run.join("work/large")).unwrap();
    large.set_len(FILE_BYTES_MAX + 1).unwrap();
    for (name, says) in [
        ("missing", "is not there"),
        ("directory", "name the files in it"),
        ("../x", "climbs out"),
        ("large", "at most 1073741824 of a file are kept"),
        ("${nobody}", "has no value"),
        ("/dev/null", "is no file"),
    ] {
        let why = keep(&desk, &attempt(&["there", name])).unwrap_err();
        assert!(why.contains(says), "{name}: {why}");
        assert!(!run.join("captures/step.1").exists(), "{name}");
    }
}

#[test]
fn what_the_run_wrote_is_kept_without_its_secrets() {
    let desk = Desk::new("", "kind: drill\n");
    let run = run_directory(&desk);
    put(&run.join("work/a"), "hunter2-and-more is what was there\n");
    put(&run.join("children/step.1/output"), "it said hunter2-and-more\n");
    put(&run.join("children/step.1/evidence/plan.txt"), "password = hunter2-and-more\n");
    let mut parameters = Parameters::default();
    let secret = Given::Hidden(Secret::new("hunter2-and-more".to_owned()));
    parameters.insert("secret", secret);
    let attempt = Attempt { parameters: Arc::new(parameters), ..attempt(&["a"]) };
    keep(&desk, &attempt).unwrap();
    let kept = |name: &str| fs::read_to_string(run.join("captures/step.1").join(name)).unwrap();
    assert_eq!(kept("output.txt"), "it said ****\n");
    assert_eq!(kept("plan.txt"), "password = ****\n");
    assert_eq!(kept("files/a"), "hunter2-and-more is what was there\n", "evidence is not changed");
    let nothing = testing::attempt(Doing::Run("true".to_owned()), |_| {});
    let nothing = Attempt { number: 2, ..nothing };
    let evidence = Evidence { means: desk.means() };
    assert!(evidence.capture(&nothing, &desk.place()).is_none());
}

#[test]
fn evidence_of_another_machine_comes_the_way_its_steps_go() {
    let desk = Desk::new("", "kind: drill\nhosts: { node-1: [env], gone: [\"false\"] }\n");
    let run = run_directory(&desk);
    let there = desk.root().join("it's there.log");
    put(&there, TEXT);
    let on = |host: &str, name: &str, number: u32| {
        let mut attempt = attempt(&[name]);
        Arc::make_mut(&mut attempt.step).on = Some(host.to_owned());
        Attempt { number, ..attempt }
    };
    let name = there.to_str().unwrap();
    let kept = keep(&desk, &on("node-1", name, 1)).unwrap();
    assert_eq!(kept[0].source, format!("node-1:{name}"));
    assert_eq!(fs::read_to_string(run.join(CAPTURES).join(&kept[0].path)).unwrap(), TEXT);
    assert_eq!(kept[0].sha256, by_another_program(&there));
    assert_eq!(verify(&OsDisk, &run, &kept), Vec::<String>::new());
    let why = keep(&desk, &on("node-1", "/nowhere", 2)).unwrap_err();
    assert_eq!(why, "node-1:/nowhere is not there");
    let why = keep(&desk, &on("gone", name, 3)).unwrap_err();
    assert!(why.starts_with("gone:") && why.contains("exit code 1"), "{why}");
    let why = keep(&desk, &on("node-1", "-rf", 4)).unwrap_err();
    assert!(why.contains("begins with a dash"), "{why}");
    let large = desk.root().join("large");
    fs::File::create(&large).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
    let why = keep(&desk, &on("node-1", large.to_str().unwrap(), 5)).unwrap_err();
    assert!(why.contains("at most 1073741824"), "{why}");
}
