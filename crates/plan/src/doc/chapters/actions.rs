//! What a step does, in words and in commands: whoever has only the paper must be able to do it.

use super::super::inline::{Line, choice, listed, own, words};
use super::super::page::Block;
use super::super::words::{length, shown};
use super::steps::{query, request, script};
use super::{Book, maybe, paragraphs};
use crate::language::{
    Approve, At, Kubernetes, KubernetesAction, Notify, Restore, RunsAs, Script, Step, StoreKind,
    Terraform, Workload,
};

/// What a step without a title is called.
pub(super) fn name(step: &Step) -> Line {
    let name = if step.approve.is_some() {
        "Somebody must say yes"
    } else if step.notify.is_some() {
        "Tell them"
    } else if step.ask.is_some() {
        "Decide"
    } else if step.restore.is_some() {
        "Restore"
    } else if step.terraform.is_some() {
        "Change the infrastructure"
    } else if step.wait.is_some() {
        "Wait"
    } else if !step.quiesce.is_empty() {
        "Stop who writes"
    } else if !step.resume.is_empty() {
        "Let them work again"
    } else {
        "Do this"
    };
    own(name)
}

/// All that a step does.
pub(super) fn body(book: &Book<'_>, step: &Step) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(approve) = &step.approve {
        approval(book, approve, &mut blocks);
    }
    if let Some(question) = &step.ask {
        blocks.push(Block::Paragraph(words(&question.value)));
    }
    if let Some(manual) = &step.manual {
        blocks.extend(paragraphs(&manual.text).map(Block::Paragraph));
    }
    if let Some(wait) = step.wait {
        blocks.push(Block::Paragraph(own(&format!("Wait {}.", length(wait.value)))));
    }
    who_stands_still(book, "Stop: ", &step.quiesce, &mut blocks);
    by_hand(book, &step.quiesce, stopping, &mut blocks);
    who_stands_still(book, "Let them run: ", &step.resume, &mut blocks);
    by_hand(book, &step.resume, starting, &mut blocks);
    if let Some(run) = &step.run {
        blocks.push(script("bash", run));
    }
    if let Some(http) = &step.http {
        blocks.push(Block::Paragraph(request(http)));
        blocks.extend(http.body.as_ref().map(|body| script("", body)));
    }
    if let Some(sql) = &step.sql {
        blocks.push(Block::Paragraph(query(book, sql)));
    }
    blocks.extend(step.kubernetes.iter().flat_map(kubernetes));
    blocks.extend(step.terraform.as_ref().map(terraform));
    if let Some(described) = &step.restore {
        blocks.push(command(&restore(book, described)));
    }
    if let Some(notify) = &step.notify {
        message(book, notify, &mut blocks);
    }
    blocks
}

fn approval(book: &Book<'_>, approve: &Approve, blocks: &mut Vec<Block>) {
    let count = approve.count.map_or(1, |count| count.value);
    let names = || approve.by.iter().map(|name| book.who(&name.value));
    let asked = match (approve.by.len(), count) {
        (0, _) => own("the approvers of the severity"),
        (_, 1) => choice(names()),
        (_, count) => own(&format!("{count} of ")).then("", listed(names())),
    };
    let within = approve
        .within
        .map_or_else(String::new, |within| format!(", within {}", length(within.value)));
    let says = own("Ask ").then("", asked).then("", own(&within));
    blocks.push(Block::Paragraph(says.then(": ", maybe(approve.text.as_ref()))));
    blocks.push(Block::Paragraph(own(
        "Said yes: .............................. at ............ UTC",
    )));
}

fn message(book: &Book<'_>, notify: &Notify, blocks: &mut Vec<Block>) {
    let to = book.whos(&notify.to);
    let to = if to.is_empty() { own("Write") } else { own("Tell ").then("", to) };
    let by = listed(notify.by.iter().map(|name| book.who(&name.value)));
    let by = if by.is_empty() { by } else { own("through ").then("", by) };
    blocks.push(Block::Paragraph(to.then(" ", by).then("", own(":"))));
    blocks.extend(notify.text.as_ref().map(|text| script("", text)));
}

/// Names, or `writers of STORE`: then also who that is.
fn who_stands_still(book: &Book<'_>, what: &str, names: &[At<String>], blocks: &mut Vec<Block>) {
    if names.is_empty() {
        return;
    }
    let each = names.iter().map(|name| match name.value.strip_prefix("writers of ") {
        Some(store) => {
            let who = listed(writers(book, store).map(words));
            let all = own("all that write to ").then("", book.what(store.trim()));
            if who.is_empty() { all } else { all.then(" (", who).then("", own(")")) }
        }
        None => book.what(&name.value),
    });
    blocks.push(Block::Paragraph(own(what).then("", listed(each)).then("", own("."))));
}

/// The commands for what services run as: on paper nobody looks them up.
fn by_hand(
    book: &Book<'_>,
    names: &[At<String>],
    commands: fn(&RunsAs) -> Vec<String>,
    blocks: &mut Vec<Block>,
) {
    let services = book.plan.services.iter().filter(|(name, service)| {
        names.iter().any(|named| match named.value.strip_prefix("writers of ") {
            Some(store) => service.writes.iter().any(|one| one.value == store.trim()),
            None => named.value == name.value,
        })
    });
    let parts = services.flat_map(|(_, service)| &service.runs_as);
    let lines: Vec<String> = parts.flat_map(commands).collect();
    if !lines.is_empty() {
        blocks.push(command(&lines.join("\n")));
    }
}

