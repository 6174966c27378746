//! `docs/operating/etcd.md`, done line by line as it says, on a real etcd with TLS.
//!
//! The rule it keeps: no command of the guide is left out but those of K3s, which are named here and which
//! the laboratory carries out. Only addresses and directories are others.

use std::fs;
use std::path::{Path, PathBuf};

use soter_stores::testing::{TestEtcd, ports, programs, wait_until};
use soter_world::exec::{Child, Command, Finished, Signal, Status};
use soter_world::{OsDisk, durable};

use super::{TIMEOUT, client_at};
use crate::lab::text;
use crate::tidy::root;

/// What only K3s does.
const OF_K3S: [&str; 3] = [
    "systemctl stop k3s",
    "k3s server --cluster-reset --cluster-reset-restore-path=/var/lib/etcd-new/snapshot.db",
    "systemctl start k3s",
];

/// With what a line of commands begins.
const PROGRAMS: [&str; 6] = ["soter", "install", "etcd", "etcdctl", "systemctl", "k3s"];

/// Keys that are in the etcd.
const KEYS: u64 = 120;

/// What stands under a heading of the guide: blocks of lines that are set in.
struct Section {
    heading: String,
    blocks: Vec<String>,
}

fn sections() -> Vec<Section> {
    let guide = fs::read_to_string(root().join("docs/operating/etcd.md")).unwrap();
    let mut sections: Vec<Section> = Vec::new();
    let mut is_in_block = false;
    for line in guide.lines() {
        if line.starts_with('#') {
            let heading = line.trim_start_matches('#').trim().to_owned();
            sections.push(Section { heading, blocks: Vec::new() });
        }
        let blocks = &mut sections.last_mut().unwrap().blocks;
        match line.strip_prefix("    ") {
            Some(text) if is_in_block => {
                let block = blocks.last_mut().unwrap();
                block.push('\n');
                block.push_str(text);
            }
            Some(text) => blocks.push(text.to_owned()),
            None => {}
        }
        is_in_block = line.starts_with("    ");
    }
    sections
}

