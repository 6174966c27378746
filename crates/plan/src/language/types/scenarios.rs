//! Disasters, and what is done about them.

use std::time::Duration;

use crate::language::at::At;
use crate::language::define::{section, words};
use crate::language::map::Named;
use crate::language::scalar::Script;

section! {
    /// A disaster and its recovery.
    pub struct Scenario, "a scenario" {
        /// Its name for people.
        title: Option<At<String>>,
        /// What it means for those who use the system.
        impact: Option<At<String>>,
        /// The failure domains that are gone.
        loses: Vec<At<String>>,
        /// Stores whose data is gone or wrong, beyond those that lie in lost domains.
        destroys: Vec<At<String>>,
        /// Services that are down, beyond those that lie in lost domains or need one that is.
        stops: Vec<At<String>>,
        /// Somebody got in: no machine, credential or newer backup can be trusted.
        hostile: Option<At<bool>>,
        /// How it is noticed.
        detection: Vec<Detection>,
        /// How bad it is; one of `severities`.
        severity: Option<At<String>>,
        /// Everything is back after at most so long.
        rto: Option<At<Duration>>,
        /// At most so much of the newest data is lost.
        rpo: Option<At<Duration>>,
        /// Services may come back later, or lose more, than they promise elsewhere: why, and who
        /// agreed to it. The scenario's own `rto` and `rpo` bind instead.
        relaxes: Option<At<String>>,
        /// What comes first where not everything can be had, such as containment before speed.
        priority: Option<At<String>>,
        /// It mends itself; people only watch.
        automatic: Option<At<bool>>,
        /// What must be at hand before it can begin: services, credentials, stores, words.
        prerequisites: Vec<At<String>>,
        /// What the steps must be told.
        parameters: Named<Parameter>,
        /// How it is done.
        phases: Vec<Phase>,
        /// When it is over, in words; the last probes are better.
        done_when: Option<At<String>>,
    }
}

section! {
    /// How a disaster is noticed.
    pub struct Detection, "a detection" {
        /// The alert, the probe or the sign.
        what: Option<At<String>>,
        /// A command that shows it.
        run: Option<Script>,
        /// The latest it is noticed.
        within: Option<At<Duration>>,
        /// The channel it comes through.
        by: Option<At<String>>,
    }
}

words! {
    /// Where the value of a parameter comes from.
    pub enum ParameterSource, "a source of parameters" {
        /// A person is asked when the run begins.
        Ask = "ask",
        /// The environment of the one who runs it.
        Environment = "env",
        /// A file.
        File = "file",
        /// The output of a step.
        Step = "step",
        /// A credential of the plan.
        Credential = "credential",
        /// It stands in the plan.
        Value = "value",
    }
}

words! {
    /// What a parameter may be.
    pub enum ParameterType, "a type of parameter" {
        /// Any text.
        Text = "text",
        /// A moment, with its zone.
        Time = "time",
        /// A name of a machine.
        Host = "host",
        /// A number.
        Number = "number",
        /// Something nobody may read over a shoulder.
        Secret = "secret",
    }
}

section! {
    /// What the steps must be told. Steps name it as `${name}`.
    pub struct Parameter, "a parameter" {
        /// What it is, for the one who is asked.
        about: Option<At<String>>,
        /// What it may be.
        r#type: Option<At<ParameterType>> as "type",
        /// Where it comes from.
        from: Option<At<ParameterSource>> = "from: ask",
        /// Which file, variable, credential or step.
        name: Option<At<String>>,
        /// The value, or what is taken if nothing is answered.
        value: Option<At<String>>,
        /// An example, for the one who is asked.
        example: Option<At<String>>,
    }
}

section! {
    /// Steps with a common budget of time. A phase begins when the one before it is done.
    pub struct Phase, "a phase" {
        /// Its name for people.
        title: Option<At<String>>,
        /// It takes at most so long.
        budget: Option<At<Duration>>,
        /// Phases, by title, that must be done before; none: the one before it.
        after: Vec<At<String>>,
        /// It is begun only if this says yes.
        only_if: Option<Probe>,
        /// What is done. Steps begin when what they need is done, and the phase has begun.
        steps: Vec<Step>,
    }
}

