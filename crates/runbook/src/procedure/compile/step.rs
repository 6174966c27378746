//! One step: its action, and the words in it that stand for something in the plan.

use soter_plan::language::{self, At, Origin, StoreKind};

use super::{Compiler, trimmed, values};
use crate::ids::StepId;
use crate::procedure::{
    Action, Http, Kubernetes, Notify, Probe, Question, Restore, Sql, Step, Terraform,
};

impl Compiler<'_> {
    pub(super) fn step(
        &mut self,
        written: &language::Step,
        (phase, id): (usize, StepId),
        after: Vec<StepId>,
    ) -> Step {
        let action = self.action(written, &id);
        let gives = self.gives(written, &id);
        let capture = values(&written.capture);
        let title = written.title.as_ref().map(|title| title.value.clone());
        if written.retries.is_some() && action.is_persons() {
            let origin = written.retries.map(|retries| retries.origin);
            self.complain(origin, "a person is not asked again by itself", "leave `retries` out");
        }
        Step {
            title: title.unwrap_or_else(|| short_title(&action, &id)),
            phase,
            after,
            on: written.on.as_ref().map(|on| on.value.clone()),
            budget: written.budget.map(|budget| budget.value),
            timeout: written.timeout.map(|timeout| timeout.value),
            retries: written.retries.map_or(0, |retries| retries.value),
            only_if: written.only_if.as_ref().map(|probe| self.probe(probe)),
            already_done: written.already_done.as_ref().map(|probe| self.probe(probe)),
            verify: written.verify.iter().map(|probe| self.probe(probe)).collect(),
            destructive: written.destructive.is_some_and(|destructive| destructive.value),
            capture,
            gives,
            uses: values(&written.uses),
            obliges: values(&written.obliges),
            lifts: values(&written.lifts),
            owner: written.owner.as_ref().map(|owner| owner.value.clone()),
            if_it_fails: written.if_it_fails.as_ref().map(|text| text.value.clone()),
            instead: None,
            undo: None,
            id,
            action,
        }
    }

    /// The one thing a step does. `capture` beside another action keeps what that one made.
    fn action(&mut self, written: &language::Step, id: &StepId) -> Action {
        let origin = written.id.as_ref().or(written.title.as_ref()).map(|at| at.origin);
        let mut found: Vec<Action> = Vec::new();
        found.extend(written.run.as_ref().map(|run| Action::Run(run.text.clone())));
        found.extend(written.manual.as_ref().map(|text| Action::Manual(trimmed(text))));
        found.extend(written.http.as_ref().map(|http| Action::Http(self.http(http))));
        found.extend(written.sql.as_ref().map(|sql| Action::Sql(self.sql(sql, origin))));
        found.extend(written.kubernetes.as_ref().map(|of| Action::Kubernetes(kubernetes(of))));
        found.extend(written.terraform.as_ref().map(|of| Action::Terraform(terraform(of))));
        found.extend(written.restore.as_ref().map(|of| self.restore(of, origin)));
        if !written.quiesce.is_empty() {
            found.push(Action::Quiesce(self.stoppable(&written.quiesce)));
        }
        if !written.resume.is_empty() {
            found.push(Action::Resume(self.stoppable(&written.resume)));
        }
        found.extend(written.wait.map(|wait| Action::Wait { duration: wait.value }));
        found.extend(written.notify.as_ref().map(notify));
        found.extend(written.approve.as_ref().map(|of| self.approve(of, origin)));
        found.extend(
            written.ask.as_ref().map(|ask| Action::Ask {
                text: ask.value.clone(),
                gives: self.answers(written, id),
            }),
        );
        if found.len() > 1 {
            let words: Vec<&str> = found.iter().map(Action::word).collect();
            let what = format!("`{id}` does more than one thing: {}", words.join(", "));
            self.complain(origin, what, "make a step of each");
        }
        if found.is_empty() && !written.capture.is_empty() {
            return Action::Capture;
        }
        if found.is_empty() && written.verify.is_empty() {
            let what = format!("`{id}` neither does nor asks anything");
            self.complain(origin, what, "give it an action, such as `run`, or a probe in `verify`");
        }
        found.into_iter().next().unwrap_or(Action::Look)
    }

    /// The parameters that the output of a step gives.
    fn gives(&self, written: &language::Step, id: &StepId) -> Vec<String> {
        if written.ask.is_some() {
            return self.answers(written, id);
        }
        self.given_by(id)
    }

    /// The parameters whose value the answer is: those that name the step, else those the step says it
    /// writes, else one of the step's own name.
    fn answers(&self, written: &language::Step, id: &StepId) -> Vec<String> {
        let of_parameters = self.given_by(id);
        if !of_parameters.is_empty() {
            return of_parameters;
        }
        let declared = written.writes.iter().filter(|name| self.scenario.parameters.contains(name));
        let declared: Vec<String> = declared.map(|name| name.value.clone()).collect();
        if declared.is_empty() { vec![id.to_string()] } else { declared }
    }

    pub(super) fn given_by(&self, id: &StepId) -> Vec<String> {
        let parameters = self.scenario.parameters.iter().filter(|(_, parameter)| {
            let is_step =
                parameter.from.is_some_and(|from| from.value == language::ParameterSource::Step);
            is_step && parameter.name.as_ref().is_some_and(|name| name.value == id.as_str())
        });
        parameters.map(|(name, _)| name.value.clone()).collect()
    }

    pub(super) fn probe(&mut self, written: &language::Probe) -> Probe {
        let origin = written.title.as_ref().map(|title| title.origin);
        let mut found = Vec::new();
        found.extend(written.run.as_ref().map(|run| Question::Run(run.text.clone())));
        found.extend(written.http.as_ref().map(|http| Question::Http(self.http(http))));
        found.extend(written.sql.as_ref().map(|sql| Question::Sql(self.sql(sql, origin))));
        found.extend(written.manual.as_ref().map(|text| Question::Person(text.value.clone())));
        if found.len() != 1 {
            let what = "a probe asks one thing, and this one asks none or several";
            self.complain(origin, what, "give it one of `run`, `http`, `sql`, `manual`");
        }
        let question = found.into_iter().next().unwrap_or(Question::Person(String::new()));
        let title = written.title.as_ref().map(|title| title.value.clone());
        Probe {
            title: title.unwrap_or_else(|| first_line(question_text(&question))),
            question,
            expect: written.expect.as_ref().map(|expect| expect.value.clone()),
            stable_for: written.stable_for.map(|stable_for| stable_for.value),
            within: written.within.map(|within| within.value),
        }
    }

    fn http(&mut self, written: &language::Http) -> Http {
        let url = written.url.as_ref().map(|url| url.value.clone());
        if url.is_none() {
            self.complain(None, "a request goes nowhere", "give it a `url`");
        }
        Http {
            method: text(written.method.as_ref(), "GET"),
            url: url.unwrap_or_default(),
            status: written.status.map(|status| status.value),
            body: written.body.as_ref().map(|body| body.text.clone()),
            with: written.with.as_ref().map(|with| with.value.clone()),
        }
    }

    fn sql(&mut self, written: &language::Sql, origin: Option<Origin>) -> Sql {
        let store = self.queried(written.store.as_ref(), origin);
        let query = written.query.as_ref().map(|query| query.text.clone());
        if query.is_none() {
            self.complain(origin, "a query asks nothing", "give it a `query`");
        }
        Sql {
            store,
            database: written.database.as_ref().map(|database| database.value.clone()),
            query: query.unwrap_or_default(),
            expect: written.expect.as_ref().map(|expect| expect.value.clone()),
        }
    }

    fn restore(&mut self, written: &language::Restore, origin: Option<Origin>) -> Action {
        if written.store.is_none() {
            self.complain(origin, "it is not said which store is restored", "add `store: …`");
        }
        self.store(written.store.as_ref());
        let bump_revision = written.bump_revision.is_some_and(|bump| bump.value);
        let store = written.store.as_ref().and_then(|name| self.plan.stores.get(&name.value));
        let kind = store.and_then(|store| store.kind).map(|kind| kind.value);
        if bump_revision && kind.is_some_and(|kind| kind != StoreKind::Etcd) {
            let what = "revisions are moved on in an etcd, and this is none";
            self.complain(origin, what, "leave `bump_revision` out");
        }
        Action::Restore(Restore {
            store: text(written.store.as_ref(), ""),
            to: text(written.to.as_ref(), "latest"),
            target: written.target.as_ref().map(|target| target.value.clone()),
            from: written.from.as_ref().map(|from| from.value.clone()),
            bump_revision,
        })
    }

    pub(super) fn store(&mut self, name: Option<&At<String>>) {
        if let Some(name) = name.filter(|name| !self.plan.stores.contains(&name.value)) {
            let what = format!("the plan has no store `{}`", name.value);
            let known: Vec<&str> = self.plan.stores.names().collect();
            self.complain(Some(name.origin), what, format!("take one of: {}", known.join(", ")));
        }
    }

    fn approve(&mut self, written: &language::Approve, origin: Option<Origin>) -> Action {
        let of_plan = self.scenario.severity.as_ref();
        let severity = of_plan.and_then(|name| self.plan.severities.get(&name.value));
        let mut by = values(&written.by);
        let mut count = written.count.map(|count| count.value);
        if let Some(severity) = severity.filter(|_| by.is_empty()) {
            by = values(&severity.approvers);
            count = count.or(severity.approvals.map(|approvals| approvals.value));
        }
        if by.is_empty() {
            let hint = "name them in `by`, or as `approvers` of the scenario's severity";
            self.complain(origin, "nobody is named who may approve this", hint);
        }
        let count = count.unwrap_or(1);
        let people: usize = by
            .iter()
            .map(|name| self.plan.teams.get(name).map_or(1, |team| team.members.len()))
            .sum();
        if usize::try_from(count).unwrap_or(usize::MAX) > people && !by.is_empty() {
            let what = format!("{count} must approve, and only {people} may");
            self.complain(origin, what, "name more people, or ask fewer of them");
        }
        Action::Approve {
            by,
            count,
            text: text(written.text.as_ref(), "Go on?"),
            within: written.within.map(|within| within.value),
        }
    }
}

