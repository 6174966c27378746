use proptest::prelude::*;
use soter_world::OsDisk;

use super::*;

fn pins() -> Pins {
    let roots = vec![Signer::from_seed([1; 32]).public(), Signer::from_seed([2; 32]).public()];
    Pins { vault: VaultId([3; 16]), roots }
}

fn agent() -> AgentKey {
    let identity = Identity::generate();
    AgentKey { pins: pins(), signer: Signer::from_seed([4; 32]), identity }
}

fn operator() -> OperatorKey {
    OperatorKey { pins: pins(), identity: Identity::generate() }
}

#[test]
fn every_kind_is_read_back_as_it_was_written() {
    let agent = agent();
    let read = AgentKey::parse(agent.to_text().expose()).unwrap();
    assert_eq!(read.pins, agent.pins);
    assert_eq!(read.signer.public(), agent.signer.public());
    assert_eq!(read.identity.recipient(), agent.identity.recipient());

    let operator = operator();
    let read = OperatorKey::parse(operator.to_text().expose()).unwrap();
    assert_eq!(read.pins, operator.pins);
    assert_eq!(read.identity.recipient(), operator.identity.recipient());

    let root = RootKey { vault: VaultId([3; 16]), signer: Signer::from_seed([1; 32]) };
    let read = RootKey::parse(root.to_text().expose()).unwrap();
    assert_eq!((read.vault, read.signer.public()), (root.vault, root.signer.public()));

    let collector = CollectorKey { pins: pins(), signer: Signer::from_seed([5; 32]) };
    let read = CollectorKey::parse(collector.to_text().expose()).unwrap();
    assert_eq!((read.pins, read.signer.public()), (pins(), collector.signer.public()));
}

#[test]
fn an_operators_file_is_an_identity_file_of_age() {
    let operator = operator();
    let text = operator.to_text();
    let bare = |line: &&str| !line.starts_with('#') && !line.is_empty();
    let keys: Vec<&str> = text.expose().lines().filter(bare).collect();
    assert_eq!(keys, [operator.identity.to_text().expose()]);
}

#[test]
fn secrets_are_not_printed() {
    let agent = agent();
    let printed = format!("{agent:?} {:?} {:?}", agent.to_text(), operator());
    for secret in ["AGE-SECRET-KEY", "SOTER-SIGNING-KEY"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

fn fault<K: KeyFile>(text: &str) -> String {
    K::parse(text).err().map_or_else(|| "none".to_owned(), |fault| fault.to_string())
}

#[test]
fn mistakes_are_named_by_their_line_and_never_quoted() {
    let agent = agent();
    let text = agent.to_text().expose().clone();
    let other_kind = fault::<OperatorKey>(&text);
    assert_eq!(other_kind, "this is a key file of kind \"agent\", needed is \"operator\"");
    let empty = fault::<OperatorKey>("");
    assert_eq!(empty, "this is a key file of kind \"unknown\", needed is \"operator\"");

    let without = |prefix: &str| {
        let kept = text.lines().filter(|line| !line.starts_with(prefix));
        kept.map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(fault::<AgentKey>(&without("# vault")), "line 0: it names no vault");
    assert_eq!(fault::<AgentKey>(&without("# root")), "line 0: it must name 1 to 3 roots");
    assert_eq!(fault::<AgentKey>(&without("AGE-")), "line 0: it has no age identity");
    assert_eq!(fault::<AgentKey>(&without("SOTER-")), "line 0: it has no signing key");
    let doubled = format!("{text}# vault: {}\n", agent.pins.vault);
    assert_eq!(fault::<AgentKey>(&doubled), "line 10: there are two of these");
    assert_eq!(fault::<AgentKey>(&format!("{text}hunter2\n")), "line 10: not a key");

    let seed = BASE64.encode([4; 32]);
    let slip = text.replace(&seed, &BASE64.encode([6; 32]));
    assert!(fault::<AgentKey>(&slip).contains("copied wrongly"));
    let short = text.replace(&seed, "AAAA");
    assert_eq!(fault::<AgentKey>(&short), "line 7: not a signing key");
    let lower = text.replace("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1X");
    assert_eq!(fault::<AgentKey>(&lower), "line 9: not an age identity");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.key");
    agent().create(&OsDisk, &path).unwrap();
    assert_eq!(OsDisk.metadata(&path).unwrap().mode, 0o600);
    AgentKey::load(&OsDisk, &path).unwrap();
    for mode in [0o644, 0o604, 0o660, 0o610] {
        OsDisk.set_mode(&path, mode).unwrap();
        let error = AgentKey::load(&OsDisk, &path).unwrap_err();
        assert!(matches!(error.fault, KeyFileFault::Exposed { .. }), "{mode:o}: {}", error.fault);
        assert!(error.hint().starts_with("chmod 600 "), "{}", error.hint());
    }
    // One that is not root's may not be a group's either.
    OsDisk.set_mode(&path, 0o640).unwrap();
    let is_root = OsDisk.metadata(&path).unwrap().owner.user == 0;
    assert_eq!(AgentKey::load(&OsDisk, &path).is_ok(), is_root);
}

#[test]
fn a_key_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.key");
    agent().create(&OsDisk, &path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = agent().create(&OsDisk, &path).unwrap_err();
    assert!(error.hint().contains("never overwritten"), "{}", error.hint());
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let missing = AgentKey::load(&OsDisk, Path::new("/nowhere/agent.key")).unwrap_err();
    assert_eq!(missing.hint(), "there is no /nowhere/agent.key");
}

proptest! {
    #[test]
    fn any_text_is_a_key_or_refused(text in "\\PC{0,300}", at in 0..400usize, byte: u8) {
        let mut file = agent().to_text().expose().clone().into_bytes();
        let at = at.min(file.len() - 1);
        file[at] = byte;
        for text in [text.clone(), format!("{TITLE}agent\n{text}"), String::from_utf8_lossy(&file).into_owned()] {
            drop(AgentKey::parse(&text));
            drop(OperatorKey::parse(&text));
        }
    }
}
