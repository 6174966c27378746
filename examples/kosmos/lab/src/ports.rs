//! Ports that are free: chosen once, when a laboratory is made, and kept in its description.
//!
//! They lie below those that the kernel gives to outgoing connections, so that none of these takes
//! one between its choice and its use, or while a server is away.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};

use soter_world::{Random, random};

use crate::failure::{Ending, Failure};

/// Where ports are chosen: above what well-known servers use, below `ip_local_port_range`, which
/// begins at 32768 unless somebody has changed it.
const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;

/// How often one looks for a port before it is clear that there is something else wrong.
const TRIES_MAX: u32 = 2_000;

/// A free port on loopback for each of these names. All are held until the last one is found.
pub(crate) fn choose<'n>(
    names: impl IntoIterator<Item = &'n str>,
    random: &dyn Random,
) -> Result<BTreeMap<String, u16>, Failure> {
    let mut held = Vec::new();
    let mut ports = BTreeMap::new();
    for name in names {
        let (port, listener) = free(random)?;
        ports.insert(name.to_owned(), port);
        held.push(listener);
    }
    Ok(ports)
}

fn free(random: &dyn Random) -> Result<(u16, TcpListener), Failure> {
    for _ in 0..TRIES_MAX {
        let port = FIRST + u16::from_le_bytes(random::bytes::<2>(random)) % COUNT;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok((port, listener));
        }
    }
    let last = FIRST + COUNT - 1;
    Err(Failure::new(Ending::Input, format!("no port between {FIRST} and {last} is free"))
        .hint("end what listens there on 127.0.0.1, then try again"))
}

#[cfg(test)]
mod tests {
    use soter_world::SystemRandom;

    use super::*;

    #[test]
    fn ports_are_free_different_and_named() {
        let names = ["a", "b", "c", "d"];
        let ports = choose(names, &SystemRandom).unwrap();
        assert_eq!(ports.keys().map(String::as_str).collect::<Vec<_>>(), names);
        let different: std::collections::BTreeSet<u16> = ports.values().copied().collect();
        assert_eq!(different.len(), names.len());
        for port in different {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}
