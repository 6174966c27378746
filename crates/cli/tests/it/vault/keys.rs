//! Keys and whom to believe: made, enrolled, removed. No server is needed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use soter_world::exec::{Command, Finished, Status};

use crate::lab::{overwrite, text};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A vault without a cluster.
pub(super) struct Place {
    root: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        let (url, keys) = (place.url(), place.path("keys"));
        place.ok(&["vault", "init", "--url", &url, "--keys", &keys, "--store", "orders"]);
        place
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.path("vault"))
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.root.path().join(name).display().to_string()
    }

    pub(super) fn key(&self, name: &str) -> String {
        self.path(&format!("keys/{name}.key"))
    }

    pub(super) fn soter(&self, arguments: &[&str]) -> Finished {
        let command = Command::new(env!("CARGO_BIN_EXE_soter")).args(arguments);
        command.current_dir(self.root.path()).run(TIMEOUT).unwrap()
    }

    pub(super) fn ok(&self, arguments: &[&str]) -> String {
        let done = self.soter(arguments);
        assert_eq!(done.status, Status::Exited(0), "{arguments:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[&["--json"], arguments].concat())).unwrap()
    }

    pub(super) fn fails(&self, arguments: &[&str], code: i32, says: &str) {
        let done = self.soter(arguments);
        let said = text(&done.stderr);
        assert_eq!(done.status, Status::Exited(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }

    /// `soter vault trust …` with the vault's address and the root's key.
    pub(super) fn trust<'a>(&self, arguments: &[&'a str], more: &[&'a str]) -> Vec<String> {
        let fixed = ["vault", "trust"];
        let (url, root) = (self.url(), self.key("root"));
        let mut line: Vec<String> =
            fixed.iter().chain(arguments).map(ToString::to_string).collect();
        line.extend(["--vault".to_owned(), url, "--root".to_owned(), root]);
        line.extend(more.iter().map(ToString::to_string));
        line
    }
}

fn words(line: &[String]) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}

#[test]
fn a_vault_says_what_it_is_and_who_may_do_what() {
    let place = Place::new();
    let url = place.url();
    for kind in ["root", "agent", "collector", "operator-1"] {
        let info = place.json(&["vault", "info", "--vault", &url, "--key", &place.key(kind)]);
        assert_eq!(info["stores"][0]["name"], "orders");
        assert_eq!(info["people"]["trust_list"], 1);
        assert_eq!(info["people"]["operators"].as_array().unwrap().len(), 2);
        assert_eq!(info["people"]["signers"].as_array().unwrap().len(), 2);
        assert_eq!(
            (&info["record"]["format"], &info["foreign"]["objects"]),
            (&1.into(), &0.into())
        );
    }
    place.fails(&["vault", "info", "--vault", &url], 2, "--vault needs --key");
    place.fails(&["vault", "info"], 2, "read the plan");
    let other = Place::new();
    let strange = ["vault", "info", "--vault", &url, "--key", &other.key("root")];
    place.fails(&strange, 2, "the key file is for vault");
    let key = place.key("operator-1");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    place.fails(&["vault", "info", "--vault", &url, "--key", &key], 2, "chmod 600");

    // What a stranger with the write credential leaves is counted and named.
    let key = place.key("root");
    fs::create_dir_all(place.path("vault/data/00000000000000aa/00000000000000bb")).unwrap();
    let strange = "data/00000000000000aa/00000000000000bb/000000";
    fs::File::create(place.path(&format!("vault/{strange}"))).unwrap();
    let info = place.json(&["vault", "info", "--vault", &url, "--key", &key]);
    assert_eq!(info["foreign_names"], serde_json::json!([strange]));
    let verify = ["vault", "verify", "--vault", &url, "--key", &key];
    place.fails(&verify, 1, "1 findings");
    assert!(text(&place.soter(&verify).stdout).contains(strange));
}

#[test]
fn a_new_key_file_pins_the_vault_and_replaces_nothing() {
    let place = Place::new();
    let (like, out) = (place.key("agent"), place.key("db2"));
    let keygen = ["vault", "keygen", "agent", "--out", &out];
    place.fails(&keygen, 2, "which vault is the key for?");
    let made = place.json(&[&keygen[..], &["--like", &like]].concat());
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&out).unwrap();
    place.fails(&[&keygen[..], &["--like", &like]].concat(), 2, "never overwritten");
    assert_eq!(fs::read(&out).unwrap(), before);
    assert!(!made.to_string().contains("SECRET"), "{made}");
    let printed = text(&before);
    assert!(printed.contains(made["signer"].as_str().unwrap()));

    // Where no key file is at hand, the plan's root and the vault's id do.
    let info = place.json(&["vault", "info", "--vault", &place.url(), "--key", &like]);
    let (id, root) = (&info["vault"], &info["people"]["root"]);
    let pins = ["--vault-id", id.as_str().unwrap(), "--root", root.as_str().unwrap()];
    let collector = place.key("night");
    let made = ["vault", "keygen", "collector", "--out", &collector];
    place.ok(&[&made[..], &pins].concat());
    let seen = place.json(&["vault", "info", "--vault", &place.url(), "--key", &collector]);
    assert_eq!(seen["vault"], info["vault"]);
    place.fails(&["vault", "keygen", "agent", "--out", "x", "--vault-id", "ab"], 2, "--vault-id");
}

