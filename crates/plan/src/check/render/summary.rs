//! The last line of a report: how many of each, and what to read next.

use crate::check::{Report, Severity};

/// How many findings there are, and what to do with them.
pub fn summary(report: &Report) -> String {
    let mut parts = Vec::new();
    for (severity, one) in
        [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")]
    {
        let count = report.findings.iter().filter(|found| found.severity == severity).count();
        parts.extend((count > 0).then(|| counted(count, one)));
    }
    let mut files = report.sources.files().map(|(_, source)| source.name.as_str());
    let place = match (files.next(), files.count()) {
        (None, _) => "nothing was read".to_owned(),
        (Some(only), 0) => only.to_owned(),
        (Some(_), more) => counted(more + 1, "file"),
    };
    if parts.is_empty() {
        parts.push("nothing to find fault with".to_owned());
    }
    let mut line = format!("{place}: {}", parts.join(", "));
    if !report.unread.is_empty() {
        let passages = counted(report.unread.len(), "passage");
        line.push_str(&format!("; {passages} not understood"));
    }
    line.push('\n');
    let worst = report.findings.iter().max_by_key(|found| found.severity);
    if let Some(code) = worst.map(|worst| worst.severity).and_then(|severity| {
        report.findings.iter().find(|found| found.severity == severity).map(|found| found.code)
    }) {
        line.push_str(&format!("`soter explain {code}` says more about a finding\n"));
    }
    line
}

fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