section! {
    /// One action, with its probes. It has one of `run`, `manual`, `http`, `sql`, `kubernetes`,
    /// `terraform`, `restore`, `quiesce`, `resume`, `capture`, `wait`, `notify`, `approve`, `ask`.
    pub struct Step, "a step" {
        /// Its name within the scenario, by which others need it. Else it is counted.
        id: Option<At<String>>,
        /// What it does, in a sentence.
        title: Option<At<String>>,
        /// Steps that must be done before; none: the one before it in the phase.
        after: Vec<At<String>>,
        /// It waits for no other step of its phase.
        parallel: Option<At<bool>>,
        /// A script.
        run: Option<Script>,
        /// The machine it runs on, if that is not the one of the run: a host or a service.
        on: Option<At<String>>,
        /// Something a person does, in words.
        manual: Option<Script>,
        /// A request.
        http: Option<Http>,
        /// A query.
        sql: Option<Sql>,
        /// Something in Kubernetes, through its API.
        kubernetes: Option<Kubernetes>,
        /// Infrastructure as code: plan, show, apply what was shown.
        terraform: Option<Terraform>,
        /// A store brought back by Soter.
        restore: Option<Restore>,
        /// Services that are stopped so that nobody writes: `writers of orders`, or their names.
        quiesce: Vec<At<String>>,
        /// Services that run again.
        resume: Vec<At<String>>,
        /// Evidence kept with its hash: files, or the output of `run`.
        capture: Vec<At<String>>,
        /// Waits so long, or for `until`.
        wait: Option<At<Duration>>,
        /// Somebody is told.
        notify: Option<Notify>,
        /// Somebody must say yes before it goes on.
        approve: Option<Approve>,
        /// Somebody answers a question; the answer becomes a parameter.
        ask: Option<At<String>>,
        /// It takes at most so long; then somebody is told. Nothing is ended by it.
        budget: Option<At<Duration>>,
        /// After so long it has failed.
        timeout: Option<At<Duration>>,
        /// How often it is tried again.
        retries: Option<At<u32>>,
        /// It is begun only if this says yes.
        only_if: Option<Probe>,
        /// It is skipped if this says yes: what it does was done.
        already_done: Option<Probe>,
        /// It is done only when this says yes.
        verify: Vec<Probe>,
        /// It cannot be taken back: it deletes or overwrites.
        destructive: Option<At<bool>>,
        /// Services it cannot do without.
        uses: Vec<At<String>>,
        /// Stores whose data is back after it.
        restores: Vec<At<String>>,
        /// Services that run after it.
        starts: Vec<At<String>>,
        /// Services that stand still after it.
        stops: Vec<At<String>>,
        /// What it reads that another step, a copy or a person made.
        reads: Vec<At<String>>,
        /// What it writes for others.
        writes: Vec<At<String>>,
        /// A temporary measure it puts in place, by a name. It must be lifted before the run closes.
        obliges: Vec<At<String>>,
        /// Temporary measures that it lifts.
        lifts: Vec<At<String>>,
        /// Who does it: a person or a team.
        owner: Option<At<String>>,
        /// What to do if it fails.
        if_it_fails: Option<At<String>>,
        /// Another way, which a person may take in place of this step, such as when it has failed. It
        /// brings back, starts, lifts and writes at least what this step does.
        instead: Option<Way>,
        /// What takes back what this step has done, if a person says so. It lifts what the step obliges.
        undo: Option<Way>,
    }
}

section! {
    /// Steps that are carried out only when a person says so. They begin in the order of a phase.
    pub struct Way, "a way" {
        /// Its name for people.
        title: Option<At<String>>,
        /// What is done, step by step.
        steps: Vec<Step>,
    }
}

impl Scenario {
    /// Its steps in the order of the plan, also those of ways that nobody may take.
    pub fn every_step(&self) -> impl Iterator<Item = &Step> {
        self.phases.iter().flat_map(|phase| &phase.steps).flat_map(Step::with_ways)
    }
}

impl Step {
    /// It, and behind it the steps of its other way, with theirs, and those that undo it: the order in
    /// which a run has them.
    #[must_use]
    pub fn with_ways(&self) -> Vec<&Self> {
        let mut all = vec![self];
        let ways = self.instead.iter().chain(&self.undo);
        all.extend(ways.flat_map(|way| &way.steps).flat_map(Self::with_ways));
        all
    }
}

