//! Commands that other commands run: `bash -c "…"`, `ssh host …`, `kubectl exec pod -- …`, a
//! here-document for a shell; and SQL that is given to a client.

use super::options::{ShellOptions, is_shell};
use super::reader::Reader;
use super::script::{Command, Nested, Position, RedirectionKind, Statement, Via, Word};
use super::source::Source;

/// A script or a command found in the arguments of another one.
enum Inner {
    /// A text that a shell reads.
    Script(Source, ShellOptions, Via),
    /// Words that are a command as they stand.
    Words(Vec<Word>, Via),
    /// SQL for a database.
    Sql(Vec<Word>),
}

/// Reads what the arguments of a command make it run.
pub(super) fn read_arguments(reader: &mut Reader<'_>, index: usize) {
    let Some(command) = reader.out.commands.get(index) else { return };
    for inner in inner(command) {
        run(reader, index, inner);
    }
    let Some(command) = reader.out.commands.get(index) else { return };
    let has_string = command.redirections.iter().any(|redirection| {
        redirection.kind == RedirectionKind::HereDocument && redirection.document.is_some()
    });
    if has_string {
        read_document(reader, index);
    }
}

/// Reads the here-document of a command that takes a script or SQL from its input.
pub(super) fn read_document(reader: &mut Reader<'_>, index: usize) {
    let Some(command) = reader.out.commands.get(index) else { return };
    let Some(body) = command.here_document().map(|document| document.body.clone()) else { return };
    let taker = last_inner(reader, index).unwrap_or(command);
    let options = ShellOptions::of_invocation(taker.words.iter().map(|word| word.text.as_str()));
    let inner = match taker.program() {
        Some(program) if is_shell(program) && !has_script(taker) => {
            let via = taker.nested.map_or(Via::Shell, |nested| nested.via);
            Inner::Script(Source::of_word(&body), options, via)
        }
        Some("ssh") => Inner::Script(Source::of_word(&body), options, Via::Remote),
        Some(program) if is_sql_client(program) => Inner::Sql(vec![body]),
        _ => return,
    };
    run(reader, index, inner);
}

/// The command that finally reads the input: `bash` of `sudo ssh host bash <<END`.
fn last_inner<'a>(reader: &'a Reader<'_>, index: usize) -> Option<&'a Command> {
    let behind = reader.out.commands.get(index + 1..)?;
    behind.iter().rev().find(|inner| {
        inner.nested.is_some_and(|nested| nested.outer >= index) && inner.position.step == 0
    })
}

/// `bash file`, `bash -c …`: the input is not the script.
fn has_script(command: &Command) -> bool {
    let mut arguments = command.arguments().iter().map(|word| word.text.as_str());
    arguments.any(|word| {
        !word.starts_with(['-', '+']) && !matches!(word, "pipefail" | "errexit" | "nounset")
            || word.starts_with('-') && !word.starts_with("--") && word.contains('c')
    }) && !command.arguments().iter().any(|word| word.text == "-s")
}

/// Scripts inside of scripts inside of scripts: people write three. Each level costs another look at
/// the innermost one.
const LEVELS_MAX: usize = 6;

fn levels(reader: &Reader<'_>, index: usize) -> usize {
    let outer_of = |at: &usize| reader.out.commands.get(*at)?.nested.map(|nested| nested.outer);
    std::iter::successors(Some(index), outer_of).take(LEVELS_MAX + 1).count()
}

/// Whether the words and the here-document of a command are what it will be given.
fn is_literal(reader: &Reader<'_>, index: usize) -> bool {
    reader.out.commands.get(index).is_some_and(|command| {
        let document = command.here_document().is_none_or(|document| document.body.is_literal);
        document && command.words.iter().all(|word| word.is_literal)
    })
}

