//! What a person should look at: the newest findings, each once, with the time it was seen last.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many are remembered; the newest are the interesting ones.
const FINDINGS_MAX: usize = 100;

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// What it is.
    pub what: String,
    /// When it was seen last.
    pub at: Timestamp,
}

/// The newest findings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings(VecDeque<Noted>);

impl Findings {
    /// Notes something; whether it is new.
    pub(crate) fn note(&mut self, what: &str, at: Timestamp) -> bool {
        if let Some(known) = self.0.iter_mut().find(|known| known.what == what) {
            known.at = at;
            return false;
        }
        if self.0.len() == FINDINGS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Noted { what: what.to_owned(), at });
        true
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = Noted> {
        self.0.iter().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_kept_once_with_its_last_time_and_the_oldest_go() {
        let mut findings = Findings::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(findings.note("a", at(1)));
        assert!(!findings.note("a", at(2)));
        assert_eq!(findings.all().next().unwrap().at, at(2));
        for n in 0..FINDINGS_MAX {
            assert!(findings.note(&format!("b{n}"), at(3)));
        }
        assert_eq!(findings.all().count(), FINDINGS_MAX);
        assert!(findings.note("a", at(4)));
    }
}