section! {
    /// A question with the answers yes, no and unknown.
    pub struct Probe, "a probe" {
        /// What it asks, in words.
        title: Option<At<String>>,
        /// A command; exit 0 is yes, 1 is no, anything else unknown.
        run: Option<Script>,
        /// A request.
        http: Option<Http>,
        /// A query.
        sql: Option<Sql>,
        /// What the output must be: a text, or a comparison such as `> 0` or `= ${expected}`.
        expect: Option<At<String>>,
        /// A person looks, and says what they see.
        manual: Option<At<String>>,
        /// It must say yes for so long without a break.
        stable_for: Option<At<Duration>>,
        /// It has so long to say yes.
        within: Option<At<Duration>>,
    }
}

section! {
    /// A request over HTTP.
    pub struct Http, "a request" {
        /// GET if it is left out.
        method: Option<At<String>>,
        /// Where to.
        url: Option<At<String>> = "url: https://…",
        /// The status that is a success. Taken for 200 to 299.
        status: Option<At<u32>>,
        /// What is sent.
        body: Option<Script>,
        /// The credential it is sent with.
        with: Option<At<String>>,
    }
}

section! {
    /// A query.
    pub struct Sql, "a query" {
        /// The store it is put to.
        store: Option<At<String>>,
        /// The database in it.
        database: Option<At<String>>,
        /// The query.
        query: Option<Script> = "query: SELECT 1",
        /// What the answer must be: a text, or a comparison such as `> 0`.
        expect: Option<At<String>>,
    }
}

words! {
    /// What is done in Kubernetes.
    pub enum KubernetesAction, "an action in Kubernetes" {
        /// The object is looked at: it must be there.
        Get = "get",
        /// Until its `condition` holds.
        Wait = "wait",
        /// It has `replicas`.
        Scale = "scale",
        /// What `manifest` says is so.
        Apply = "apply",
        /// It is gone.
        Delete = "delete",
        /// What its containers wrote is kept.
        Logs = "logs",
    }
}

section! {
    /// Something done through the API of Kubernetes.
    pub struct Kubernetes, "an action in Kubernetes" {
        /// What is done.
        action: Option<At<KubernetesAction>> = "action: scale",
        /// The object, such as `deployment/zeus`.
        object: Option<At<String>>,
        /// The namespace.
        namespace: Option<At<String>>,
        /// For `scale`: how many.
        replicas: Option<At<u32>>,
        /// For `wait`: the condition, such as `Available`, `Ready=False`, `gone` or
        /// `.status.phase=Running`.
        condition: Option<At<String>>,
        /// For `apply`: what.
        manifest: Option<Script>,
    }
}

section! {
    /// Infrastructure as code.
    pub struct Terraform, "an action of Terraform" {
        /// The directory of the configuration.
        directory: Option<At<String>> = "directory: infrastructure/",
        /// `apply` or `destroy`; what it would do is shown first, and only that is done.
        action: Option<At<String>>,
        /// Variables, as `name=value`.
        variables: Vec<At<String>>,
    }
}

section! {
    /// A store brought back.
    pub struct Restore, "a restore" {
        /// The store.
        store: Option<At<String>> = "store: orders",
        /// To which moment, as `soter restore --to` takes it. Taken for `latest`.
        to: Option<At<String>>,
        /// Where to: a new directory, never the damaged one.
        target: Option<At<String>>,
        /// The vault it comes from; else the first that answers.
        from: Option<At<String>>,
        /// Of an etcd, that revisions go on a thousand million further, with everything before marked as
        /// compacted: whoever watched the lost one lists anew. Taken for `no`.
        bump_revision: Option<At<bool>>,
    }
}

section! {
    /// A message.
    pub struct Notify, "a message" {
        /// Through which channels.
        by: Vec<At<String>>,
        /// To whom: people or teams.
        to: Vec<At<String>>,
        /// What it says.
        text: Option<Script>,
    }
}

section! {
    /// Somebody must say yes.
    pub struct Approve, "an approval" {
        /// Who may: people or teams; else the approvers of the severity.
        by: Vec<At<String>>,
        /// How many must. Taken for 1.
        count: Option<At<u32>>,
        /// What they say yes to.
        text: Option<At<String>>,
        /// How long the question stands.
        within: Option<At<Duration>>,
    }
}
