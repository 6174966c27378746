//! What holds for any document.

use proptest::prelude::*;

use crate::check::{Input, check, load};

/// Pieces that documents are made of, so that more than the first line is understood.
const PIECES: &str = "(# |## |### |#### |\\*\\*RTO:\\*\\* |\\*\\*Phase 1: a \\(20 min\\)\\*\\*|Scenario 1: |\
    Backup|Tier 1|Escalation|Drills|Database loss|PostgreSQL|etcd|api|- |1\\. |\n|\n\n|\\| |\\|-\\|-\\|-\\|\n|\
    Service \\| RTO \\| RPO \\| Dependencies|Severity \\| Notify \\| Response time|Test type \\| Frequency|\
    30 min|1-2 hours|daily|every 6 hours|→|```bash\n|```yaml\n|```\n|# 1\\. a\n|kind: CronJob\n|spec:\n|\
    archive_command = 'cp %p oss://b/%f'\n|│ ├── |└── |: |\\PC|[ \t\r])";

proptest! {
    /// Any bytes in the place of a document.
    #[test]
    fn any_bytes_are_read_as_a_document(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let loaded = load(&[Input { name: "plan.md".to_owned(), bytes }]);
        drop(check(loaded, jiff::civil::date(2026, 1, 1)));
    }

    /// Any document: it is read, every place lies in it, and what an import of it makes is a plan.
    #[test]
    fn any_document_is_read_imported_and_read_back(pieces in proptest::collection::vec(PIECES, 0..20)) {
        let text = pieces.concat();
        let input = |name: &str, text: &str| Input { name: name.to_owned(), bytes: text.into() };
        let loaded = load(&[input("plan.md", &text)]);
        for statement in &loaded.facts.statements {
            prop_assert!(!loaded.sources.text(statement.value.origin).is_empty());
        }
        let import = crate::import::import(&loaded);
        let again = load(&[input("soter.yaml", &import.files[0].text)]);
        prop_assert!(again.findings.is_empty(), "{:?}\n{}", again.findings, import.files[0].text);
        drop(check(loaded, jiff::civil::date(2026, 1, 1)));
    }
}