impl Probe {
    /// Its texts in which parameters are filled in; a script's are not among them.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let own = match &self.question {
            Question::Run(_) => None,
            other => Some(question_text(other)),
        };
        own.into_iter().chain(self.expect.as_deref())
    }
}

fn question_text(question: &Question) -> &str {
    match question {
        Question::Run(text) | Question::Person(text) => text,
        Question::Http(http) => &http.url,
        Question::Sql(sql) => &sql.query,
    }
}

fn kubernetes(written: &language::Kubernetes) -> Kubernetes {
    Kubernetes {
        action: written.action.map_or("get", |action| action.value.word()).to_owned(),
        object: written.object.as_ref().map(|object| object.value.clone()),
        namespace: written.namespace.as_ref().map(|namespace| namespace.value.clone()),
        replicas: written.replicas.map(|replicas| replicas.value),
        condition: written.condition.as_ref().map(|condition| condition.value.clone()),
        manifest: written.manifest.as_ref().map(|manifest| manifest.text.clone()),
    }
}

fn terraform(written: &language::Terraform) -> Terraform {
    Terraform {
        directory: text(written.directory.as_ref(), "."),
        action: text(written.action.as_ref(), "apply"),
        variables: values(&written.variables),
    }
}

fn notify(written: &language::Notify) -> Action {
    Action::Notify(Notify {
        by: values(&written.by),
        to: values(&written.to),
        text: written.text.as_ref().map(trimmed).unwrap_or_default(),
    })
}

fn text(written: Option<&At<String>>, taken: &str) -> String {
    written.map_or_else(|| taken.to_owned(), |written| written.value.clone())
}

fn first_line(text: &str) -> String {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim().to_owned()
}

fn short_title(action: &Action, id: &StepId) -> String {
    match action {
        Action::Approve { text, .. } | Action::Ask { text, .. } => first_line(text),
        Action::Run(script) => first_line(script),
        _ => format!("{} ({id})", action.word()),
    }
}
