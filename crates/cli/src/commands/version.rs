//! `soter version`.

use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;

#[derive(Serialize)]
struct Version {
    version: &'static str,
    vault_format: u16,
}

/// Prints the version.
pub(super) fn run(output: &Output) -> Result<(), Failure> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        vault_format: soter_vault::header::FORMAT_VERSION,
    };
    output.data(&version, |v| format!("soter {}, vault format {}", v.version, v.vault_format));
    Ok(())
}
