//! The test vectors of the format page, held against the code.
//!
//! What a vault holds must mean the same for ever. These values are fixed: a change that breaks this
//! test makes another format and needs another number.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;

use crate::crypto::{Place, Purpose, SymmetricKey};
use crate::frame::{Compression, FrameReader, FrameType, FrameWriter};
use crate::header::{HEADER_LENGTH, Header, ObjectClass};
use crate::ids::{BackupId, Digest, Salt, SessionId, StoreId, VaultId};
use crate::keys::{Identity, OperatorKey, Pins, Signer};
use crate::log::{Author, Body, Draft, Entry, Event, Hold, HoldPurpose, LogPlace, Position};
use crate::names::{Name, PackClass};
use crate::pack::PackId;

const PAGE: &str = include_str!("../../../docs/format/vault.md");

type Vectors = BTreeMap<String, Vec<u8>>;

/// The block of the page: `name = hex`, continued on lines that begin with a space.
fn page() -> Vectors {
    let block = PAGE.split("```vectors\n").nth(1).and_then(|rest| rest.split("```").next());
    let (mut vectors, mut last) = (Vectors::new(), String::new());
    for line in block.unwrap_or("").lines() {
        let hex = match line.split_once(" = ") {
            Some((name, hex)) => {
                last = name.trim().to_owned();
                hex
            }
            None => line,
        };
        let bytes = hex::decode(hex.trim()).unwrap_or_else(|error| panic!("{line}: {error}"));
        vectors.entry(last.clone()).or_default().extend(bytes);
    }
    vectors
}

fn counting<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|index| first + u8::try_from(index).unwrap())
}

/// Somebody's, made for this page.
const OPERATOR_IDENTITY: &str =
    "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

const CONTENT: &[u8] = b"forty-two pages of a heap";

enum How {
    Raw,
    Padded,
    Compressed,
}

struct Given {
    session_key: SymmetricKey,
    metadata: SymmetricKey,
    vault: VaultId,
    store: StoreId,
    session: SessionId,
    salts: [Salt; 4],
    pack: String,
    signer: Signer,
}

impl Given {
    fn new() -> Self {
        let (store, session) = (StoreId(counting(0x51)), SessionId(counting(0x61)));
        let id = PackId { session, number: 7 };
        Self {
            session_key: SymmetricKey::from_bytes(counting(0)),
            metadata: SymmetricKey::from_bytes(counting(0x20)),
            vault: VaultId(counting(0x41)),
            store,
            session,
            salts: [0x71, 0x91, 0xa1, 0xb1].map(|first| Salt(counting(first))),
            pack: Name::Pack(PackClass::Data, store, session, id.number).to_string(),
            signer: Signer::from_seed(counting(0x81)),
        }
    }

    fn place(&self) -> Place<'_> {
        Place { store: self.store, session: self.session, name: &self.pack }
    }

    fn header(&self, salt: Salt) -> [u8; HEADER_LENGTH] {
        let header = Header {
            class: ObjectClass::DataPack,
            store: self.store,
            session: self.session,
            number: 7,
            salt,
            flags: 0,
        };
        header.to_bytes()
    }

    /// A frame at offset 64. One key never seals two, so each has a salt of its own.
    fn frame(&self, salt: Salt, how: How) -> Vec<u8> {
        let key = self.session_key.object_key(Purpose::Content, self.place(), salt);
        let mut object = self.header(salt).to_vec();
        match how {
            How::Raw => {
                let mut frames = FrameWriter::new(Compression::None);
                frames.append(&mut object, &key, FrameType::Block, CONTENT);
            }
            How::Padded => {
                let mut frames = FrameWriter::new(Compression::None);
                frames.append_padded(&mut object, &key, FrameType::Wal, CONTENT);
            }
            How::Compressed => {
                let mut frames = FrameWriter::new(Compression::Zstd(3));
                frames.append(&mut object, &key, FrameType::Block, &CONTENT.repeat(40));
            }
        }
        object.split_off(HEADER_LENGTH)
    }

    /// An entry that is complete but for its `tool`, which names the version that wrote it.
    fn entry(&self) -> Vec<u8> {
        let hold = Hold { backup: BackupId(counting(1)), until: None, purpose: HoldPurpose::Pin };
        let mut draft = Draft::of(Event::Hold(hold));
        draft.body = Body { content: CONTENT.to_vec(), map_root: Vec::new() };
        let author = Author {
            signer: self.signer.clone(),
            metadata: Some(self.metadata.clone()),
            trust_number: 1,
        };
        let at = Position {
            place: LogPlace { vault: self.vault, store: self.store },
            sequence: 5,
            previous: None,
            claimed: Timestamp::UNIX_EPOCH,
            salt: self.salts[3],
        };
        draft.seal(&author, &at).unwrap()
    }
}

