//! Where the programs are that a laboratory is made of.
//!
//! They are looked up, never installed: that is what `scripts/install-lab-tools` is for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use soter_world::disk::Owner;
use soter_world::{OsDisk, durable, exec};

use crate::failure::{Ending, Failure, failed};

/// The variable that names the directory `scripts/install-lab-tools` fills.
const TOOLS_VARIABLE: &str = "SOTER_LAB_TOOLS";

/// The variable that names a directory of PostgreSQL's programs.
const POSTGRES_VARIABLE: &str = "SOTER_PG_BIN";

/// The variable that names Soter's binary, if it is not beside ours.
const SOTER_VARIABLE: &str = "SOTER_BIN";

/// PostgreSQL's versions that Soter protects, the one of Debian 12 first.
const POSTGRES_VERSIONS: [&str; 5] = ["15", "18", "17", "16", "14"];

/// The user that runs PostgreSQL for root.
const SERVER_USER: &str = "postgres";

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Where `scripts/install-lab-tools` puts what it gets.
pub(crate) fn directory() -> Option<PathBuf> {
    if let Some(named) = variable(TOOLS_VARIABLE) {
        return Some(PathBuf::from(named));
    }
    let cache = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache.map(|cache| cache.join("soter/lab-tools"))
}

/// A program of that name: ours, else the machine's.
pub(crate) fn find(name: &str) -> Result<PathBuf, Failure> {
    let ours = directory().map(|directory| directory.join("bin"));
    let path = variable("PATH").unwrap_or_default();
    let places = ours.into_iter().chain(std::env::split_paths(&path));
    first_in(places, name).ok_or_else(|| {
        Failure::new(Ending::Input, format!("the laboratory needs {name}, and it is not here"))
            .hint("run scripts/install-lab-tools, or leave the part away with --without")
    })
}

/// The directory of PostgreSQL's programs.
pub(crate) fn postgres() -> Result<PathBuf, Failure> {
    let place = |version: &str| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"));
    let places = match variable(POSTGRES_VARIABLE) {
        Some(named) => vec![PathBuf::from(named)],
        None => POSTGRES_VERSIONS.map(place).to_vec(),
    };
    let found = places.into_iter().find(|place| place.join("initdb").exists());
    found.ok_or_else(|| {
        Failure::new(Ending::Input, "the laboratory needs PostgreSQL 14 to 18, and it is not here")
            .hint("run scripts/install-lab-tools, or name its programs' directory in SOTER_PG_BIN")
    })
}

/// Soter: what a variable names, else the one beside ours, else the machine's.
pub(crate) fn soter() -> Result<PathBuf, Failure> {
    if let Some(named) = variable(SOTER_VARIABLE) {
        return Ok(PathBuf::from(named));
    }
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    let beside = us.parent().map(Path::to_owned);
    let path = variable("PATH").unwrap_or_default();
    first_in(beside.into_iter().chain(std::env::split_paths(&path)), "soter").ok_or_else(|| {
        Failure::new(Ending::Input, "the laboratory needs the program soter, and it is not here")
            .hint("build it with `cargo build --package soter-cli`, or name it in SOTER_BIN")
    })
}

/// PostgreSQL refuses to run as root, so root runs it as the user `postgres`.
pub(crate) fn server_owner() -> Result<Owner, Failure> {
    let ourselves = exec::current_owner();
    if ourselves.user != 0 {
        return Ok(ourselves);
    }
    let passwd = durable::read(&OsDisk, Path::new("/etc/passwd"), 1 << 20)
        .map_err(failed("look up the user postgres"))?;
    exec::owner_in_passwd(&String::from_utf8_lossy(&passwd), SERVER_USER).ok_or_else(|| {
        let what = "PostgreSQL does not run as root, and there is no user postgres";
        Failure::new(Ending::Input, what).hint("run scripts/install-lab-tools, or be another user")
    })
}

fn first_in(places: impl IntoIterator<Item = PathBuf>, name: &str) -> Option<PathBuf> {
    places.into_iter().map(|place| place.join(name)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_script_that_gets_it() {
        let failure = find("no-such-server").unwrap_err().to_string();
        assert!(failure.contains("no-such-server"), "{failure}");
        assert!(failure.contains("scripts/install-lab-tools"), "{failure}");
    }
}
