//! S0110, as far as scripts show it: a copy that is sealed with a secret out of what it is a copy of.

use crate::check::Finding;
use crate::products::is_like;
use crate::rules::objectives::SELF_NEED;

use super::scripts::{Piece, lower};

/// What saves a store of secrets, and what reads a secret out of one.
const STORES: &[(&str, &[&str], &[&str])] = &[(
    "Vault",
    &["vault operator raft snapshot save*", "bao operator raft snapshot save*"],
    &["vault kv get*", "vault read*", "bao kv get*", "bao read*"],
)];

/// Programs that seal what they are given, with a secret from their input.
const SEALS: &[&str] = &["gpg", "gpg2", "openssl", "age", "restic", "ccrypt", "7z"];

pub(super) fn sealed_with_its_own_content(piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    let commands = &piece.shell.commands;
    for (product, saves, reads) in STORES {
        let is =
            |line: &str, patterns: &[&str]| patterns.iter().any(|pattern| is_like(line, pattern));
        let Some(saved) = commands.iter().find(|command| is(&lower(command), saves)) else {
            continue;
        };
        let Some(read) = commands.iter().find(|command| is(&lower(command), reads)) else {
            continue;
        };
        // The secret goes straight into what seals: `vault kv get … | gpg --symmetric …`.
        let seals = commands.iter().find(|command| {
            command.program().is_some_and(|program| SEALS.contains(&program))
                && command.position.list == read.position.list
                && command.position.step == read.position.step
                && command.position.pipe_index > read.position.pipe_index
        });
        let Some(seals) = seals else { continue };
        let words = format!("what opens this copy of {product} is kept in {product}");
        findings.push(
            Finding::new(&SELF_NEED, piece.place(read.words_range()), words)
                .here("the secret is read from here")
                .label(piece.place(seals.words_range()), "it seals the copy")
                .label(piece.place(saved.words_range()), "the copy")
                .hint(
                    "seal it for a public key whose other half lies elsewhere, or keep the secret in a \
                     second place, such as a safe, and say so in the plan",
                ),
        );
    }
}
