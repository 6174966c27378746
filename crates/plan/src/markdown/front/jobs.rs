//! Jobs and settings that make copies: manifests of Kubernetes, lines of cron, settings of a server.
//!
//! What a document describes in words and what it configures are one copy if they run at the same
//! time. Then what is configured counts, since that is what runs; the words are kept as a fact.

use super::{Reading, backups, is_about, sections};
use crate::check::{Described, SnippetRole};
use crate::findings::Raw;
use crate::language::{At, Copy, Every, Method, Origin, Script, script_lines};
use crate::markdown::kinds;
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Code, Document, Section, script};
use crate::markdown::vocabulary::Topic;
use crate::tree::{self, Node, Value};

pub(super) fn read(document: &Document, reading: &mut Reading) {
    for (at, section) in sections(document) {
        if is_about(document, at, &[Topic::AfterIncident, Topic::StatusPage]) {
            continue;
        }
        for block in &section.blocks {
            let Block::Code(code) = block else { continue };
            match code.language.as_str() {
                "yaml" | "yml" => manifest(code, section, reading),
                "ini" | "conf" | "properties" | "toml" | "" => settings(code, section, reading),
                "cron" | "crontab" => cron_lines(code, section, reading),
                "bash" | "sh" | "shell" if is_about(document, at, &[Topic::Backup]) => {
                    let recovers = is_about(document, at, &[Topic::Recovery, Topic::Scenarios]);
                    if !recovers {
                        shell(code, section, reading);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What a job says.
struct Job {
    /// What it is called, and where.
    name: Text,
    schedule: Option<At<String>>,
    run: Option<Script>,
    settings: Option<Script>,
    environment: Vec<At<String>>,
    method: At<Method>,
}

/// The value of a key.
fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Mapping(entries) => {
            entries.iter().find(|(own, _)| own.text == key).map(|(_, value)| value)
        }
        _ => None,
    }
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::Sequence(items)) => items,
        _ => &[],
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// A CronJob in a block of YAML: its schedule, what it runs, what it is told.
fn manifest(code: &Code, section: &Section, reading: &mut Reading) {
    let written = code.text.as_str();
    let mut findings: Vec<Raw> = Vec::new();
    let root = tree::read(written, &mut findings).ok();
    let job = root
        .as_ref()
        .filter(|root| get(root, "kind").and_then(text).is_some_and(|kind| kind == "CronJob"));
    let Some(root) = job else {
        return reading.keep_code(&section.title, code, SnippetRole::Configuration);
    };
    let place = |node: &Node| code.text.slice(node.span.clone());
    let spec = get(root, "spec");
    let schedule = spec.and_then(|spec| get(spec, "schedule"));
    let pod = spec
        .and_then(|spec| get(spec, "jobTemplate"))
        .and_then(|job| get(job, "spec"))
        .and_then(|job| get(job, "template"))
        .and_then(|template| get(template, "spec"));
    let containers = items(pod.and_then(|pod| get(pod, "containers")));
    let name = get(root, "metadata").and_then(|metadata| get(metadata, "name"));
    let mut environment = Vec::new();
    let mut run = None;
    for container in containers {
        for variable in items(get(container, "env")) {
            let name = get(variable, "name");
            environment.extend(name.and_then(|name| Some(place(name).at(text(name)?.to_owned()))));
        }
        let mut words =
            items(get(container, "command")).iter().chain(items(get(container, "args")));
        let script = words.rfind(|word| text(word).is_some_and(|text| text.contains(' ')));
        run = run.or(script);
    }
    let script = run.and_then(|node| {
        let in_fence = script_lines(node, written)?;
        let starts: Vec<usize> = in_fence.1.iter().map(|at| code.text.source_of(*at)).collect();
        Some(Script::new(in_fence.0, &starts, place(node).origin()))
    });
    let named = name.map_or_else(|| section.title.clone(), &place);
    let says = script.as_ref().map_or("", |run| run.text.as_str());
    let says = format!("{} {says} {}", named.as_str(), product_of(says));
    let method = kinds::method(&says).unwrap_or(Method::Copy);
    let job = Job {
        method: script.as_ref().map_or(named.at(method), |run| At::new(method, run.origin())),
        schedule: schedule.and_then(|node| Some(place(node).at(text(node)?.to_owned()))),
        run: script,
        settings: None,
        environment,
        name: named,
    };
    let makes_copies = kinds::store_kind(&says).is_some() && kinds::method(&says).is_some();
    if makes_copies && job.run.is_some() {
        reading.understand(code.origin);
        make(job, &section.title, reading);
    } else {
        reading.keep_code(&section.title, code, SnippetRole::Configuration);
    }
}

/// Settings that ship a log: `archive_command` of PostgreSQL.
fn settings(code: &Code, section: &Section, reading: &mut Reading) {
    let written = code.text.as_str();
    let setting = |name: &str| {
        written.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            let at = value.as_ptr() as usize - written.as_ptr() as usize;
            let value = value.split('#').next().unwrap_or("").trim_end();
            let lead = value.len() - value.trim_start().len();
            (key.trim() == name).then(|| code.text.slice(at + lead..at + value.len()))
        })
    };
    let Some(command) = setting("archive_command") else {
        if !code.language.is_empty() {
            reading.keep_code(&section.title, code, SnippetRole::Configuration);
        }
        return;
    };
    let command = command.trim_matches(|c| matches!(c, '\'' | '"'));
    let command = if command.is_blank() { return } else { command };
    reading.understand(code.origin);
    let every = setting("archive_timeout").and_then(|value| {
        let digits = value.as_str().trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
        let length = match digits.parse::<u64>() {
            Ok(seconds) => std::time::Duration::from_secs(seconds),
            Err(_) => crate::units::parse_duration(&digits).ok()?,
        };
        (!length.is_zero()).then(|| value.at(Every { months: 0, length }))
    });
    let mut job = Job {
        method: command.at(Method::Log),
        schedule: None,
        run: Some(script(&command)),
        settings: Some(code.script()),
        environment: Vec::new(),
        name: Text::plain(code.text.file(), "postgresql", 0),
    };
    job.name = {
        let mut name = Text::new(code.text.file());
        name.push("PostgreSQL", command.origin().range());
        name
    };
    let name = make(job, &section.title, reading);
    let store = reading.plan.stores.get_mut(&name);
    if let Some(copy) =
        store.and_then(|store| store.copies.iter_mut().rfind(|copy| copy.settings.is_some()))
    {
        copy.every = every.or(copy.every);
    }
}

/// Lines of cron: `0 2 * * * /usr/local/bin/backup.sh`.
fn cron_lines(code: &Code, section: &Section, reading: &mut Reading) {
    reading.keep_code(&section.title, code, SnippetRole::Configuration);
    for line in code.text.lines() {
        let Some((schedule, command)) = cron_line(&line) else { continue };
        let product = product_of(command.as_str());
        let says = format!("{} {product} {}", command.as_str(), section.title.as_str());
        let (Some(method), Some(_)) = (kinds::method(&says), kinds::store_kind(&says)) else {
            reading.cannot_read(line.origin(), "what this line of cron copies is not said");
            continue;
        };
        let job = Job {
            method: command.at(method),
            schedule: Some(schedule.value()),
            run: Some(script(&command)),
            settings: None,
            environment: Vec::new(),
            name: command,
        };
        make(job, &section.title, reading);
    }
}

/// The five fields of a line of cron, and what stands behind them.
fn cron_line(line: &Text) -> Option<(Text, Text)> {
    let text = line.as_str();
    let is_field = |field: &str| {
        !field.is_empty()
            && field.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '/' | ',' | '-'))
    };
    let mut at = 0;
    for _ in 0..5 {
        let rest = text.get(at..)?;
        let start = at + (rest.len() - rest.trim_start().len());
        let rest = text.get(start..)?;
        let len = rest.find(char::is_whitespace)?;
        if !is_field(rest.get(..len)?) {
            return None;
        }
        at = start + len;
    }
    let command = line.behind(at).trim();
    let start = user(command.as_str()).unwrap_or(0);
    Some((line.slice(0..at).trim(), command.behind(start).trim()))
}

