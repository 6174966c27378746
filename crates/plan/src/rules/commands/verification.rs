//! S0309: a verification without an expected value.

use crate::check::Finding;
use crate::products::FactKind;

use super::NOTHING_EXPECTED;
use super::scripts::{Piece, PieceKind, shown};
use crate::shell::Role;

/// Words by which a title or a comment says that something is verified, not only looked at.
const WORDS: &[&str] =
    &["verif", "validat", "confirm", "make sure", "ensure", "health check", "smoke test"];

/// Whether a title speaks of a verification.
pub(super) fn is_verification(purpose: &str) -> bool {
    WORDS.iter().any(|word| purpose.contains(word))
}

pub(super) fn nothing_expected(piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    let is_looked_at = matches!(piece.kind, PieceKind::Step | PieceKind::Probe);
    if piece.is_compared || !is_looked_at {
        return;
    }
    for (_, invocation) in piece.invocations() {
        let command = invocation.command;
        let shows = invocation.fact(FactKind::Shows).is_some();
        let verifies = piece.kind == PieceKind::Probe || is_verification(&piece.purpose(command));
        let is_asked = command.position.role != Role::Body;
        if !shows || !verifies || is_asked || piece.is_read(command) || is_waited_for(piece) {
            continue;
        }
        let title = format!("`{}` verifies nothing: it succeeds whatever it shows", shown(command));
        findings.push(
            Finding::new(&NOTHING_EXPECTED, piece.place(command.words_range()), title)
                .here("what must stand here for it to be right?")
                .hint(
                    "say what must come out: `expect: \"> 0\"` in a probe under `verify:`, `| grep -q …`, or \
                     a command that fails, such as `kubectl wait --for=…`",
                ),
        );
    }
}

/// Another command of the script fails unless all is well.
fn is_waited_for(piece: &Piece<'_>) -> bool {
    piece.invocations().any(|(_, invocation)| {
        invocation.fact(FactKind::Verifies).is_some() || invocation.fact(FactKind::Waits).is_some()
    }) && piece.kind == PieceKind::Probe
}
