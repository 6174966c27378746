//! Names: from titles as people write them to names of the plan, and back from what is said
//! elsewhere to what was meant.
//!
//! The rule it keeps: "Zeus" is "Zeus Orchestrator" only if there is no other Zeus. What fits two
//! things is taken for neither.

use std::collections::HashMap;

use super::kinds;
use super::vocabulary::plain_words;

/// Longest name the language takes.
const NAME_BYTES_MAX: usize = 64;

/// Words that say what sort of thing something is, not which.
pub(super) const GENERIC: &[&str] = &[
    "a",
    "an",
    "the",
    "service",
    "services",
    "server",
    "servers",
    "system",
    "cluster",
    "database",
    "databases",
    "db",
    "primary",
    "instance",
    "instances",
    "app",
    "application",
    "store",
    "storage",
    "platform",
    "data",
    "backup",
    "backups",
    "snapshots",
    "snapshot",
    "files",
    "objects",
    "object",
    "main",
    "production",
    "prod",
    "team",
];

/// Things by all the ways they are called.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Name of the plan, and the words of the title.
    entries: Vec<Entry>,
    exact: HashMap<String, Vec<usize>>,
    words: HashMap<String, Vec<usize>>,
    products: HashMap<&'static str, Vec<usize>>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    words: Vec<String>,
}

/// More things than this with one word in common are not told apart by it.
const CANDIDATES_MAX: usize = 32;

impl Index {
    /// Adds a thing by its title.
    pub(crate) fn add(&mut self, name: &str, title: &str) {
        let at = self.entries.len();
        let whole = plain_words(title);
        let outside = plain_words(without_brackets(title));
        let words: Vec<String> = whole.split(' ').map(str::to_owned).collect();
        let mut spellings = vec![whole, outside, name.to_owned(), name.replace('-', " ")];
        spellings.sort_unstable();
        spellings.dedup();
        for spelling in spellings {
            push(self.exact.entry(spelling).or_default(), at);
        }
        for word in &words {
            push(self.words.entry(word.clone()).or_default(), at);
        }
        if let Some(kind) = kinds::store_kind(title) {
            push(self.products.entry(kind.product).or_default(), at);
        }
        self.entries.push(Entry { name: name.to_owned(), words });
    }

    /// What a text calls, if that is one thing.
    pub(crate) fn find(&self, text: &str) -> Option<&str> {
        let whole = plain_words(text);
        let outside = plain_words(without_brackets(text));
        for spelling in [&whole, &outside] {
            if let Some(found) = self.exact.get(spelling).and_then(|at| self.only(at)) {
                return Some(found);
            }
        }
        let words: Vec<&str> = outside.split(' ').filter(|word| !word.is_empty()).collect();
        self.by_some_words(&words).or_else(|| self.by_generic_words(&words)).or_else(|| {
            // "Postgres" for "PostgreSQL"; "Postgres orders" may be another one.
            let telling = words.iter().filter(|word| !GENERIC.contains(word)).count();
            let kind = kinds::store_kind(&outside).filter(|_| telling == 1)?;
            self.only(self.products.get(kind.product)?)
        })
    }

    /// "Zeus" for "Zeus Orchestrator".
    fn by_some_words(&self, words: &[&str]) -> Option<&str> {
        if words.iter().all(|word| GENERIC.contains(word)) {
            return None;
        }
        let first = self.words.get(*words.first()?).filter(|at| at.len() <= CANDIDATES_MAX)?;
        let has_all = |at: &&usize| {
            self.entries.get(**at).is_some_and(|entry| {
                words.iter().all(|word| entry.words.iter().any(|own| own == word))
            })
        };
        let found: Vec<usize> = first.iter().filter(has_all).copied().collect();
        self.only(&found)
    }

    /// "PostgreSQL database" for "PostgreSQL".
    fn by_generic_words(&self, words: &[&str]) -> Option<&str> {
        let telling: Vec<&str> = words.iter().filter(|w| !GENERIC.contains(w)).copied().collect();
        if telling.is_empty() || telling.len() == words.len() {
            return None;
        }
        self.exact
            .get(&telling.join(" "))
            .and_then(|at| self.only(at))
            .or_else(|| self.by_some_words(&telling))
    }

    fn only(&self, found: &[usize]) -> Option<&str> {
        match found {
            [one] => self.entries.get(*one).map(|entry| entry.name.as_str()),
            _ => None,
        }
    }

    /// The things that a sentence speaks of by their whole title, outside of brackets, or by their
    /// product.
    pub(crate) fn mentioned(&self, sentence: &str) -> Vec<&str> {
        let words = plain_words(sentence);
        let words: Vec<&str> = words.split(' ').collect();
        let mut found = Vec::new();
        for start in 0..words.len() {
            for len in (1..=4.min(words.len() - start)).rev() {
                let spelling = words.get(start..start + len).unwrap_or_default().join(" ");
                let generic = len == 1 && GENERIC.contains(&spelling.as_str());
                let here = self.exact.get(&spelling).filter(|_| !generic);
                found.extend(here.and_then(|at| self.only(at)));
            }
        }
        if found.is_empty()
            && let Some(kind) = kinds::store_kind(sentence)
        {
            found.extend(self.products.get(kind.product).and_then(|at| self.only(at)));
        }
        found.dedup();
        found
    }
}

fn push(list: &mut Vec<usize>, at: usize) {
    if list.last() != Some(&at) {
        list.push(at);
    }
}

/// What stands before the first bracket.
pub(crate) fn without_brackets(text: &str) -> &str {
    let outside = text.split(['(', '[']).next().unwrap_or("");
    if outside.trim().is_empty() { text } else { outside.trim() }
}

