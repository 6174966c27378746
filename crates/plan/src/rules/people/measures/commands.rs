//! Measures that commands put in place and take back.

use std::ops::Range;

use super::pairs::{PAIRS, Pair, SQL};
use super::{Change, Event, Source};
use crate::language::{Kubernetes, KubernetesAction, Origin, Script, Step};
use crate::shell::{self, Command, Shell, Word};

/// Whether a step, whose script is this, does anything by itself, so that its words only describe what it does.
pub(super) fn has_any(step: &Step, shell: Option<&Shell>) -> bool {
    let runs = shell.is_some_and(|shell| !shell.commands.is_empty());
    runs || step.kubernetes.is_some() || step.sql.is_some() || step.http.is_some()
}

/// What a step, whose script is this, puts in place and takes back.
pub(super) fn events(step: &Step, shell: Option<&Shell>) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some((run, shell)) = step.run.as_ref().zip(shell) {
        of_script(run, shell, &mut events);
    }
    if let Some(kubernetes) = &step.kubernetes {
        of_kubernetes(kubernetes, &mut events);
    }
    if let Some(query) = step.sql.as_ref().and_then(|sql| sql.query.as_ref()) {
        of_pairs(SQL, "", &normal(&query.text), query.origin(), &mut events);
    }
    if let Some(http) = &step.http {
        let url = http.url.as_ref().map_or("", |url| url.value.as_str());
        let body = http.body.as_ref().map_or("", |body| body.text.as_str());
        let origin = http.url.as_ref().map_or_else(
            || http.body.as_ref().map(Script::origin).unwrap_or_default(),
            |url| url.origin,
        );
        of_pairs(PAIRS, "curl", &normal(&format!("{url} {body}")), origin, &mut events);
    }
    if step.terraform.is_some() {
        events.extend(rebuilt(Origin::default()));
    }
    events
}

fn of_script(script: &Script, shell: &Shell, events: &mut Vec<Event>) {
    let mut at_end = Vec::new();
    for (index, command) in shell.commands.iter().enumerate() {
        let place = |range: &Range<usize>| script.place(range.clone());
        let origin = place(&command.range);
        match command.program() {
            Some("kubectl" | "oc" | "k3s") => kubectl(command, origin, events),
            // What `trap` names is done at the end, whatever happens.
            Some("trap") => {
                let text = command.arguments().first().map_or("", |word| word.text.as_str());
                let inner = shell::read(text);
                inner.commands.iter().for_each(|inner| kubectl(inner, origin, &mut at_end));
                of_texts(&inner, |_| origin, &mut at_end);
            }
            _ => {}
        }
        of_command(shell, index, origin, events);
    }
    for statement in &shell.statements {
        let origin = script.place(statement.range.clone());
        of_pairs(SQL, "", &normal(&statement.text), origin, events);
    }
    at_end.retain(|event: &Event| matches!(event.change, Change::Lift));
    events.extend(at_end);
}

fn of_texts(shell: &Shell, place: impl Fn(&Command) -> Origin, events: &mut Vec<Event>) {
    for (index, command) in shell.commands.iter().enumerate() {
        of_command(shell, index, place(command), events);
    }
}

fn of_command(shell: &Shell, index: usize, origin: Origin, events: &mut Vec<Event>) {
    let Some(command) = shell.commands.get(index) else { return };
    let Some(program) = command.program() else { return };
    let mut text = String::new();
    let documents = command.redirections.iter().filter_map(|it| it.document.as_ref());
    let words = command.words.iter().chain(documents.map(|document| &document.body));
    for word in words {
        text.push_str(&word.text);
        text.push(' ');
    }
    // Statements are read by themselves, with their own place.
    let has_sql = shell.statements.iter().any(|statement| statement.command == index);
    if !has_sql {
        of_pairs(PAIRS, program, &normal(&text), origin, events);
    }
    if is_rebuild(command) {
        events.extend(rebuilt(origin));
    }
}