fn run(reader: &mut Reader<'_>, outer: usize, inner: Inner) {
    if levels(reader, outer) > LEVELS_MAX {
        return;
    }
    match inner {
        Inner::Script(source, options, via) => {
            let nested = Some(Nested { outer, via });
            let noted = reader.out.unread.len();
            let is_whole = is_literal(reader, outer);
            reader.read_inner(source, options, nested, None);
            if !is_whole {
                // What stands in the place of `$X` when it runs may well make it right.
                reader.out.unread.truncate(noted);
            }
        }
        Inner::Words(words, via) => {
            let (Some(first), Some(last)) = (words.first(), words.last()) else { return };
            if reader.depth + 1 >= super::reader::DEPTH_MAX {
                return;
            }
            reader.out.lists_count += 1;
            let position =
                Position { list: reader.out.lists_count, pipe_length: 1, ..Position::default() };
            let range = first.range.start..last.range.end.max(first.range.start);
            let nested = Some(Nested { outer, via });
            let command = Command { words, range, position, nested, ..Command::default() };
            let (options, depth) = (reader.options, reader.depth);
            reader.depth += 1;
            reader.write_down(command, Vec::new());
            (reader.options, reader.depth) = (options, depth);
        }
        Inner::Sql(words) => {
            for word in words {
                reader.out.statements.push(Statement {
                    command: outer,
                    text: word.text,
                    range: word.range,
                });
            }
        }
    }
}

fn inner(command: &Command) -> Vec<Inner> {
    let arguments = command.arguments();
    let Some(program) = command.program() else { return Vec::new() };
    match program {
        program if is_shell(program) => script_option(arguments)
            .map(|script| shell_script(command, script))
            .into_iter()
            .collect(),
        "eval" if !arguments.is_empty() => {
            vec![Inner::Script(Source::of_words(arguments), command.options, Via::Shell)]
        }
        "su" | "runuser" => match value_of(arguments, &["-c", "--command"]) {
            Some(script) => vec![plain_script(script, Via::Shell)],
            None => after(arguments, "--")
                .map(|words| Inner::Words(words, Via::Shell))
                .into_iter()
                .collect(),
        },
        "ssh" => remote(arguments).into_iter().collect(),
        "kubectl" | "oc" | "k3s" | "microk8s" => {
            let runs =
                arguments.iter().any(|word| matches!(word.text.as_str(), "exec" | "run" | "debug"));
            let words = after(arguments, "--").filter(|_| runs);
            words.map(|words| Inner::Words(words, Via::Container)).into_iter().collect()
        }
        "docker" | "podman" | "nerdctl" | "crictl" | "docker-compose" => in_container(arguments)
            .map(|words| Inner::Words(words, Via::Container))
            .into_iter()
            .collect(),
        "nsenter" => after(arguments, "--")
            .map(|words| Inner::Words(words, Via::Container))
            .into_iter()
            .collect(),
        "find" => each(arguments),
        program if is_sql_client(program) => {
            let found = values_of(arguments, &["-c", "--command", "-e", "--execute"]);
            if found.is_empty() { Vec::new() } else { vec![Inner::Sql(found)] }
        }
        _ => Vec::new(),
    }
}

pub(super) fn is_sql_client(program: &str) -> bool {
    matches!(program, "psql" | "mysql" | "mariadb" | "cockroach" | "sqlite3" | "clickhouse-client")
}

fn shell_script(command: &Command, script: &Word) -> Inner {
    let words = command.words.iter().map(|word| word.text.as_str());
    Inner::Script(Source::of_word(script), ShellOptions::of_invocation(words), Via::Shell)
}

fn plain_script(script: &Word, via: Via) -> Inner {
    Inner::Script(Source::of_word(script), ShellOptions::default(), via)
}

/// The script of `-c`, `-ec`, `-euo pipefail -c`.
fn script_option(arguments: &[Word]) -> Option<&Word> {
    let is_option = |word: &Word| {
        word.text.starts_with('-') && !word.text.starts_with("--") && word.text.contains('c')
    };
    let at = arguments.iter().position(is_option)?;
    let takes_name = arguments.get(at)?.text.contains('o');
    arguments.get(at + if takes_name { 2 } else { 1 })
}

/// The value of the first of these options.
fn value_of<'a>(arguments: &'a [Word], names: &[&str]) -> Option<&'a Word> {
    let at = arguments.iter().position(|word| names.contains(&word.text.as_str()))?;
    arguments.get(at + 1)
}