/// A title as a name of the plan.
pub(crate) fn slug(title: &str) -> String {
    let mut name = String::new();
    for c in without_brackets(title).chars().flat_map(char::to_lowercase) {
        match c {
            'ä' => name.push_str("ae"),
            'ö' => name.push_str("oe"),
            'ü' => name.push_str("ue"),
            'ß' => name.push_str("ss"),
            c if c.is_ascii_alphanumeric() => name.push(c),
            '\'' | '’' => {}
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
        if name.len() >= NAME_BYTES_MAX - 4 {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    let has_letters = name.contains(|c: char| c.is_ascii_alphabetic());
    if has_letters || !title.contains(char::is_alphabetic) {
        return if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() };
    }
    // Letters that names do not take: two people must not become one.
    format!("unnamed-{:08x}", checksum(without_brackets(title)))
}

/// FNV-1a: it tells titles apart, it protects nothing.
fn checksum(text: &str) -> u32 {
    let lower = text.chars().flat_map(char::to_lowercase);
    lower.fold(0x811c_9dc5, |hash, c| (hash ^ u32::from(c)).wrapping_mul(0x0100_0193))
}

/// A title without its number: `3.2 Region loss`, `Scenario 4: Region loss`, `Runbook – Region loss`.
pub(crate) fn without_number(title: &str) -> usize {
    const WORDS: &[&str] = &[
        "scenario",
        "szenario",
        "runbook",
        "playbook",
        "procedure",
        "phase",
        "step",
        "stage",
        "dr",
        "schritt",
        "appendix",
        "anhang",
        "section",
        "case",
        "incident",
        "disaster",
    ];
    let mut at = 0;
    let skip = |at: usize, waste: fn(char) -> bool| {
        let rest = title.get(at..).unwrap_or("");
        at + rest.find(|c| !waste(c)).unwrap_or(rest.len())
    };
    let number = skip(at, |c| c.is_ascii_digit() || c == '.');
    let behind = skip(number, |c| c == ' ' || c == ')');
    if number > 0 && behind > number {
        at = behind;
    }
    let word = skip(at, char::is_alphabetic);
    let lower = title.get(at..word).unwrap_or("").to_lowercase();
    if WORDS.contains(&lower.as_str()) {
        let number = skip(skip(word, |c| matches!(c, ' ' | '-' | '#')), |c| {
            c.is_ascii_alphanumeric() || c == '.'
        });
        let counted = title.get(word..number).unwrap_or("").trim_matches([' ', '-', '#', '.']);
        let is_number = counted.len() == 1 || counted.chars().any(|c| c.is_ascii_digit());
        let behind = if is_number { number } else { word };
        let end = skip(behind, |c| c == ' ');
        let sign = skip(end, |c| matches!(c, ':' | '-' | '–' | '—' | '.'));
        if sign > end {
            at = skip(sign, |c| c == ' ');
        }
    }
    if title.get(at..).is_some_and(|rest| !rest.trim().is_empty()) { at } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        for title in [
            "PostgreSQL (Primary)",
            "Zeus Orchestrator",
            "API Gateway",
            "Athena (Knowledge)",
            "MinIO (Object Storage)",
            "Billing Worker",
            "Billing API",
        ] {
            index.add(&slug(title), title);
        }
        index
    }

    #[test]
    fn things_are_found_by_what_people_call_them() {
        for (text, expect) in [
            ("PostgreSQL", Some("postgresql")),
            ("postgres", Some("postgresql")),
            ("PostgreSQL database", Some("postgresql")),
            ("Zeus", Some("zeus-orchestrator")),
            ("MinIO objects", Some("minio")),
            ("Gateway", Some("api-gateway")),
            ("Billing", None),
            ("Billing API", Some("billing-api")),
            ("Vector DB", None),
            ("database", None),
            ("", None),
        ] {
            assert_eq!(index().find(text), expect, "{text}");
        }
    }

    #[test]
    fn sentences_mention_things() {
        assert_eq!(index().mentioned("PostgreSQL Database Corruption"), ["postgresql"]);
        assert_eq!(index().mentioned("Loss of the API Gateway"), ["api-gateway"]);
        assert!(index().mentioned("Complete Cluster Loss").is_empty());
    }

    #[test]
    fn titles_become_names() {
        for (title, expect) in [
            ("PostgreSQL (Primary)", "postgresql"),
            ("P1 - Critical", "p1-critical"),
            ("Größenwahn & Söhne", "groessenwahn-soehne"),
            ("(x)", "x"),
            ("—", "unnamed"),
            ("24/7", "24-7"),
        ] {
            assert_eq!(slug(title), expect);
        }
        // Two titles in another script are two things, and one written twice is one.
        assert_ne!(slug("Иванов"), slug("Петров"));
        assert_eq!(slug("Иванов (CTO)"), slug("иванов"));
        assert!(slug("日本").starts_with("unnamed-"));
        assert!(slug(&"long ".repeat(50)).len() <= NAME_BYTES_MAX);
    }

    #[test]
    fn numbers_before_titles_are_left_out() {
        for (title, expect) in [
            ("Scenario 1: Single Node Failure", "Single Node Failure"),
            ("4.2 Region loss", "Region loss"),
            ("4.2. Scenario B – Region loss", "Region loss"),
            ("Runbook: Restore orders", "Restore orders"),
            ("DR-03: Region loss", "Region loss"),
            ("Phase 2 - Data", "Data"),
            ("Incident response", "Incident response"),
            ("Disaster recovery", "Disaster recovery"),
            ("3scale outage", "3scale outage"),
            ("Scenario 1", "Scenario 1"),
        ] {
            assert_eq!(title.get(without_number(title)..), Some(expect), "{title}");
        }
    }
}