/// In small letters, with one space between words and none around `=` and `:`.
fn normal(text: &str) -> String {
    let mut normal = String::from(" ");
    for word in text.split_whitespace() {
        let glued = normal.ends_with(['=', ':']) || word.starts_with(['=', ':']);
        if glued {
            normal.truncate(normal.trim_end().len());
        }
        normal
            .extend(word.chars().flat_map(char::to_lowercase).filter(|c| !matches!(c, '"' | '\'')));
        if !normal.ends_with(['=', ':']) {
            normal.push(' ');
        }
    }
    normal.push(' ');
    normal
}

fn of_pairs(pairs: &[Pair], program: &str, text: &str, origin: Origin, events: &mut Vec<Event>) {
    for pair in pairs {
        if !pair.programs.is_empty() && !pair.programs.contains(&program) {
            continue;
        }
        let last = |patterns: &[&str]| patterns.iter().filter_map(|it| find(text, it)).max();
        match (last(pair.put), last(pair.lift)) {
            // A script may do both: what comes last stays. `--desired-count 0` is also a
            // `--desired-count`, and begins at the same place.
            (Some(put_at), lift_at) if lift_at.is_none_or(|lift_at| put_at >= lift_at) => {
                events.push(put(pair.what, String::new(), origin, pair.what.to_owned(), pair.hint));
            }
            (_, Some(_)) => events.push(Event::lift(pair.what, "", origin)),
            _ => {}
        }
    }
}

/// The last place at which a text has all parts of a pattern, in their order; `…` stands between.
fn find(text: &str, pattern: &str) -> Option<usize> {
    let mut parts = pattern.split('…');
    let first = parts.next()?;
    let start = text.rfind(first)?;
    let mut rest = text.get(start + first.len()..)?;
    for part in parts {
        rest = rest.split_once(part)?.1;
    }
    Some(start)
}

fn put(
    kind: &'static str,
    object: String,
    origin: Origin,
    what: String,
    hint: impl Into<String>,
) -> Event {
    let hint = hint.into();
    Event { kind, object, origin, change: Change::Put { what, hint, source: Source::Command } }
}

/// Whether it makes everything as it should be, replicas and rules too.
fn is_rebuild(command: &Command) -> bool {
    let first = command.arguments().iter().find(|word| !word.text.starts_with('-'));
    let first = first.map_or("", |word| word.text.as_str());
    matches!(
        (command.program().unwrap_or(""), first),
        ("helm", "upgrade" | "install" | "rollback")
            | ("helmfile", "apply" | "sync")
            | ("terraform" | "tofu" | "pulumi", "apply" | "up")
            | ("argocd", "app")
            | ("flux", "reconcile")
    )
}

/// A rebuild gives workloads their replicas back.
fn rebuilt(origin: Origin) -> [Event; 2] {
    [Event::lift("scaled", "*", origin), Event::lift("cordoned", "*", origin)]
}

/// The value of `--name=value` or `--name value`.
fn flag<'c>(words: &'c [Word], name: &str) -> Option<&'c str> {
    words.iter().enumerate().find_map(|(at, word)| {
        let rest = word.text.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => words.get(at + 1).map(|next| next.text.as_str()),
            None => None,
        }
    })
}

/// The words that are neither options nor values of the options that take one.
fn positional(words: &[Word]) -> Vec<&str> {
    const WITH_VALUE: &[&str] = &[
        "-n",
        "--namespace",
        "-f",
        "--filename",
        "-l",
        "--selector",
        "--replicas",
        "-p",
        "--patch",
        "--type",
        "--timeout",
        "--context",
        "--kubeconfig",
        "-c",
        "--current-replicas",
        "-o",
        "--cluster",
        "--user",
        "--grace-period",
        "-k",
        "--kustomize",
    ];
    let mut found = Vec::new();
    let mut is_value = false;
    for word in words {
        if word.text == "--" {
            break;
        }
        if is_value {
            is_value = false;
        } else if word.text.starts_with('-') && word.text.len() > 1 {
            is_value = WITH_VALUE.contains(&word.text.as_str());
        } else {
            found.push(word.text.as_str());
        }
    }
    found
}