#[test]
fn operators_come_and_go_and_the_last_one_stays() {
    let place = Place::new();
    let (bob, alice) = (place.key("bob"), place.key("operator-1"));
    let made = place.json(&["vault", "keygen", "operator", "--out", &bob, "--like", &alice]);
    let recipient = made["recipient"].as_str().unwrap();
    let url = place.url();
    let reads = |key: &str| {
        let listed = place.soter(&["backups", "--vault", &url, "--identity", key]);
        let said = text(&listed.stderr);
        assert!(said.contains("has no backup") || said.contains("was not wrapped to"), "{said}");
        listed.status == Status::Exited(1)
    };
    assert!(!reads(&bob) && reads(&alice));
    let enrol =
        place.trust(&["add-operator", "bob", "--recipient", recipient], &["--identity", &alice]);
    let done = place.ok(&words(&enrol));
    assert!(done.contains("trust list 2"), "{done}");
    assert!(reads(&bob) && reads(&alice));
    place.fails(&words(&enrol), 2, "somebody called bob already");

    let remove = |who, identity| place.trust(&["remove-operator", who], &["--identity", identity]);
    place.fails(&words(&remove("carol", &alice)), 2, "nobody who is trusted is called carol");
    place.fails(&words(&remove("bob", &bob)), 2, "whose key file was given");
    place.ok(&words(&remove("bob", &alice)));
    assert!(!reads(&bob) && reads(&alice));
    place.ok(&words(&remove("operator-2", &alice)));
    place.fails(&words(&remove("operator-1", &alice)), 2, "whose key file was given");

    // Only the root signs, and only with its own file.
    let (url, agent) = (place.url(), place.key("agent"));
    let by_agent = ["vault", "trust", "remove-signer", "agent", "--vault", &url, "--root", &agent];
    place.fails(&by_agent, 2, "needed is \"root\"");
    let other = Place::new();
    let root = other.key("root");
    let by_other = ["vault", "trust", "remove-signer", "agent", "--vault", &url, "--root", &root];
    place.fails(&by_other, 2, "the key file is for vault");
}

#[test]
fn signers_and_stores_come_and_go() {
    let place = Place::new();
    let (night, like) = (place.key("night"), place.key("collector"));
    let made = place.json(&["vault", "keygen", "collector", "--out", &night, "--like", &like]);
    let signer = made["signer"].as_str().unwrap();
    let url = place.url();
    let verify = ["verify", "--vault", &url, "--collector", &night];
    place.fails(&verify, 2, "may not sign as verifier");
    let add = |role| place.trust(&["add-signer", "night", "--signer", signer, "--role", role], &[]);
    place.fails(&words(&add("agent")), 2, "add-agent");
    place.fails(&words(&add("king")), 2, "the roles are");
    place.ok(&words(&add("verifier")));
    place.fails(&verify, 1, "has no backup");

    place.ok(&words(&place.trust(&["add-store", "billing", "--agent", "agent"], &[])));
    place.fails(&words(&place.trust(&["add-store", "billing"], &[])), 2, "there is a store");
    place.fails(&words(&place.trust(&["add-store", "x", "--agent", "night"], &[])), 2, "no agent");
    place.fails(&verify, 2, "keeps several stores");
    let billing = ["verify", "billing", "--vault", &url, "--collector", &night];
    place.fails(&billing, 1, "has no backup");

    place.ok(&words(&place.trust(&["remove-signer", "night"], &[])));
    place.fails(&billing, 2, "may not sign as verifier");
    place.fails(&words(&place.trust(&["remove-signer", "night"], &[])), 2, "nobody");
    let shown = place.json(&["vault", "trust", "show", "--vault", &url, "--key", &like]);
    let night = shown["signers"].as_array().unwrap().iter().find(|row| row["name"] == "night");
    assert_eq!(night.unwrap()["stores"][0]["until"], 0, "what ended stays listed: {shown:#}");
}

#[test]
fn a_damaged_or_forged_trust_list_is_named_and_never_followed() {
    let place = Place::new();
    let (url, key) = (place.url(), place.key("operator-1"));
    let remove = place.trust(&["remove-signer", "collector"], &[]);
    place.ok(&words(&remove));
    let verify = ["vault", "verify", "--vault", &url, "--key", &key];
    place.ok(&verify);
    // A thief with the write credential names the next list, and flips a bit in another.
    let vault = place.path("vault");
    let list = Path::new(&vault).join("trust/00000001");
    let mut bytes = fs::read(&list).unwrap();
    let length = bytes.len();
    bytes[length / 2] ^= 1;
    overwrite(&list, &bytes);
    fs::copy(&list, Path::new(&vault).join("trust/00000003")).unwrap();
    place.fails(&verify, 1, "findings");
    let said = text(&place.soter(&verify).stdout);
    assert!(said.contains("trust/00000001: ") && said.contains("trust/00000003: "), "{said}");
    let info = place.json(&["vault", "info", "--vault", &url, "--key", &key]);
    assert_eq!(info["people"]["trust_list"], 2);

    let record = Path::new(&vault).join("soter.vault");
    overwrite(&record, b"]");
    let said = text(&place.soter(&verify).stdout);
    assert!(said.contains("finding: soter.vault: "), "{said}");
}
