//! S0313: lines of cron, as cron reads them.
//!
//! The rule it keeps: only what is certain about cron itself is said; what the command does is for
//! the other rules.

use super::CRON_LINE;
use crate::check::{Finding, Model, Severity, Snippet};

pub(super) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let tables = |it: &&Snippet| matches!(it.language.as_str(), "cron" | "crontab");
    for snippet in model.facts.snippets.iter().filter(tables) {
        let mut at = 0;
        let mut is_mailed = true;
        for line in snippet.script.text.split_inclusive('\n') {
            let start = at;
            at += line.len();
            let text = line.trim_end();
            if let Some(value) = text.strip_prefix("MAILTO=") {
                is_mailed = !value.trim_matches(['"', '\'', ' ']).is_empty();
            }
            let Some(command) = command(text) else { continue };
            if let Some(sign) = bare_percent(text, command) {
                findings.push(cut_short(snippet, start, sign, text.len()));
            }
            if !is_mailed && is_thrown_away(text.get(command..).unwrap_or("")) {
                findings.push(unseen(snippet, start + command, start + text.len()));
            }
        }
    }
}

/// Where the command of a line begins, behind its five fields; none if it is no job.
fn command(line: &str) -> Option<usize> {
    let mut at = 0;
    for _ in 0..5 {
        let rest = line.get(at..)?;
        let start = at + rest.len() - rest.trim_start().len();
        let field = line.get(start..)?.split_whitespace().next()?;
        let is_field =
            field.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '*' | '/' | ',' | '-'));
        let begins = field.starts_with(|c: char| c.is_ascii_digit() || c == '*');
        if !is_field || !begins {
            return None;
        }
        at = start + field.len();
    }
    let rest = line.get(at..)?;
    (!rest.trim().is_empty()).then(|| at + rest.len() - rest.trim_start().len())
}

/// The first `%` without a backslash before it. Quotes do not count for cron.
fn bare_percent(line: &str, command: usize) -> Option<usize> {
    let found = line.match_indices('%').map(|(at, _)| at).filter(|at| *at >= command);
    found.into_iter().find(|at| !line.get(..*at).is_some_and(|before| before.ends_with('\\')))
}

fn cut_short(snippet: &Snippet, start: usize, sign: usize, end: usize) -> Finding {
    let kept = snippet.script.text.get(start..start + sign).unwrap_or("").trim_start();
    let shown: String = kept.chars().rev().take(32).collect::<Vec<_>>().into_iter().rev().collect();
    Finding::new(
        &CRON_LINE,
        snippet.script.place(start + sign..start + sign + 1),
        format!("cron runs this only up to `…{shown}`"),
    )
    .here("for cron the command ends here")
    .label(snippet.script.place(start + sign..start + end), "this is given to it as input")
    .hint("write `\\%`, or put the command into a script")
    .proof("crontab(5): percent-signs in the command, unless escaped with backslash, are newlines")
}

/// Output and errors go nowhere.
fn is_thrown_away(command: &str) -> bool {
    let plain: String = command.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.ends_with(">/dev/null 2>&1")
        || plain.ends_with("> /dev/null 2>&1")
        || plain.ends_with("&>/dev/null")
        || plain.ends_with("&> /dev/null")
}

fn unseen(snippet: &Snippet, start: usize, end: usize) -> Finding {
    Finding::new(
        &CRON_LINE,
        snippet.script.place(start..end),
        "nobody sees what this job says when it fails",
    )
    .severity(Severity::Warning)
    .here("output and errors are thrown away")
    .why("the mail of cron is off as well; the first to learn of it is the one who needs the copy")
    .hint("keep the errors: leave out `2>&1`, and set `MAILTO` or send them to the log (`logger`)")
    .proof("`MAILTO` is empty, and both outputs go to /dev/null")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(line: &str) -> Option<usize> {
        bare_percent(line, command(line)?)
    }

    #[test]
    fn cron_ends_a_command_at_a_bare_percent_sign() {
        assert!(percent("40 2 * * * root tar czf /b/$(date +%F).tgz /etc").is_some());
        for line in [
            r"20 3 * * * tar czf /b/$(date +\%F).tgz /etc",
            "0 1 * * 0 pgbackrest backup",
            "MAILTO=a@b.example",
            "# 40 2 * * * date +%F",
        ] {
            assert_eq!(percent(line), None, "{line}");
        }
    }

    #[test]
    fn output_is_thrown_away_only_if_both_are() {
        assert!(is_thrown_away("/opt/dump.sh >/dev/null 2>&1"));
        assert!(!is_thrown_away("/opt/dump.sh >/dev/null"));
        assert!(!is_thrown_away("/opt/dump.sh 2>&1 | logger"));
    }
}