fn kubectl(command: &Command, origin: Origin, events: &mut Vec<Event>) {
    let words = command.arguments();
    let mut positional = positional(words);
    if positional.first() == Some(&"kubectl") {
        positional.remove(0);
    }
    let Some((action, rest)) = positional.split_first() else { return };
    let is_all = words.iter().any(|word| word.text == "--all" || word.text.starts_with("-l"))
        || flag(words, "--selector").is_some();
    match *action {
        "scale" => {
            let to_zero = flag(words, "--replicas") == Some("0");
            for object in objects(rest, is_all) {
                events.push(scaled(&object, to_zero, origin));
            }
        }
        "cordon" | "drain" => {
            for node in rest {
                let what = format!("the node `{node}` takes no new pods");
                let hint = format!("add `kubectl uncordon {node}`, or remove the node for good");
                events.push(put("cordoned", (*node).to_owned(), origin, what, hint));
            }
        }
        "uncordon" => events.extend(rest.iter().map(|n| Event::lift("cordoned", *n, origin))),
        "delete" => deleted(rest, words, origin, events),
        "apply" | "create" | "replace" => applied(command, origin, events),
        "patch" => {
            let patch = flag(words, "-p").or_else(|| flag(words, "--patch")).unwrap_or("");
            let patch = normal(patch).replace(' ', "");
            for object in objects(rest, false) {
                if patch.contains("suspend:true") {
                    let what = format!("`{object}` is suspended");
                    let hint = format!("add a step that sets `suspend` of `{object}` to false");
                    events.push(put("suspended", object, origin, what, hint));
                } else if patch.contains("suspend:false") {
                    events.push(Event::lift("suspended", object, origin));
                }
            }
        }
        "rollout" => rollout(rest, origin, events),
        _ => {}
    }
}

fn rollout(rest: &[&str], origin: Origin, events: &mut Vec<Event>) {
    let Some((action, rest)) = rest.split_first() else { return };
    for object in objects(rest, false) {
        match *action {
            "pause" => {
                let what = format!("the rollout of `{object}` is paused");
                let hint = format!("add `kubectl rollout resume {object}`");
                events.push(put("rollout", object, origin, what, hint));
            }
            "resume" => events.push(Event::lift("rollout", object, origin)),
            _ => {}
        }
    }
}

fn scaled(object: &str, to_zero: bool, origin: Origin) -> Event {
    if !to_zero {
        return Event::lift("scaled", object, origin);
    }
    let what = match object {
        "*" => "workloads are scaled to 0".to_owned(),
        object => format!("`{object}` is scaled to 0"),
    };
    let hint = "add a step behind the restore that scales it back, to the number it had before";
    put("scaled", object.to_owned(), origin, what, hint)
}

/// `deployment api`, `deployment/api deployment/web`: one name each, in one spelling.
fn objects(rest: &[&str], is_all: bool) -> Vec<String> {
    if is_all {
        return vec!["*".to_owned()];
    }
    let kind = |kind: &str| match kind.split('.').next().unwrap_or(kind) {
        "deploy" | "deployment" | "deployments" => "deployment".to_owned(),
        "sts" | "statefulset" | "statefulsets" => "statefulset".to_owned(),
        "rs" | "replicaset" | "replicasets" => "replicaset".to_owned(),
        "cj" | "cronjob" | "cronjobs" => "cronjob".to_owned(),
        other => other.to_owned(),
    };
    let slashed: Vec<String> = rest
        .iter()
        .filter_map(|object| object.split_once('/'))
        .map(|(of, name)| format!("{}/{name}", kind(of)))
        .collect();
    match rest.split_first() {
        Some((of, names)) if slashed.is_empty() => {
            names.iter().map(|name| format!("{}/{name}", kind(of))).collect()
        }
        _ => slashed,
    }
}

fn deleted(rest: &[&str], words: &[Word], origin: Origin, events: &mut Vec<Event>) {
    if let Some(file) = flag(words, "-f").or_else(|| flag(words, "--filename")) {
        events.push(Event::lift("manifest", file, origin));
        if file == "-" {
            events.push(Event::lift("network policy", "*", origin));
        }
        return;
    }
    let Some((kind, names)) = rest.split_first() else { return };
    let (kind, first) = kind.split_once('/').unwrap_or((kind, ""));
    let names = names.iter().copied().chain(Some(first).filter(|first| !first.is_empty()));
    let lifted = match kind.split('.').next().unwrap_or(kind) {
        "networkpolicy" | "networkpolicies" | "netpol" => "network policy",
        "node" | "nodes" | "no" => "cordoned",
        "namespace" | "namespaces" | "ns" => {
            events.push(Event::lift("network policy", "*", origin));
            events.push(Event::lift("scaled", "*", origin));
            return;
        }
        kind @ ("deployment" | "deployments" | "deploy" | "statefulset" | "statefulsets"
        | "sts") => {
            let names: Vec<&str> = std::iter::once(kind).chain(names).collect();
            let lifts = objects(&names, false).into_iter();
            events.extend(lifts.map(|object| Event::lift("scaled", object, origin)));
            return;
        }
        _ => return,
    };
    if words.iter().any(|word| word.text == "--all") {
        events.push(Event::lift(lifted, "*", origin));
    }
    events.extend(names.map(|name| Event::lift(lifted, name, origin)));
}