/// The user that a line of `/etc/cron.d` runs as, before its command: a plain word with another
/// behind it that begins a command of its own, while no program has that name.
fn user(command: &str) -> Option<usize> {
    let end = command.find(char::is_whitespace)?;
    let word = command.get(..end)?;
    let next = command.get(end..)?.split_whitespace().next()?;
    let is_name = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let is_command = next.starts_with(['/', '.']) || crate::products::program(next).is_some();
    let is_user = crate::products::program(word).is_none() || word == next;
    let runs_others = ["bash", "sh", "nice", "timeout", "env", "exec", "flock", "ionice", "test"];
    (is_name && is_command && is_user && !runs_others.contains(&word)).then_some(end)
}

/// A script in a section on backups that makes a copy.
fn shell(code: &Code, section: &Section, reading: &mut Reading) {
    let lines = code.text.lines();
    if !lines.is_empty()
        && lines.iter().all(|line| line.as_str().starts_with('#') || cron_line(line).is_some())
        && lines.iter().any(|line| cron_line(line).is_some())
    {
        return cron_lines(code, section, reading);
    }
    let written = code.text.as_str();
    let makes = |program: &str| written.contains(program);
    let known = [
        "pg_dump",
        "pg_basebackup",
        "mysqldump",
        "mongodump",
        "etcd-snapshot",
        "etcdctl snapshot save",
        "xtrabackup",
        "mc mirror",
        "redis-cli --rdb",
    ];
    let restores = ["pg_restore", "mongorestore", "snapshot restore", "cluster-reset"];
    let says = format!("{} {written} {}", section.title.as_str(), product_of(written));
    if !known.iter().any(|program| makes(program)) || restores.iter().any(|program| makes(program))
    {
        return;
    }
    let (Some(method), true) = (kinds::method(written), kinds::store_kind(&says).is_some()) else {
        return;
    };
    reading.understand(code.origin);
    let job = Job {
        method: At::new(method, code.text.origin()),
        schedule: None,
        run: Some(code.script()),
        settings: None,
        environment: Vec::new(),
        name: section.title.clone(),
    };
    make(job, &section.title, reading);
}

