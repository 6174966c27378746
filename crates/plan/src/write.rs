//! A new plan as text, for `soter init`: the few facts that differ between clusters, the choices
//! that matter with a word on each, and the defaults as comments to lift.
//!
//! The rule it keeps: what is written reads back as the same values.

use crate::connection::Connection;
use crate::names::{StoreName, VaultName};
use crate::plan::WalMode;
use crate::vault::{AGENT_KEY_DEFAULT, PublicKey, VaultUrl};

/// What `soter init` found out.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The vault's name.
    pub vault: VaultName,
    /// Where the vault is.
    pub url: VaultUrl,
    /// The vault's root keys, one to three.
    pub root_keys: Vec<PublicKey>,
    /// The agent's key file: absolute, without control characters.
    pub agent_key: String,
    /// The store's name.
    pub store: StoreName,
    /// How to reach the cluster.
    pub connection: Connection,
    /// The cluster's data directory as the server names it: absolute, without control characters.
    pub data_directory: String,
    /// What a commit waits for.
    pub mode: WalMode,
}

/// Writes a plan with comments. [`crate::parse`] reads it back to the same values.
pub fn write(facts: &Facts) -> String {
    let roots: Vec<String> = facts.root_keys.iter().map(|key| quoted(&key.to_string())).collect();
    let slot = format!("soter_{}", facts.store.as_str().replace('-', "_"));
    let mode = facts.mode.word();
    let agent = match facts.agent_key.as_str() {
        AGENT_KEY_DEFAULT => format!("#agent: {AGENT_KEY_DEFAULT}"),
        other => format!("agent: {}", quoted(&other.replace("${", "$${"))),
    };
    let values = [
        ("{vault}", facts.vault.to_string()),
        ("{url}", quoted(&facts.url.to_string())),
        ("{roots}", roots.join(", ")),
        ("{agent}", agent),
        ("{store}", facts.store.to_string()),
        ("{connection}", quoted(&facts.connection.to_string())),
        ("{data_directory}", quoted(&facts.data_directory.replace("${", "$${"))),
        ("{mode}", mode.to_owned()),
        ("{slot}", slot),
    ];
    filled(TEMPLATE, &values)
}

/// The template with its places filled, once each: what is filled in is never looked at again.
fn filled(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    loop {
        let next = values
            .iter()
            .filter_map(|(place, value)| Some((rest.split_once(place)?, value)))
            .min_by_key(|((before, _), _)| before.len());
        let Some(((before, after), value)) = next else { return text + rest };
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
}

/// The text of a new plan. Commented keys show the defaults.
const TEMPLATE: &str = r#"# What must be recoverable, and how. `docs/plan.md` explains every key.
# A key behind a single `#` shows its default: remove the `#` to change it.

vaults:
  {vault}:
    # Where recovery points are kept. On another disk at least; what destroys the data directory
    # must not destroy this.
    url: {url}
    keys:
      # The public part of the root key that `soter vault init` made: it says which vault is yours.
      root: [{roots}]
      # The agent's key file on this machine.
      {agent}

stores:
  {store}:
    kind: postgres
    # No passwords here: write password=${file:/path/to/it} or password=${env:NAME}.
    connection: {connection}
    data_directory: {data_directory}
    vaults: [{vault}]

    wal:
      # synchronous: a commit returns once its WAL is in the vault, nothing acknowledged is lost,
      # and commits wait while the vault is away. asynchronous: commits never wait, and a disaster
      # loses up to part_interval.
      mode: {mode}
      #part_interval: 250 ms
      #slot: {slot}
      #application_name: {slot}
      # Where WAL waits while the vault is away; without it, it waits in pg_wal.
      #spool: { directory: /var/spool/soter, limit: 4 GiB }

    backup:
      # Minute, hour, day of month, month, day of week. More often makes recovery faster.
      schedule: "0 * * * *"
      time_zone: UTC
      #full_every: 7 days
      #workers: 2

    #compression: { level: 3 }

    # A row written on a schedule, so that loss is measured in the data itself.
    canary: { every: 5 s }

    # Backups younger than 7 days are kept whatever this says.
    #retention: { keep_for: 30 days, keep_last: 3 }
"#;

/// A YAML text in double quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            // Line separators, byte-order marks and what else YAML might take for structure.
            c => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted + "\""
}
