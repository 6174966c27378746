//! Damaged pages: the server is stopped, so that it has none of them in memory, bits are flipped in
//! the table's file, and the server is started again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde_json::json;
use soter_world::random;
use soter_world::sim::SeededRandom;

use super::Damage;
use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::parts::{connect, server_data, stop_server};

/// PostgreSQL's page, and where its header ends: a flipped bit behind it is seen by the checksum
/// alone.
const PAGE_BYTES: u64 = 8192;
const HEADER_BYTES: u64 = 24;

/// Rows that a table gets first that has less than a page for each bit.
const ROWS: u32 = 2_000;

/// Flips a bit in so many pages of a table.
pub(super) fn flip(lab: &Lab, table: &str, count: u32, seed: u64) -> Result<Damage, Failure> {
    let file = file_of(lab, table)?;
    let path = server_data(lab).join(&file);
    stop_server(lab)?;
    let cannot = || failed::<io::Error>(&format!("damage {}", path.display()));
    let opened = File::options().read(true).write(true).open(&path).map_err(cannot())?;
    let pages = opened.metadata().map_err(cannot())?.len() / PAGE_BYTES;
    let random = SeededRandom::new(seed);
    let below = |limit: u64| u64::from_le_bytes(random::bytes::<8>(&random)) % limit.max(1);
    let mut flipped = Vec::new();
    let mut left: Vec<u64> = (0..pages).collect();
    for _ in 0..count {
        if left.is_empty() {
            break;
        }
        let chosen = below(left.len() as u64);
        let page = left.swap_remove(usize::try_from(chosen).unwrap_or_default());
        let byte = page * PAGE_BYTES + HEADER_BYTES + below(PAGE_BYTES - HEADER_BYTES);
        let bit = u8::try_from(below(8)).unwrap_or_default();
        let mut value = [0];
        opened
            .read_exact_at(&mut value, byte)
            .and_then(|()| opened.write_all_at(&[value[0] ^ (1 << bit)], byte))
            .map_err(cannot())?;
        flipped.push(json!({"page": page, "byte": byte, "bit": bit}));
    }
    drop(opened);
    let entry = lab.table().entry("postgres")?.ok_or_else(no_server)?;
    lab.start(&entry.spec)?;
    let admin = lab.address("postgres-admin")?;
    lab.wait_ready("postgres", || connect(&admin).map(drop))?;
    Ok(Damage {
        what: format!("{} pages of {table} are damaged (seed {seed})", flipped.len()),
        details: json!({"table": table, "file": file, "seed": seed, "flipped": flipped}),
    })
}

/// The table's file below the data directory; the table has some pages by then.
fn file_of(lab: &Lab, table: &str) -> Result<String, Failure> {
    let admin = lab.address("postgres-admin")?;
    let mut client = connect(&admin).map_err(|why| Failure::new(Ending::Failed, why))?;
    let cannot = || failed::<postgres::Error>(&format!("find the table {table}"));
    if table == "conversations" {
        let fill = format!(
            "INSERT INTO conversations (text) SELECT repeat(md5(i::text), 8) \
             FROM generate_series(1, {ROWS}) AS i \
             WHERE (SELECT count(*) FROM conversations) < {ROWS}"
        );
        client.batch_execute(&fill).map_err(cannot())?;
    }
    let find = "SELECT pg_relation_filepath(to_regclass($1)::oid)";
    let row = client.query_one(find, &[&table]).map_err(cannot())?;
    let missing = || Failure::new(Ending::Input, format!("there is no table {table}"));
    row.get::<_, Option<String>>(0).ok_or_else(missing)
}

fn no_server() -> Failure {
    Failure::new(Ending::No, "PostgreSQL does not run here any more")
        .hint("make a new laboratory: kosmos-lab down, then up")
}
