//! The steps of a recovery: numbered items, and code with comments that count.
//!
//! The rule it keeps: a piece of code between fences is one session of a shell; where its comments
//! count (`# 1. …`, `# 2. …`) each begins a step. Comments without commands are done by a person.

use super::Reading;
use crate::check::SnippetRole;
use crate::language::{At, Probe, Script, Sql, Step};
use crate::markdown::measure::Unit;
use crate::markdown::measure::spans;
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Code, Item, List, script};

/// Longer first lines of an item are cut for the title.
const TITLE_BYTES_MAX: usize = 160;

/// Languages that a shell reads.
const SHELLS: &[&str] =
    &["bash", "sh", "shell", "zsh", "console", "shell-session", "sh-session", "terminal", "cmd"];

/// Programs that lines of a shell begin with, where no language is said.
const PROGRAMS: &[&str] = &[
    "ansible",
    "ansible-playbook",
    "apt",
    "apt-get",
    "aws",
    "az",
    "bash",
    "cat",
    "cd",
    "chmod",
    "cp",
    "curl",
    "dig",
    "docker",
    "docker-compose",
    "echo",
    "etcdctl",
    "export",
    "for",
    "gcloud",
    "git",
    "gsutil",
    "helm",
    "if",
    "journalctl",
    "k3s",
    "kubectl",
    "ls",
    "mc",
    "mkdir",
    "mongorestore",
    "mongodump",
    "mv",
    "mysql",
    "mysqldump",
    "nats",
    "openssl",
    "pg_basebackup",
    "pg_ctl",
    "pg_dump",
    "pg_restore",
    "ping",
    "psql",
    "rclone",
    "redis-cli",
    "restic",
    "rm",
    "rsync",
    "scp",
    "ssh",
    "sudo",
    "systemctl",
    "tar",
    "terraform",
    "vault",
    "velero",
    "wget",
    "while",
    "yum",
];

/// Whether code is for a shell.
pub(super) fn is_shell(code: &Code) -> bool {
    if SHELLS.contains(&code.language.as_str()) {
        return true;
    }
    let first = code
        .text
        .as_str()
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("//"));
    let first = first.unwrap_or("").trim_start_matches("$ ");
    let program = first.split_whitespace().next().unwrap_or("");
    code.language.is_empty()
        && (PROGRAMS.contains(&program) || program.starts_with("./") || first.starts_with("#!"))
}

/// The steps that the blocks of a phase say, in order.
pub(super) fn of_blocks(heading: &Text, blocks: &[Block], reading: &mut Reading) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut above: Option<&Text> = None;
    for block in blocks {
        match block {
            Block::Paragraph(text) => {
                above = Some(text);
                continue;
            }
            Block::Code(code) => of_code(heading, above, code, &mut steps, reading),
            Block::List(list) => of_list(heading, list, &mut steps, reading),
            Block::Table(table) => of_table(table, &mut steps, reading),
            Block::Foreign(..) => {}
        }
        if let Some(text) = above.take() {
            reading.understand(text.origin());
        }
    }
    steps
}

/// A table with a step in each row.
fn of_table(table: &crate::markdown::tree::Table, steps: &mut Vec<Step>, reading: &mut Reading) {
    use crate::markdown::vocabulary::Word;
    let columns = super::table::Columns::of(table);
    let timed = columns.has(Word::Duration) && columns.has_any(&[Word::Step, Word::Phase]);
    let words = [Word::Action, Word::Procedure, Word::About, Word::Command];
    // `Phase | What | Minutes`
    let what = columns.first(&words).or_else(|| columns.position(Word::Store).filter(|_| timed));
    let Some(what) = what else { return };
    if !columns.has_any(&[Word::Step, Word::Number, Word::Phase]) {
        return;
    }
    reading.understand(table.origin);
    for row in &table.rows {
        if row.iter().any(|cell| is_total(cell.as_str())) {
            let mut times = row.iter().enumerate().filter_map(|(at, cell)| {
                let unit = table.columns.get(at).and_then(|name| Unit::of_column(name.as_str()));
                crate::markdown::measure::target(cell, unit)
            });
            reading.total = times.next();
            continue;
        }
        let Some(text) = row.get(what).filter(|text| !text.is_blank()) else { continue };
        let mut step = Step { title: Some(title_of(text)), ..Step::default() };
        match columns.cell(row, Word::Command) {
            Some(command) => step.run = Some(script(command)),
            None => step.manual = Some(script(text)),
        }
        step.budget = [Word::Duration, Word::Time].iter().find_map(|word| {
            let cell = columns.cell(row, *word)?;
            crate::markdown::measure::target(cell, columns.unit(*word))
        });
        if let Some(owner) =
            columns.cell(row, Word::Owner).or_else(|| columns.cell(row, Word::Role))
            && !crate::markdown::vocabulary::is_nothing(owner.as_str())
        {
            step.owner = Some(owner.at(super::header::person(owner, reading)));
        }
        steps.push(step);
    }
}