/// Adds the copy a job makes to its store, in the place of the words that describe it.
fn make(job: Job, heading: &Text, reading: &mut Reading) -> String {
    let run = job.run.as_ref().map_or("", |run| run.text.as_str()).to_owned();
    let store = backups::mentioned_store(&job.name, reading)
        .or_else(|| backups::mentioned_store(heading, reading))
        .or_else(|| {
            let mut words = Text::new(heading.file());
            words.push(&product_of(&run), job.name.origin().range());
            backups::mentioned_store(&words, reading)
        });
    let name = store.unwrap_or_else(|| backups::store(&job.name, reading));
    let to = destination(&job, reading, &name);
    let copy = Copy {
        method: Some(job.method),
        schedule: job.schedule,
        to,
        artefact: artefact(&run, job.method.origin),
        run: job.run,
        settings: job.settings,
        environment: job.environment,
        ..Copy::default()
    };
    let Some(store) = reading.plan.stores.get_mut(&name) else { return name };
    let described =
        store.copies.iter().position(|own| own.run.is_none() && same_rhythm(own, &copy));
    match described {
        Some(at) => {
            let words = store.copies.remove(at);
            let merged = Copy {
                every: words.every,
                continuous: words.continuous,
                keep: words.keep,
                to: copy.to.or_else(|| words.to.clone()),
                ..copy
            };
            reading.facts.described.push(Described { store: name.clone(), copy: words });
            store.copies.insert(at, merged);
        }
        None => store.copies.push(copy),
    }
    name
}

fn product_of(run: &str) -> String {
    let known = [
        ("pg_", "PostgreSQL"),
        ("mysql", "MySQL"),
        ("mongo", "MongoDB"),
        ("etcd", "etcd"),
        ("redis", "Redis"),
        ("mc ", "MinIO"),
    ];
    let found = known.iter().find(|(word, _)| run.contains(word));
    found.map_or("", |(_, product)| product).to_owned()
}

/// Whether words and a job speak of one copy: the same cron line, or both ship a log.
fn same_rhythm(words: &Copy, job: &Copy) -> bool {
    let is_log = |copy: &Copy| copy.method.is_some_and(|method| method.value == Method::Log);
    if is_log(words) || is_log(job) {
        return is_log(words) && is_log(job);
    }
    match (&words.schedule, &job.schedule) {
        (Some(words), Some(job)) => words.value == job.value,
        _ => false,
    }
}

/// Where a job puts the copy: the last address in it. A place that has no address yet and belongs
/// to the same provider is that place.
fn destination(job: &Job, reading: &mut Reading, store: &str) -> Option<At<String>> {
    let run = job.run.as_ref()?;
    let at = run.text.rfind("://")?;
    let before = run.text.get(..at)?;
    let start =
        before.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '+')).map_or(0, |at| at + 1);
    let url = backups::address(run.text.get(start..)?)?;
    if url.starts_with("http") {
        return None;
    }
    let root = backups::bucket(url).to_owned();
    let origin = run.place(start..start + root.len());
    let own = reading.plan.stores.get(store)?;
    let place = own.copies.iter().find_map(|copy| copy.to.clone()).map(|to| to.value);
    let provider = kinds::provider(&root).map(|provider| provider.name);
    if let Some(place) = place
        && let Some(vault) = reading.plan.vaults.get_mut(&place)
        && vault.url.as_ref().is_none_or(|own| own.value == root)
        && vault.domains.iter().any(|domain| Some(domain.value.as_str()) == provider)
    {
        vault.url.get_or_insert(At::new(root.clone(), origin));
        reading.vaults_by_address.entry(root).or_insert_with(|| place.clone());
        return Some(At::new(place, origin));
    }
    let mut place = Text::new(job.name.file());
    place.push(&root, origin.range());
    Some(At::new(backups::vault(&place, reading), origin))
}

/// What the copy is called where it goes: the last part of its address, `*` for what changes.
fn artefact(run: &str, origin: Origin) -> Option<At<String>> {
    let at = run.rfind("://")?;
    let start = run
        .get(..at)?
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '+'))
        .map_or(0, |at| at + 1);
    let url = backups::address(run.get(start..)?)?;
    let path = url.get(backups::bucket(url).len()..).filter(|path| !path.is_empty())?;
    let mut name = String::new();
    let mut rest = path;
    while let Some(at) = rest.find(['$', '%']) {
        name.push_str(rest.get(..at)?);
        name.push('*');
        let behind = rest.get(at + 1..)?;
        let skip = match behind.chars().next() {
            Some('{') => behind.find('}').map_or(behind.len(), |end| end + 1),
            Some('(') => behind.find(')').map_or(behind.len(), |end| end + 1),
            Some(_) if rest.get(at..)?.starts_with('%') => 1,
            _ => behind.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(behind.len()),
        };
        rest = behind.get(skip..)?;
    }
    name.push_str(rest);
    Some(At::new(name, origin))
}
