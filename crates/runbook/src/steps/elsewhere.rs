//! A script on another machine, or behind a command that stands for one.
//!
//! The rule it keeps: half a script never runs, and what the connection says is not taken for what the
//! script said. All of it stands between braces on the standard input of a shell there: one that loses
//! its end is refused whole. A line before the script and one behind it, with a word that nobody knows
//! before, tell whether it was begun, and how it ended; a connection that breaks in between leaves
//! *unknown*. Nothing of it is an argument that others on that machine could read.

use std::collections::BTreeMap;

use super::place::{Place, Variables};

/// Most that a script may give back. Parameters are names, positions and moments.
pub(super) const RESULTS_BYTES_MAX: usize = 64 << 10;

/// Keeps a connection from hanging: who asks for a password, and a machine that is silent, are errors.
const SSH: &[&str] = &[
    "ssh",
    "-T",
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=10",
    "-o",
    "ServerAliveCountMax=3",
    "--",
];

/// The word that marks the lines of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(pub(super) String);

/// What the output says of a script that ran elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// It ended with this code.
    Ended {
        /// The code.
        code: i32,
        /// The lines of its results.
        results: String,
    },
    /// It was begun, and no word of its end has come.
    Begun,
    /// No word of it has come.
    Nothing,
}

/// The command that reads a script and runs it on a machine: `bound`, or ssh. It is given to
/// another program as it is, so a name that could be an option is refused.
pub(super) fn command(host: &str, bound: Option<&Vec<String>>) -> Result<Vec<String>, String> {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    if let Some(bound) = bound {
        return Ok([bound.clone(), owned(&["bash", "-s"])].concat());
    }
    let is_host = !host.is_empty()
        && !host.starts_with('-')
        && !host.contains(|c: char| c.is_whitespace() || c.is_control());
    if !is_host {
        return Err(format!("`{host}` is no name of a machine"));
    }
    Ok([owned(SSH), vec![host.to_owned(), "exec bash -s".to_owned()]].concat())
}

/// The command that reads a script and runs it on a machine of a run, as its own steps do.
///
/// # Errors
/// When it is no name of a machine.
pub fn shell_on(host: &str, place: &Place) -> Result<Vec<String>, String> {
    command(host, place.bindings.hosts.get(host))
}

/// What the shell there reads: the variables, the script, and the lines that mark it.
pub(super) fn input(script: &str, variables: &Variables, path: &[String], mark: &Mark) -> String {
    let mark = &mark.0;
    let mut exports: BTreeMap<&str, &str> =
        variables.plain.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    exports.extend(
        variables.hidden.iter().map(|(name, value)| (name.as_str(), value.expose().as_str())),
    );
    let mut input = "{\n".to_owned();
    for (name, value) in exports {
        input.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    for directory in path.iter().rev() {
        input.push_str(&format!("export PATH={}:\"$PATH\"\n", quoted(directory)));
    }
    let break_behind = if script.ends_with('\n') { "" } else { "\n" };
    input.push_str(&format!(
        "SOTER_OUTPUT=$(mktemp) || exit 125
export SOTER_OUTPUT
soter_code=0
printf '%s\\n' '::soter {mark} begun::'
bash -euo pipefail /dev/fd/3 3<<'SOTER_{mark}' </dev/null || soter_code=$?
{script}{break_behind}SOTER_{mark}
printf '\\n::soter {mark} ended %s::\\n' \"$soter_code\"
head -c {RESULTS_BYTES_MAX} \"$SOTER_OUTPUT\"
rm -f \"$SOTER_OUTPUT\"
printf '\\n%s\\n' '::soter {mark} is all::'
exit \"$soter_code\"
}}
"
    ));
    input
}

/// What an output says, by its beginning and its end.
pub(super) fn word(beginning: &str, end: &str, mark: &Mark) -> Word {
    let mark = &mark.0;
    let ended = format!("::soter {mark} ended ");
    let all = format!("::soter {mark} is all::");
    if let Some((_, behind)) = end.rsplit_once(&ended)
        && let Some((code, behind)) = behind.split_once("::\n")
        && let Ok(code) = code.parse()
        && let Some((results, _)) = behind.split_once(&all)
    {
        return Word::Ended { code, results: results.to_owned() };
    }
    if beginning.contains(&format!("::soter {mark} begun::")) { Word::Begun } else { Word::Nothing }
}

/// An output without the lines that mark it and the results behind them: what the script wrote.
pub(super) fn shown(output: &str, mark: &Mark) -> String {
    let mark = &mark.0;
    let behind = output.split_once(&format!("::soter {mark} begun::\n"));
    let text = match behind {
        // What the connection said before is shown too: it may be why there is no more.
        Some((before, behind)) => format!("{before}{behind}"),
        None => output.to_owned(),
    };
    let is_mark = |line: &&str| line.starts_with(&format!("::soter {mark} evidence "));
    let text: Vec<&str> = text.split('\n').filter(|line| !is_mark(line)).collect();
    let text = text.join("\n");
    let (before, behind) =
        text.split_once(&format!("\n::soter {mark} ended ")).unwrap_or((&text, ""));
    let after = behind.split_once(&format!("::soter {mark} is all::\n")).map_or("", |(_, b)| b);
    format!("{before}{after}")
}