/// The first cell of a row that adds up those above it.
fn is_total(cell: &str) -> bool {
    let words = crate::markdown::vocabulary::plain_words(cell);
    matches!(words.as_str(), "total" | "sum" | "in total" | "altogether" | "summe" | "gesamt")
}

fn of_list(heading: &Text, list: &List, steps: &mut Vec<Step>, reading: &mut Reading) {
    reading.understand(list.origin());
    for item in &list.items {
        of_item(heading, item, steps, reading);
    }
}

/// An item: its words are the title, its code what is run.
fn of_item(heading: &Text, item: &Item, steps: &mut Vec<Step>, reading: &mut Reading) {
    let title = item_title(&item.text);
    let condition = condition(&item.text);
    let before = steps.len();
    if let Some((wait, what)) = wait(&item.text) {
        let title = Some(what.value());
        steps.push(Step { title, wait: Some(wait), ..Step::default() });
    }
    let mut above: Option<&Text> = None;
    let own = steps.len();
    for block in &item.blocks {
        match block {
            Block::Code(code) => {
                let label = if steps.len() == own { Some(&title) } else { above };
                of_code(heading, label, code, steps, reading);
                above = None;
            }
            Block::List(list) if list.items.iter().any(has_code) => {
                of_list(heading, list, steps, reading);
            }
            Block::Paragraph(text) => above = Some(text),
            _ => {}
        }
    }
    let is_only_wait = steps.len() > before && is_wait_alone(&item.text);
    if steps.len() == own && !is_only_wait {
        let manual = Some(manual_of(item));
        let budget = budget_in_brackets(&item.text);
        steps.push(Step { title: Some(title_of(&title)), manual, budget, ..Step::default() });
    } else if let Some(step) = steps.get_mut(own) {
        step.budget = budget_in_brackets(&item.text);
    }
    if let Some(condition) = condition {
        for step in steps.iter_mut().skip(before) {
            step.only_if = Some(Probe { manual: Some(condition.value()), ..Probe::default() });
        }
    }
}

fn has_code(item: &Item) -> bool {
    item.blocks.iter().any(|block| matches!(block, Block::Code(_)))
}

/// The words of an item with what stands below it.
fn manual_of(item: &Item) -> Script {
    let mut text = item.text.clone();
    for below in item.items() {
        let end = below.text.origin().range().start;
        text.push("\n", end..end);
        text.push(below.text.as_str(), below.text.origin().range());
    }
    script(&text)
}

/// The bold beginning of an item, or its first line; behind a condition, what is done.
fn item_title(text: &Text) -> Text {
    let strong = text.strong_start();
    let lead = condition(text).and_then(|condition| {
        text.as_str().find(condition.as_str()).map(|at| at + condition.len())
    });
    let lead = lead.unwrap_or(0);
    let rest = text.behind(lead).trim_matches(|c| c.is_whitespace() || matches!(c, ',' | ':'));
    let rest = rest.lines().into_iter().next().filter(|_| lead > 0);
    if let Some(rest) = rest.filter(|rest| !rest.is_blank()) {
        return rest.trim_matches(|c| c.is_whitespace() || c == ':');
    }
    let first = if strong > 0 {
        text.slice(0..strong)
    } else {
        text.lines().into_iter().next().unwrap_or_else(|| text.clone())
    };
    first.trim_matches(|c| c.is_whitespace() || matches!(c, ':' | '*'))
}