/// Words in the name of a rule or a file that is there for an emergency only.
const EMERGENCY: &[&str] = &[
    "lockdown",
    "lock-down",
    "quarantine",
    "deny-all",
    "isolat",
    "emergency",
    "block-all",
    "maintenance",
];

fn applied(command: &Command, origin: Origin, events: &mut Vec<Event>) {
    let documents = command.redirections.iter().filter_map(|it| it.document.as_ref());
    let manifests: Vec<&str> = documents.map(|document| document.body.text.as_str()).collect();
    for manifest in &manifests {
        of_manifest(manifest, origin, events);
    }
    let file = flag(command.arguments(), "-f").or_else(|| flag(command.arguments(), "--filename"));
    if let Some(file) = file.filter(|_| manifests.is_empty()) {
        let lower = file.to_lowercase();
        if EMERGENCY.iter().any(|word| lower.contains(word)) {
            let what = format!("`{file}` is applied");
            let hint = format!("add `kubectl delete -f {file}` at the end, with a probe");
            events.push(put("manifest", file.to_owned(), origin, what, hint));
        } else {
            events.push(Event::lift("scaled", "*", origin));
        }
    }
}

/// A network policy that lets nothing through, or that is named as one for an emergency.
fn of_manifest(manifest: &str, origin: Origin, events: &mut Vec<Event>) {
    for document in manifest.split("\n---") {
        let line = |key: &str| {
            let mut lines = document.lines().map(str::trim);
            lines
                .find_map(|line| line.strip_prefix(key))
                .map(|value| value.trim().trim_matches('"'))
        };
        if line("kind:") != Some("NetworkPolicy") {
            continue;
        }
        let in_line = document.split_once("name:").map(|(_, rest)| rest.trim_start());
        let end = |text: &str| text.find([',', '}', '\n', ' ']);
        let name =
            in_line.map_or("", |text| text.get(..end(text).unwrap_or(text.len())).unwrap_or(""));
        let lets_through = line("ingress:").is_some_and(|it| it != "[]")
            || line("egress:").is_some_and(|it| it != "[]");
        let lower = name.to_lowercase();
        if !lets_through || EMERGENCY.iter().any(|word| lower.contains(word)) {
            let what = format!("the network policy `{name}` cuts pods off");
            let hint = format!(
                "add a step `kubectl delete networkpolicy {name}` and a probe that shows traffic \
                 flows again"
            );
            events.push(put("network policy", name.to_owned(), origin, what, hint));
        }
    }
}

fn of_kubernetes(kubernetes: &Kubernetes, events: &mut Vec<Event>) {
    let Some(action) = &kubernetes.action else { return };
    let object = kubernetes.object.as_ref().map_or("*", |object| object.value.as_str());
    let origin = action.origin;
    let objects = objects(&[object], object == "*");
    match action.value {
        KubernetesAction::Scale => {
            let to_zero = kubernetes.replicas.is_some_and(|replicas| replicas.value == 0);
            events.extend(objects.iter().map(|object| scaled(object, to_zero, origin)));
        }
        KubernetesAction::Apply => match &kubernetes.manifest {
            Some(manifest) => of_manifest(&manifest.text, manifest.origin(), events),
            None => events.push(Event::lift("scaled", "*", origin)),
        },
        KubernetesAction::Delete => deleted(&[object], &[], origin, events),
        KubernetesAction::Get | KubernetesAction::Wait | KubernetesAction::Logs => {}
    }
}