/// The parts of an output that are evidence, each with the name of a file. They stand between the lines
/// `::soter MARK evidence NAME::` and `::soter MARK evidence is all::`.
pub(super) fn evidence<'o>(output: &'o str, mark: &Mark) -> Vec<(&'o str, &'o str)> {
    let begins = format!("\n::soter {} evidence ", mark.0);
    let ends = format!("{begins}is all::\n");
    let is_file = |name: &str| {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_letter)
    };
    let mut found = Vec::new();
    let mut rest = output;
    while let Some((_, behind)) = rest.split_once(&begins) {
        rest = behind;
        if let Some((name, behind)) = behind.split_once("::\n")
            && is_file(name)
            && let Some((text, behind)) = behind.split_once(&ends)
        {
            found.push((name, text));
            rest = behind;
        }
    }
    found
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use soter_world::Secret;
    use soter_world::exec::{Command, Input, Status};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn mark() -> Mark {
        Mark("0123abcd".to_owned())
    }

    fn run(input: String) -> (Status, String) {
        let bash = Command::new("bash").arg("-s").stdin(Input::Bytes(input.into_bytes()));
        let finished = bash.run(LONG).unwrap();
        (finished.status, String::from_utf8(finished.stdout).unwrap())
    }

    fn whole(script: &str) -> String {
        let variables = Variables {
            plain: BTreeMap::from([("PLAIN".to_owned(), "it's $HOME \"here\"\nline 2".to_owned())]),
            hidden: BTreeMap::from([("TOKEN".to_owned(), Secret::new("hunter2".to_owned()))]),
        };
        input(script, &variables, &["/lab/bin".to_owned()], &mark())
    }

    #[test]
    fn a_script_runs_as_written_with_its_variables() {
        let script = "echo \"$PLAIN|$TOKEN\"\ncat\ncase $PATH in /lab/bin:*) echo path;; esac\n\
                      echo moment=12 >> \"$SOTER_OUTPUT\"\nexit 4 # no line break behind it";
        let (status, output) = run(whole(script));
        assert_eq!(status, Status::Exited(4));
        assert_eq!(shown(&output, &mark()), "it's $HOME \"here\"\nline 2|hunter2\npath\n");
        let Word::Ended { code: 4, results } = word(&output, &output, &mark()) else {
            panic!("{output}");
        };
        assert_eq!(results.trim(), "moment=12");
    }

    #[test]
    fn strict_mode_holds_and_what_ends_it_is_its_code() {
        for (script, code) in
            [("false; echo no", 1), ("false | true", 1), ("$NOBODY", 1), ("(exit 9)", 9)]
        {
            let (_, output) = run(whole(script));
            assert!(!shown(&output, &mark()).contains("no\n"), "{output}");
            assert!(
                matches!(word(&output, &output, &mark()), Word::Ended { code: c, .. } if c == code),
                "{script}: {output}"
            );
        }
    }

    #[test]
    fn a_script_that_lost_its_end_does_nothing_wherever_it_was_cut() {
        let place = tempfile::tempdir().unwrap();
        let trace = place.path().join("trace");
        let script = format!("echo run >> {}\ncat <<X\ntext\nX\n", trace.display());
        let whole = whole(&script);
        // The last byte alone may be missing: the line break behind the closing brace.
        let cuts: Vec<usize> =
            (0..whole.len() - 1).filter(|cut| whole.is_char_boundary(*cut)).collect();
        for cut in cuts.iter().step_by(7).chain(cuts.last()) {
            let (_, output) = run(whole.get(..*cut).unwrap().to_owned());
            assert!(!trace.exists(), "cut at {cut} of {}: {output}", whole.len());
            assert_eq!(word(&output, &output, &mark()), Word::Nothing, "cut at {cut}");
        }
        run(whole);
        assert!(trace.exists());
    }

    #[test]
    fn a_connection_that_breaks_is_told_from_one_that_never_was() {
        let begun = "Warning: new key\n::soter 0123abcd begun::\nwords\n";
        assert_eq!(word(begun, begun, &mark()), Word::Begun);
        assert_eq!(shown(begun, &mark()), "Warning: new key\nwords\n");
        let refused = "ssh: connect to host a port 22: Connection refused\n";
        assert_eq!(word(refused, refused, &mark()), Word::Nothing);
        let foreign = "::soter 9999 ended 0::\n\n::soter 9999 is all::\n";
        assert_eq!(word(foreign, foreign, &mark()), Word::Nothing);
        let cut = format!("{begun}\n::soter 0123abcd ended 0::\na=");
        assert_eq!(word(&cut, &cut, &mark()), Word::Begun);
    }

    #[test]
    fn evidence_goes_back_between_marks_and_nowhere_else() {
        let mark = mark();
        let whole = "begun\n::soter 0123abcd evidence plan.txt::\na\n::soter 9999 evidence is all::\nb\n\
                     \n::soter 0123abcd evidence is all::\nwords\n\n::soter 0123abcd evidence ../x::\ny\n\
                     \n::soter 0123abcd evidence is all::\n\n::soter 0123abcd evidence cut.txt::\nhalf";
        let text = "a\n::soter 9999 evidence is all::\nb\n";
        assert_eq!(evidence(whole, &mark), [("plan.txt", text)]);
        assert_eq!(evidence("nothing\n", &mark), []);
        let shown = shown(whole, &mark);
        assert!(shown.contains("words\n") && !shown.contains("0123abcd"), "{shown}");
    }

    #[test]
    fn a_host_is_bound_or_reached_by_ssh() {
        let ssh = command("node-1", None).unwrap().join(" ");
        assert!(
            ssh.starts_with("ssh -T -o BatchMode=yes") && ssh.ends_with("-- node-1 exec bash -s")
        );
        let bound = vec!["env".to_owned(), "ROOT=/lab".to_owned()];
        assert_eq!(command("-x", Some(&bound)).unwrap().join(" "), "env ROOT=/lab bash -s");
        for name in ["", "-oProxyCommand=x", "a b", "a\nb"] {
            assert!(command(name, None).is_err(), "{name}");
        }
    }
}
