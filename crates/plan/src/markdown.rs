//! The Markdown front end: a disaster recovery document as people write them, read into a plan.
//!
//! The rule it keeps: what is understood is right, and points at the bytes that say so; what is not
//! understood is listed, never guessed. A wrong reading would make the rules claim what is false.
//! Bytes become text (`decode`), text a tree of sections, tables, lists and code (`tree`), and the
//! tree a plan, pass by pass (`front`), by the words of `vocabulary` and the measures of `measure`.

mod decode;
mod front;
mod kinds;
pub(crate) mod measure;
mod names;
mod text;
mod tree;
mod vocabulary;

pub(crate) use decode::decode;
pub(crate) use front::{Read, read};

/// Whether a file is a document rather than a plan in YAML: by its name, else by how it begins.
pub(crate) fn is_document(name: &str, bytes: &[u8]) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("md" | "markdown" | "mdown" | "mkd" | "mdx" | "txt") => true,
        Some("yaml" | "yml" | "json") => false,
        _ => looks_like_document(bytes),
    }
}

/// Whether a text without a telling name has headings or tables, and no section of a plan.
fn looks_like_document(bytes: &[u8]) -> bool {
    const LOOKED_AT: usize = 64 << 10;
    let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(LOOKED_AT)).unwrap_or_default());
    let is_section = |line: &str| {
        line.split_once(':').is_some_and(|(key, rest)| {
            !key.is_empty()
                && key.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
                && (rest.trim().is_empty() || rest.starts_with(' '))
        })
    };
    let in_front_matter = text.starts_with("---");
    let is_heading = |line: &str| {
        let hashes = line.len() - line.trim_start_matches('#').len();
        hashes > 1 && hashes < 7 && line.get(hashes..).is_some_and(|rest| rest.starts_with(' '))
    };
    let headings = text.lines().any(is_heading) || text.lines().any(|line| line.starts_with("|--"));
    headings && (in_front_matter || !text.lines().any(is_section))
}