/// What the code makes of the given values, in the order of the page.
fn computed(given: &Given) -> Vec<(&'static str, Vec<u8>)> {
    let [raw_salt, padded_salt, ..] = given.salts;
    let object = |key: &SymmetricKey, purpose, name| {
        let place = Place { name, ..given.place() };
        key.object_key_bytes(purpose, place, raw_salt).to_vec()
    };
    let directory = format!("{}#directory", given.pack);
    let plan = Name::Plan(3).to_string();
    let nowhere = Place { store: StoreId([0; 8]), session: SessionId([0; 8]), name: &plan };
    let document = given.session_key.object_key_bytes(Purpose::Document, nowhere, raw_salt);
    let pins = Pins { vault: given.vault, roots: vec![given.signer.public()] };
    let identity: Identity = OPERATOR_IDENTITY.parse().unwrap();
    let operator = OperatorKey { pins, identity };
    let salt_names = ["salt", "padded salt", "zstd salt", "entry salt"];
    let mut rows = vec![
        ("K_session", given.session_key.expose().to_vec()),
        ("K_meta", given.metadata.expose().to_vec()),
        ("vault", given.vault.0.to_vec()),
        ("store", given.store.0.to_vec()),
        ("session", given.session.0.to_vec()),
        ("pack name", given.pack.clone().into_bytes()),
        ("content", CONTENT.to_vec()),
        ("signer seed", given.signer.seed().expose().to_vec()),
    ];
    rows.extend(salt_names.into_iter().zip(given.salts.map(|salt| salt.0.to_vec())));
    rows.extend([
        ("commitment", given.session_key.commitment().to_vec()),
        ("content id", given.metadata.content_id_key().id(CONTENT).0.to_vec()),
        ("pack key", object(&given.session_key, Purpose::Content, &given.pack)),
        ("wal key", object(&given.session_key, Purpose::Wal, &given.pack)),
        ("directory key", object(&given.metadata, Purpose::Metadata, &directory)),
        ("header", given.header(raw_salt).to_vec()),
        ("frame", given.frame(raw_salt, How::Raw)),
        ("padded frame hash", Digest::of(&given.frame(padded_salt, How::Padded)).0.to_vec()),
        ("operator identity", OPERATOR_IDENTITY.as_bytes().to_vec()),
        ("operator signer", operator.signer().seed().expose().to_vec()),
        ("plan name", plan.into_bytes()),
        ("document key", document.to_vec()),
        ("signer", given.signer.public().0.to_vec()),
        ("signature", given.signer.sign(CONTENT).to_vec()),
    ]);
    rows
}

fn block(rows: &[(&'static str, Vec<u8>)]) -> String {
    let mut text = String::new();
    for (name, bytes) in rows {
        let hex = hex::encode(bytes);
        let lines: Vec<&str> =
            hex.as_bytes().chunks(96).map(|line| std::str::from_utf8(line).unwrap()).collect();
        writeln!(text, "{name} = {}", lines.join("\n  ")).unwrap();
    }
    text
}

#[test]
fn the_code_makes_the_vectors_of_the_page() {
    let given = Given::new();
    let (page, computed) = (page(), computed(&given));
    for (name, bytes) in &computed {
        assert_eq!(page.get(*name), Some(bytes), "{name}; the code makes\n{}", block(&computed));
    }
}

/// These depend on the version of zstd and of Soter that wrote them, so they are only read.
#[test]
fn the_code_reads_what_the_page_stores() {
    let (given, page) = (Given::new(), page());
    let stored = |name: &str| page.get(name).cloned().unwrap_or_default();
    let key = given.session_key.object_key(Purpose::Content, given.place(), given.salts[2]);
    let mut raw = Vec::new();
    let offset = HEADER_LENGTH as u64;
    let opened = FrameReader::new().open(&key, offset, &stored("zstd frame"), &mut raw);
    let written = || block(&[("zstd frame", given.frame(given.salts[2], How::Compressed))]);
    assert!(opened.is_ok(), "{opened:?}; the code makes\n{}", written());
    assert_eq!(raw, CONTENT.repeat(40));

    let entry = Entry::parse(&stored("entry"));
    let entry = entry.unwrap_or_else(|error| {
        panic!("{error}; the code makes\n{}", block(&[("entry", given.entry())]))
    });
    assert_eq!(entry.head.signer, given.signer.public());
    assert_eq!(entry.head.sequence, 5);
    assert_eq!(entry.body(&given.metadata).unwrap().content, CONTENT);
}