impl Section {
    /// Its commands, those that go over several lines as one.
    fn commands(&self) -> Vec<String> {
        let is_command = |block: &&String| {
            let first = block.split_whitespace().next().unwrap_or_default();
            PROGRAMS.contains(&first)
        };
        let whole = self.blocks.iter().filter(is_command).map(|it| it.replace("\\\n", " "));
        let lines: Vec<String> =
            whole.flat_map(|it| it.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        lines.iter().map(|it| it.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }
}

/// Whoever follows the guide: their machines are directories here.
struct Reader {
    place: tempfile::TempDir,
    programs: PathBuf,
    /// What is written in the guide, and what it is here.
    words: Vec<(String, String)>,
}

impl Reader {
    fn path(&self, name: &str) -> String {
        self.place.path().join(name).display().to_string()
    }

    /// A line of the guide as it is here, on one of the new machines.
    fn here(&self, line: &str, machine: usize) -> String {
        let own = |text: &str| text.replace("etcd-new", &format!("etcd-new-{machine}"));
        let words = |text: String, (from, to): &(String, String)| text.replace(from, to);
        self.words.iter().fold(own(line), words)
    }

    fn command(&self, line: &str) -> Command {
        let soter = Path::new(env!("CARGO_BIN_EXE_soter")).parent().unwrap();
        #[expect(clippy::disallowed_methods, reason = "what is on the machine is found as always")]
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{path}", soter.display(), self.programs.display());
        // What ends the line must end the program.
        let line = format!("exec {line}");
        let command = Command::new("bash").args(["-euc", &line]).env("PATH", path);
        command.current_dir(self.place.path()).env("SOTER_STATE", self.path("state"))
    }

    fn run(&self, line: &str) -> Finished {
        self.command(line).run(TIMEOUT).unwrap()
    }

    fn ok(&self, line: &str) -> String {
        let done = self.run(line);
        assert_eq!(done.status, Status::Exited(0), "{line}: {}", text(&done.stderr));
        println!("{line}");
        text(&done.stdout)
    }

    fn start(&self, line: &str) -> Child {
        println!("{line} &");
        self.command(line).spawn().unwrap()
    }

    /// Puts something at a path of the guide.
    fn put(&self, path: &str, contents: &[u8]) {
        let path = PathBuf::from(self.here(path, 1));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        durable::write_durable(&OsDisk, &path, contents).unwrap();
    }
}

/// Three members, what K3s keeps beside them, and where all that the guide names is here.
fn reader(servers: &TestEtcd, place: tempfile::TempDir, programs: PathBuf) -> Reader {
    let mut reader = Reader { place, programs, words: Vec::new() };
    let new: [u16; 6] = ports().unwrap();
    let mut words: Vec<(String, String)> = Vec::new();
    for (index, old) in servers.endpoints.iter().enumerate() {
        let number = index + 1;
        let own = if index == 0 { "127.0.0.1".to_owned() } else { format!("10.0.0.{number}") };
        words.push((format!("https://{own}:2379"), old.to_string()));
    }
    for number in 1..=3 {
        for (port, local) in [("2379", new[number - 1]), ("2380", new[number + 2])] {
            let local = format!("https://127.0.0.1:{local}");
            words.push((format!("https://10.0.1.{number}:{port}"), local));
        }
    }
    let user = text(&Command::new("id").arg("-un").run(TIMEOUT).unwrap().stdout);
    words.push(("--owner etcd".to_owned(), format!("--owner {}", user.trim())));
    words.push(("--files-to / ".to_owned(), format!("--files-to {} ", reader.path("machine"))));
    words.push(("/etc/etcd/member".to_owned(), reader.path("servers/n")));
    let directories = [
        ("/etc/etcd/", "servers/"),
        ("/etc/rancher/", "rancher-etc/"),
        ("/var/lib/rancher/", "rancher/"),
        ("/etc/soter/", "soter/"),
        ("/root/soter-keys", "keys"),
        ("/srv/soter", "vault"),
        ("/var/lib/etcd-new", "etcd-new"),
    ];
    words.extend(directories.map(|(from, to)| (from.to_owned(), reader.path(to))));
    reader.words = words;
    for (name, to) in
        [("ca.crt", "server-ca.crt"), ("n.crt", "client.crt"), ("n.key", "client.key")]
    {
        let kept = fs::read(servers.directory().join(name)).unwrap();
        reader.put(&format!("/var/lib/rancher/k3s/server/tls/etcd/{to}"), &kept);
    }
    reader.put("/var/lib/rancher/k3s/server/token", b"K10secret::server:word");
    reader.put("/var/lib/rancher/k3s/server/cred/encryption-config.json", b"{}");
    reader.put("/etc/rancher/k3s/config.yaml", b"cluster-init: true\n");
    reader
}

/// The plan of the guide, with the root key that `vault init` has printed.
fn write_plan(reader: &Reader, section: &Section, printed: &str) {
    let root = printed.split('"').find(|word| word.starts_with("ed25519:")).unwrap();
    let plan = section.blocks.iter().find(|it| it.starts_with("vaults:")).unwrap();
    reader.put("/etc/soter/soter.yaml", reader.here(plan, 1).replace("ed25519:…", root).as_bytes());
}

/// The new members, each by the words of its own machine.
fn new_members(reader: &Reader, commands: &[String]) -> Vec<Child> {
    let mut running = Vec::new();
    for command in commands {
        let is_etcd = command.starts_with("etcd ");
        if command.starts_with("etcdctl ") {
            let line = reader.here(command, 1);
            let healthy = || reader.run(&line).status == Status::Exited(0);
            wait_until("the new members are healthy", healthy).unwrap();
            continue;
        }
        for machine in 1..=3 {
            let name = format!("node-{machine}");
            // Which member is the machine's own, and where this one listens.
            let own = command.replace("--here node-1", &format!("--here {name}"));
            let own = own.replace("--name node-1", &format!("--name {name}"));
            let own = own.replace("members/node-1", &format!("members/{name}"));
            let own =
                own.replace("-urls https://10.0.1.1:", &format!("-urls https://10.0.1.{machine}:"));
            let line = reader.here(&own, machine);
            if is_etcd { running.push(reader.start(&line)) } else { drop(reader.ok(&line)) }
        }
    }
    running
}

/// The plan is made to name the new members, as the guide says.
fn name_new_members(reader: &Reader) {
    let path = reader.path("soter/soter.yaml");
    let mut plan = fs::read_to_string(&path).unwrap();
    for number in 1..=3 {
        let own = if number == 1 { "127.0.0.1".to_owned() } else { format!("10.0.0.{number}") };
        let old = reader.here(&format!("https://{own}:2379"), 1);
        plan = plan.replace(&old, &reader.here(&format!("https://10.0.1.{number}:2379"), 1));
    }
    reader.put("/etc/soter/soter.yaml", plan.as_bytes());
}

#[test]
fn real_the_guide_to_an_etcd_does_what_it_says() {
    let Some(programs) = programs() else { return };
    let place = tempfile::tempdir().unwrap();
    let servers = place.path().join("servers");
    fs::create_dir(&servers).unwrap();
    let mut etcd = TestEtcd::start(&programs, &servers, 3).unwrap();
    etcd.put((0..KEYS).map(|key| (format!("/registry/pods/{key}"), b"pod".to_vec()))).unwrap();
    let reader = reader(&etcd, place, programs);
    let (mut printed, mut agent, mut left_out) = (String::new(), None, Vec::new());
    let mut members = Vec::new();
    for section in sections() {
        let commands = section.commands();
        match section.heading.as_str() {
            "New members" => {
                (0..3).for_each(|member| etcd.kill(member));
                if let Some(agent) = agent.take() {
                    stop(agent);
                }
                members = new_members(&reader, &commands);
                continue;
            }
            "6. Keep it again" => name_new_members(&reader),
            _ => {}
        }
        // The servers of K3s are machines of their own.
        let machine = if section.heading == "K3s" { 9 } else { 1 };
        for command in commands {
            let line = reader.here(&command, machine);
            if OF_K3S.contains(&command.as_str()) {
                left_out.push(command);
            } else if command.contains(" agent cluster") {
                agent = Some(reader.start(&line));
            } else if agent.is_some() && command.contains(" status ") {
                // It takes a moment until an agent is there.
                let is_well = || reader.run(&line).status == Status::Exited(0);
                wait_until("the etcd is protected", is_well).unwrap();
            } else {
                let said = reader.ok(&line);
                printed.push_str(&said);
            }
        }
        if section.heading.starts_with("2. ") {
            write_plan(&reader, &section, &printed);
        }
    }
    assert_eq!(left_out, OF_K3S);
    assert_eq!(members.len(), 3);
    // What was lost is back, new backups are of the new cluster, and what was taken along is at its place.
    let new: Vec<String> =
        (1..=3).map(|it| reader.here(&format!("https://10.0.1.{it}:2379"), 1)).collect();
    let client = client_at(&servers, &new);
    assert_eq!(client.count_keys(b"").unwrap(), KEYS);
    let plan = reader.path("soter/soter.yaml");
    let listed = reader.ok(&format!("soter --plan {plan} --json backups cluster"));
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let backups = listed["backups"].as_array().unwrap();
    assert_ne!(backups[0]["cluster"], backups[backups.len() - 1]["cluster"]);
    let token = format!("{}{}", reader.path("machine"), reader.path("rancher/k3s/server/token"));
    assert_eq!(fs::read(token).unwrap(), b"K10secret::server:word");
}

/// Asks an agent to end, as a service manager does.
fn stop(agent: Child) {
    agent.signal(Signal::Terminate);
    let ended = agent.wait();
    assert_eq!(ended.status, Status::Exited(0), "{}", text(&ended.stderr));
}
