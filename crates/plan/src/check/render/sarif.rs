//! Findings as SARIF 2.1.0, for code hosts and editors.
//!
//! A result is the same result after lines were put above it: its fingerprint is made of the rule,
//! the file, what the finding says and what is written at its place, not of where that is.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::json::quoted;
use super::page::word;
use super::shown;
use crate::check::{Finding, Label, Report, Rule, Unread};
use crate::language::{Origin, Source, Sources};
use crate::rules;

/// The program that checked.
#[derive(Debug, Clone, Copy)]
pub struct Tool<'a> {
    /// Its version.
    pub version: &'a str,
}

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json";

/// The name and version of what [`fingerprint`] computes; another way to compute it is another name.
const FINGERPRINT: &str = "soterFinding/v1";

/// The report as a SARIF log of one run.
pub fn sarif(report: &Report, tool: Tool<'_>) -> Json {
    let all: Vec<&Rule> = rules::all().collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let results = report.findings.iter().map(|found| {
        let fingerprint = fingerprint(&report.sources, found);
        let count = seen.entry(fingerprint.clone()).or_default();
        *count += 1;
        // The second of two equal ones is another result.
        result(&report.sources, &all, found, &format!("{fingerprint}:{count}"))
    });
    let results: Vec<Json> = results.collect();
    let artifacts = report.sources.files().map(
        |(_, source)| json!({ "location": { "uri": uri(&source.name) }, "encoding": "UTF-8" }),
    );
    let unread = report.unread.iter().map(|passage| notification(&report.sources, passage));
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "soter",
                "version": tool.version,
                "semanticVersion": tool.version,
                "shortDescription": { "text": "Says what would fail in a disaster recovery plan." },
                "rules": all.iter().map(|rule| described(rule)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "artifacts": artifacts.collect::<Vec<_>>(),
            "invocations": [{
                // What could not be read was not checked.
                "executionSuccessful": !report.has_unreadable(),
                "toolExecutionNotifications": unread.collect::<Vec<_>>(),
            }],
            "results": results,
        }],
    })
}

/// What a finding is known by when lines have moved: the same text for the same mistake.
pub fn fingerprint(sources: &Sources, found: &Finding) -> String {
    let origin = found.origin();
    let source = sources.file(origin.file);
    let name = source.map_or("", |source| source.name.as_str());
    let text = source.map_or_else(String::new, |source| quoted(source.shown(), origin));
    // The layout may change, what is said may not.
    let words: Vec<&str> = text.split_whitespace().collect();
    let parts = [found.code, name, &found.title, &words.join(" ")];
    format!("{:032x}", hash(&parts.join("\0")))
}

/// FNV-1a of 128 bits: it names, it protects nothing.
fn hash(text: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

fn described(rule: &Rule) -> Json {
    json!({
        "id": rule.code,
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.why },
        "help": { "text": rule.page, "markdown": rule.page },
        "defaultConfiguration": { "level": word(rule.severity) },
        "properties": { "tags": [rules::family(rule.code)] },
    })
}

fn result(sources: &Sources, all: &[&Rule], found: &Finding, fingerprint: &str) -> Json {
    let found = shown(found);
    let (first, others) = match found.labels.as_slice() {
        [first, others @ ..] => (Some(first), others),
        [] => (None, &[][..]),
    };
    let related = others.iter().zip(1..).map(|(label, id)| {
        let mut location = location(sources, label);
        location["id"] = Json::from(id);
        location
    });
    let mut result = json!({
        "ruleId": found.code,
        "level": word(found.severity),
        "message": { "text": message(&found) },
        "locations": first.map(|label| location(sources, label)).into_iter().collect::<Vec<_>>(),
        "relatedLocations": related.collect::<Vec<_>>(),
        "partialFingerprints": { FINGERPRINT: fingerprint },
    });
    if let Some(index) = all.iter().position(|rule| rule.code == found.code) {
        result["ruleIndex"] = Json::from(index);
    }
    result
}

/// Everything a person needs, where no page is at hand.
fn message(found: &Finding) -> String {
    let mut text = found.title.clone();
    let parts =
        [("why", Some(&found.why)), ("proof", found.proof.as_ref()), ("help", found.hint.as_ref())];
    for (name, part) in parts {
        if let Some(part) = part.filter(|part| !part.is_empty()) {
            text.push_str(&format!("\n{name}: {part}"));
        }
    }
    text
}

fn location(sources: &Sources, label: &Label) -> Json {
    let Some(source) = sources.file(label.origin.file) else { return json!({}) };
    let mut location = json!({ "physicalLocation": physical(source, label.origin) });
    if !label.text.is_empty() {
        location["message"] = json!({ "text": label.text });
    }
    location
}

fn physical(source: &Source, origin: Origin) -> Json {
    let (start, end) = (source.place(origin.range().start), source.place(origin.range().end));
    json!({
        "artifactLocation": { "uri": uri(&source.name) },
        "region": {
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
            "snippet": { "text": quoted(source.shown(), origin) },
        },
    })
}

fn notification(sources: &Sources, passage: &Unread) -> Json {
    let label = Label { origin: passage.origin, text: String::new() };
    json!({
        "level": "note",
        "message": { "text": format!("not understood: {}", passage.why) },
        "locations": [location(sources, &label)],
    })
}

/// A file's name as a reference: relative as it was given, or from the root.
fn uri(name: &str) -> String {
    let name = name.strip_prefix("./").unwrap_or(name);
    let mut uri = String::from(if name.starts_with('/') { "file://" } else { "" });
    for &byte in name.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
