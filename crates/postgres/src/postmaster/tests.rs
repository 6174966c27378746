//! The programs that are found, and servers that end on their own, with us, or not at all.

use soter_world::exec::{is_running, signal_process};
use soter_world::{OsDisk, SystemClock};

use super::*;
use crate::testing::{TestCluster, find_programs, wait_until};

const LONG: Duration = Duration::from_secs(60);

struct Lab {
    cluster: TestCluster,
    settings: Vec<(String, String)>,
    log: PathBuf,
}

impl Lab {
    fn new() -> Self {
        let cluster = TestCluster::initdb(&[]).unwrap();
        let sockets = cluster.directory().display().to_string();
        let settings = [("listen_addresses", ""), ("unix_socket_directories", &*sockets)];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let log = cluster.directory().join("server.log");
        Self { cluster, settings, log }
    }

    fn launch(&self) -> Launch<'_> {
        Launch {
            programs: self.cluster.binaries(),
            data_directory: self.cluster.data_directory(),
            owner: self.cluster.owner(),
            log: &self.log,
            settings: &self.settings,
        }
    }

    fn start(&self) -> Postmaster {
        let postmaster = self.launch().start(&OsDisk).unwrap();
        postmaster.wait_accepting((&OsDisk, &SystemClock), LONG, &Stop::new()).unwrap();
        postmaster
    }
}

#[test]
fn real_programs_are_found_by_version() {
    let installed = find_programs().unwrap();
    let at = ProgramSearch { directory: Some(installed.directory().to_owned()), path: None };
    assert_eq!(Programs::find(&OsDisk, installed.version(), &at).unwrap(), installed);
    let path = Some(installed.directory().as_os_str().to_owned());
    let by_path = ProgramSearch { directory: None, path };
    let found = Programs::find(&OsDisk, installed.version(), &by_path).unwrap();
    assert_eq!(found.version(), installed.version());

    let other = MajorVersion::ALL.into_iter().find(|v| *v != installed.version()).unwrap();
    let error = Programs::find(&OsDisk, other, &at).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains(&format!("{} are there", installed.version())), "{error}");
    let nowhere = ProgramSearch { directory: Some("/nowhere".into()), path: None };
    let error = Programs::find(&OsDisk, other, &nowhere).unwrap_err();
    assert!(error.to_string().contains("cannot start /nowhere/postgres"), "{error}");
}

#[test]
fn real_a_server_ends_with_us_unless_it_is_released() {
    let lab = Lab::new();
    let first = lab.start().id();
    // Dropped at the end of the statement above.
    assert!(!is_running(first));

    let released = lab.start().release();
    assert!(is_running(released));
    signal_process(released, Shutdown::Fast.signal()).unwrap();
    wait_until("the server has stopped", || !is_running(released)).unwrap();

    let status = lab.start().stop(Shutdown::Fast, LONG, &OsDisk).unwrap();
    assert_eq!(status, Status::Exited(0));
    let log = std::fs::read_to_string(&lab.log).unwrap();
    assert_eq!(log.matches("ready to accept connections").count(), 3, "{log}");
    assert_eq!(log.matches("was not properly shut down").count(), 1, "{log}");
}

#[test]
fn real_a_server_that_does_not_come_up_says_why() {
    let mut lab = Lab::new();
    lab.start().stop(Shutdown::Fast, LONG, &OsDisk).unwrap();
    lab.settings.push(("lc_messages".to_owned(), "nowhere".to_owned()));
    let postmaster = lab.launch().start(&OsDisk).unwrap();
    let clock = (&OsDisk as &dyn Disk, &SystemClock as &dyn Clock);
    let error = postmaster.wait_accepting(clock, LONG, &Stop::new()).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("exit code 1") && said.contains("\"lc_messages\""), "{said}");
    assert!(!said.contains("ready to accept"), "words of an earlier server: {said}");

    let owner = Owner { user: 0, group: 0 };
    let refused = Launch { owner, ..lab.launch() }.start(&OsDisk).unwrap_err();
    assert!(matches!(refused, PostmasterError::Root), "{refused}");
}

#[test]
fn real_a_start_can_be_interrupted() {
    let lab = Lab::new();
    let postmaster = lab.launch().start(&OsDisk).unwrap();
    let stop = Stop::new();
    stop.stop();
    let clock = (&OsDisk as &dyn Disk, &SystemClock as &dyn Clock);
    let error = postmaster.wait_accepting(clock, LONG, &stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped);
    let process = postmaster.id();
    drop(postmaster);
    assert!(!is_running(process));
}