fn title_of(text: &Text) -> At<String> {
    let line = text.lines().into_iter().next().unwrap_or_else(|| text.clone());
    let written = line.as_str();
    let mut end = written.len().min(TITLE_BYTES_MAX);
    while !written.is_char_boundary(end) {
        end -= 1;
    }
    line.slice(0..end).trim_matches(|c| c.is_whitespace() || c == ':').value()
}

/// `Wait 5 minutes`, `(wait up to 5 minutes)`: how long, and the words.
fn wait(text: &Text) -> Option<(At<std::time::Duration>, Text)> {
    let lower = text.as_str().to_ascii_lowercase();
    let start = lower.find("wait ").filter(|at| {
        lower.get(..*at).is_some_and(|before| !before.ends_with(char::is_alphanumeric))
    })?;
    let span = spans(text.as_str().get(start..)?).into_iter().next()?;
    // `wait for the restore (20 min)` waits for something else.
    let between = text.as_str().get(start + "wait ".len()..start + span.at.start)?;
    let is_wait = between.split_whitespace().all(|word| {
        matches!(
            word.to_ascii_lowercase().as_str(),
            "for" | "up" | "to" | "at" | "least" | "about" | "another" | "~"
        )
    });
    let at = start + span.at.start..start + span.at.end;
    is_wait.then(|| (text.slice(at.clone()).at(span.high), text.slice(start..at.end)))
}

/// Whether an item says nothing but to wait.
fn is_wait_alone(text: &Text) -> bool {
    wait(text).is_some_and(|(_, what)| text.as_str().trim().len() <= what.len() + 2)
}

/// `If node unrecoverable, …`: under which condition the item is done.
fn condition(text: &Text) -> Option<Text> {
    let written = text.as_str();
    let lower = written.to_ascii_lowercase();
    let start = ["if ", "falls ", "wenn "].iter().find(|lead| lower.starts_with(**lead))?.len();
    let end = written.find([',', ':', '\n'])?;
    (end > start && end - start < TITLE_BYTES_MAX).then(|| text.slice(start..end).trim())
}

/// `Restore the database (20 min)`: what the brackets at the end say it takes.
fn budget_in_brackets(text: &Text) -> Option<At<std::time::Duration>> {
    let line = text.lines().into_iter().next()?;
    let written = line.as_str().trim_end_matches([':', '.']);
    let inner = written.strip_suffix(')')?;
    let start = inner.rfind('(')? + 1;
    let words = inner.get(start..)?;
    let span = super::super::measure::only_span(words)?;
    let rest = format!("{}{}", words.get(..span.at.start)?, words.get(span.at.end..)?);
    let plain = rest.split_whitespace().all(|word| {
        matches!(
            word.to_ascii_lowercase().trim_matches(['~', ',', '.']),
            "" | "max" | "est" | "approx" | "about" | "up" | "to" | "first" | "<"
        )
    });
    plain.then(|| line.slice(start + span.at.start..start + span.at.end).at(span.high))
}

/// Code of a step: run, looked up, or done by hand, as its language says.
fn of_code(
    heading: &Text,
    above: Option<&Text>,
    code: &Code,
    steps: &mut Vec<Step>,
    reading: &mut Reading,
) {
    let title = above.filter(|text| text.len() <= TITLE_BYTES_MAX);
    let named = title.or(Some(heading)).filter(|title| !title.is_blank()).map(title_of);
    if is_shell(code) {
        reading.understand(code.origin);
        let parts = counted(&code.text);
        if parts.is_empty() {
            steps.extend(step(named, &code.text));
        }
        for (title, body) in parts {
            steps.extend(step(Some(title_of(&title)), &body));
        }
    } else if matches!(code.language.as_str(), "sql" | "postgresql" | "plpgsql" | "mysql") {
        reading.understand(code.origin);
        let sql = Sql { query: Some(code.script()), ..Sql::default() };
        steps.push(Step { title: named, sql: Some(sql), ..Step::default() });
    } else if matches!(
        code.language.as_str(),
        "powershell" | "ps1" | "python" | "py" | "javascript" | "ruby"
    ) {
        reading.understand(code.origin);
        steps.push(Step { title: named, manual: Some(code.script()), ..Step::default() });
    } else {
        let role = match code.language.as_str() {
            "" | "text" | "output" => SnippetRole::Illustration,
            "markdown" | "md" => SnippetRole::Template,
            _ => SnippetRole::Configuration,
        };
        reading.keep_code(heading, code, role);
    }
}