fn stopping(part: &RunsAs) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((kubectl, object)) = part.kubernetes.as_ref().and_then(kubectl) {
        lines.push(format!("{kubectl} get {object}    # write down how many there are"));
        lines.push(format!("{kubectl} scale {object} --replicas=0"));
    }
    lines.extend(part.stop.iter().flat_map(|script| on_its_machine(part, script)));
    lines
}

fn starting(part: &RunsAs) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((workload, (kubectl, object))) =
        part.kubernetes.as_ref().and_then(|workload| Some((workload, kubectl(workload)?)))
    {
        let replicas = workload.replicas.map_or("AS_BEFORE".to_owned(), |at| at.value.to_string());
        lines.push(format!("{kubectl} scale {object} --replicas={replicas}"));
    }
    lines.extend(part.start.iter().flat_map(|script| on_its_machine(part, script)));
    lines
}

/// The command up to what is done, and the object it is done to.
fn kubectl(workload: &Workload) -> Option<(String, &str)> {
    let of_namespace = workload.namespace.as_ref();
    let namespace = of_namespace.map_or(String::new(), |name| format!(" -n {}", name.value));
    Some((format!("kubectl{namespace}"), workload.object.as_ref()?.value.as_str()))
}

fn on_its_machine(part: &RunsAs, script: &Script) -> Vec<String> {
    let machine = part.on.as_ref().map(|on| format!("# on {}:", on.value));
    machine.into_iter().chain([script.text.trim_end().to_owned()]).collect()
}

/// The services that write to a store.
fn writers<'b>(book: &'b Book<'_>, store: &str) -> impl Iterator<Item = &'b str> {
    let services = book.plan.services.titled().filter(move |(_, _, service)| {
        service.writes.iter().any(|name| name.value == store.trim())
    });
    services.map(|(_, title, _)| title)
}

fn command(text: &str) -> Block {
    Block::Code { language: "bash", text: shown(text) }
}

fn kubernetes(action: &Kubernetes) -> Vec<Block> {
    let text = |value: &Option<At<String>>| {
        value.as_ref().map_or("", |value| value.value.as_str()).to_owned()
    };
    let verb = action.action.map_or(KubernetesAction::Get, |action| action.value);
    let mut line = String::from("kubectl");
    if let Some(namespace) = &action.namespace {
        line.push_str(&format!(" -n {}", namespace.value));
    }
    let object = text(&action.object);
    match (verb, action.replicas) {
        (KubernetesAction::Scale, Some(replicas)) => {
            line.push_str(&format!(" scale {object} --replicas={}", replicas.value));
        }
        (KubernetesAction::Wait, _) => {
            line.push_str(&format!(" wait {object} --for={}", waits_for(&text(&action.condition))));
        }
        (KubernetesAction::Apply, _) if action.manifest.is_some() => line.push_str(" apply -f -"),
        (verb, _) => line.push_str(&format!(" {verb} {object}")),
    }
    if let Some(manifest) = &action.manifest {
        let manifest = manifest.text.trim_end();
        line.push_str(&format!(" <<'EOF'\n{manifest}\nEOF"));
    }
    vec![command(&line)]
}

/// A condition as kubectl takes it.
fn waits_for(condition: &str) -> String {
    match condition {
        "" | "there" => "create".to_owned(),
        "gone" => "delete".to_owned(),
        field if field.starts_with('.') => {
            let (path, value) = field.split_once('=').unwrap_or((field, ""));
            format!("jsonpath='{{{path}}}'={value}")
        }
        condition => format!("condition={condition}"),
    }
}

/// What it would do is written down, read by a person, and only that is done.
fn terraform(terraform: &Terraform) -> Block {
    let directory = terraform.directory.as_ref().map_or(".", |name| name.value.as_str());
    let is_destroy = terraform.action.as_ref().is_some_and(|action| action.value == "destroy");
    let destroy = if is_destroy { " -destroy" } else { "" };
    let variables: String =
        terraform.variables.iter().map(|value| format!(" -var '{}'", value.value)).collect();
    command(&format!(
        "terraform -chdir={directory} plan{destroy} -out=soter.plan{variables}\n\
         # Read what it would do. Then, only that:\n\
         terraform -chdir={directory} apply soter.plan"
    ))
}

/// The command that brings a store back.
pub(in crate::doc) fn restore(book: &Book<'_>, restore: &Restore) -> String {
    let store = restore.store.as_ref().map_or("STORE", |store| store.value.as_str());
    let target = restore.target.as_ref().map_or("NEW_DIRECTORY", |target| target.value.as_str());
    let to = restore.to.as_ref().map_or("latest", |to| to.value.as_str());
    let url =
        restore.from.as_ref().map(|vault| vault.value.as_str()).or_else(|| vault_of(book, store));
    let url = url.and_then(|vault| book.plan.vaults.get(vault)?.url.as_ref());
    let url = url.map_or("VAULT", |url| url.value.as_str());
    let kind = book.plan.stores.get(store).and_then(|store| store.kind).map(|kind| kind.value);
    let rest = match (kind, restore.bump_revision) {
        (Some(StoreKind::Etcd), Some(At { value: true, .. })) => " --bump-revision",
        (Some(StoreKind::Etcd), _) => "",
        _ => " --start",
    };
    format!(
        "soter restore {store} --vault {url} --identity operator.key \\\n    --target-dir {target} \
         --to {to}{rest}"
    )
}

/// The first vault that keeps a store.
fn vault_of<'b>(book: &'b Book<'_>, store: &str) -> Option<&'b str> {
    let store = book.plan.stores.get(store)?;
    let named =
        store.vaults.first().or_else(|| store.copies.iter().find_map(|copy| copy.to.as_ref()));
    named.map(|vault| vault.value.as_str())
}