/// The values of these options, `-c SQL`, `--command=SQL`.
fn values_of(arguments: &[Word], names: &[&str]) -> Vec<Word> {
    let mut found = Vec::new();
    for (at, word) in arguments.iter().enumerate() {
        let text = word.text.as_str();
        let glued = names.iter().find_map(|name| {
            let rest = text.strip_prefix(name)?;
            let skipped = if name.starts_with("--") { rest.strip_prefix('=')? } else { rest };
            Some(text.len() - skipped.len()).filter(|_| !skipped.is_empty())
        });
        // `-tAc SQL`: the last of several letters takes the value.
        let is_group = text.len() > 2
            && text.starts_with('-')
            && text.chars().skip(1).all(|c| c.is_ascii_alphabetic())
            && names.iter().any(|name| {
                name.len() == 2 && name.chars().next_back() == text.chars().next_back()
            });
        if names.contains(&text) || is_group {
            found.extend(arguments.get(at + 1).cloned());
        } else if let Some(start) = glued
            && let Some((sql, range)) = word.part(start..text.len())
        {
            found.push(Word { text: sql.to_owned(), range, ..word.clone() });
        }
    }
    found
}

fn after(arguments: &[Word], sign: &str) -> Option<Vec<Word>> {
    let at = arguments.iter().position(|word| word.text == sign)?;
    arguments.get(at + 1..).filter(|rest| !rest.is_empty()).map(<[Word]>::to_vec)
}

/// What `ssh` runs at the other end; nothing if a person is to type there.
fn remote(arguments: &[Word]) -> Option<Inner> {
    let host = ssh_host(arguments)?;
    let rest = arguments.get(host + 1..).filter(|rest| !rest.is_empty())?;
    let source = Source::of_words(rest);
    Some(Inner::Script(source, ShellOptions::default(), Via::Remote))
}

/// The index of the host among the arguments of `ssh`.
pub(crate) fn ssh_host(arguments: &[Word]) -> Option<usize> {
    const VALUES: &str = "bcDEeFIiJLlmOopQRSWwBP";
    let mut at = 0;
    while let Some(word) = arguments.get(at) {
        match word.text.strip_prefix('-') {
            Some(letters) if letters.ends_with(|c: char| VALUES.contains(c)) => {
                // `-i key`, but `-p22` has its value.
                let first = letters.find(|c: char| VALUES.contains(c));
                at += if first.is_some_and(|first| first + 1 == letters.len()) { 2 } else { 1 };
            }
            Some(_) => at += 1,
            None => return Some(at),
        }
    }
    None
}

/// `docker exec -it name command…`, `docker compose exec service command…`. What `docker run` has
/// behind the image is taken for a command only if it starts a shell.
fn in_container(arguments: &[Word]) -> Option<Vec<Word>> {
    const VALUES: &[&str] =
        &["-u", "-e", "-w", "-f", "-p", "--user", "--env", "--workdir", "--env-file", "--index"];
    let verb = arguments.iter().position(|word| matches!(word.text.as_str(), "exec" | "run"))?;
    if arguments.get(verb)?.text == "run" {
        let shell = arguments
            .iter()
            .skip(verb + 2)
            .position(|word| is_shell(super::script::base_name(&word.text)) && word.is_literal)?;
        return Some(arguments.get(verb + 2 + shell..)?.to_vec());
    }
    let mut at = verb + 1;
    while let Some(word) = arguments.get(at).filter(|word| word.text.starts_with('-')) {
        at += if VALUES.contains(&word.text.as_str()) { 2 } else { 1 };
    }
    arguments.get(at + 1..).filter(|rest| !rest.is_empty()).map(<[Word]>::to_vec)
}

/// `find … -exec command {} ;`
fn each(arguments: &[Word]) -> Vec<Inner> {
    let starts = arguments
        .iter()
        .enumerate()
        .filter(|(_, word)| matches!(word.text.as_str(), "-exec" | "-execdir" | "-ok" | "-okdir"));
    starts
        .filter_map(|(at, _)| {
            let rest = arguments.get(at + 1..)?;
            let len = rest.iter().position(|word| matches!(word.text.as_str(), ";" | "+"))?;
            Some(Inner::Words(rest.get(..len)?.to_vec(), Via::Each))
        })
        .collect()
}