/// One step: commands are run, comments alone are done by a person.
fn step(title: Option<At<String>>, text: &Text) -> Option<Step> {
    let text = text.trim_matches(|c| matches!(c, '\n' | '\r'));
    let mut lines = text.as_str().lines().map(str::trim).filter(|line| !line.is_empty());
    let has_commands = lines.clone().any(|line| !line.starts_with('#') || line.starts_with("#!"));
    if has_commands {
        let run = Some(script(&text));
        return Some(Step { title, run, ..Step::default() });
    }
    lines.next()?;
    Some(Step { title, manual: Some(script(&uncommented(&text))), ..Step::default() })
}

/// The words of comments.
fn uncommented(text: &Text) -> Text {
    let mut words = Text::new(text.file());
    for line in text.lines() {
        let line = line.trim_matches(|c| c == '#' || c.is_whitespace());
        let origin = line.origin().range();
        if words.len() > 0 {
            words.push("\n", origin.start..origin.start);
        }
        words.push(line.as_str(), origin);
    }
    words
}

/// The parts of a script whose comments count from 1 on, with the words behind each number. What
/// stands before the first belongs to it. None if its comments do not count.
fn counted(text: &Text) -> Vec<(Text, Text)> {
    let written = text.as_str();
    let mut marks: Vec<(usize, Text)> = Vec::new();
    let mut here_document: Option<String> = None;
    let mut at = 0;
    for line in written.split_inclusive('\n') {
        let start = at;
        at += line.len();
        if let Some(end) = &here_document {
            if line.trim().trim_end_matches(['"', '\'']) == end {
                here_document = None;
            }
            continue;
        }
        here_document = here_document_end(line);
        if let Some(offset) = mark(line, marks.len() + 1) {
            let end = start + line.trim_end().len();
            marks.push((start, text.slice(start + offset..end)));
        }
    }
    let ends: Vec<usize> = marks.iter().skip(1).map(|(at, _)| *at).chain([written.len()]).collect();
    let parts = marks.into_iter().zip(ends).enumerate();
    parts
        .map(|(index, ((start, title), end))| {
            (title.trim(), text.slice(if index == 0 { 0 } else { start }..end))
        })
        .collect()
}

/// `# 3. Title`, `# Step 3: Title`, `### 3) Title`: where the title begins, if the number is this.
fn mark(line: &str, number: usize) -> Option<usize> {
    let rest = line.strip_prefix('#')?.trim_start_matches('#').trim_start();
    let lower = rest.to_ascii_lowercase();
    let rest = if lower.starts_with("step ") { rest.get("step ".len()..)? } else { rest };
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    if rest.get(..digits)?.parse::<usize>().ok()? != number {
        return None;
    }
    let behind = rest.get(digits..)?;
    let title = behind.trim_start_matches(['.', ')', ':', '-', ' ', '–']);
    (behind.starts_with(['.', ')', ':', ' ', '-']) && !title.trim().is_empty())
        .then(|| line.len() - title.len())
}

/// The word that ends a here-document that begins in this line.
fn here_document_end(line: &str) -> Option<String> {
    let (_, behind) = line.split_once("<<")?;
    if behind.starts_with('<') {
        return None;
    }
    let word = behind.trim_start_matches('-').trim_start().trim_start_matches(['"', '\'', '\\']);
    let end = word.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(word.len());
    word.get(..end).filter(|word| !word.is_empty()).map(str::to_owned)
}
