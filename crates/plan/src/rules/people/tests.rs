//! What the rules about people find, and what they must not.

use crate::check::Severity;
use crate::rules::testing::{found, silent, titles};

/// Two scenarios, severities as a document gives them: no timers, no contacts, no line between.
const AS_WRITTEN: &str = "\
severities:
  p1:
    title: P1 - Critical
    respond: 5 min
    escalation: [{ notify: [On-call] }, { notify: [Team Lead] }, { notify: [CTO] }]
    approvers: [Team Lead]
  p4: { title: P4 - Low, escalation: [{ notify: [Ticket queue] }], approvers: [Self] }
people:
  cto: { title: CTO, contacts: [cto@shop.net] }
channels:
  pager: { title: PagerDuty, kind: pager, readers: [On-call rotation] }
scenarios:
  node: { title: Node failure, automatic: yes, phases: [{ steps: [{ run: kubectl get nodes }] }] }
  cluster: { title: Cluster loss, phases: [{ steps: [{ run: terraform apply }] }] }
";

#[test]
fn an_escalation_as_documents_have_it() {
    assert_eq!(
        titles("S0401", AS_WRITTEN),
        ["`P1 - Critical` never says when `Team Lead` is told"]
    );
    assert_eq!(
        titles("S0402", AS_WRITTEN),
        ["nobody steps in for `CTO`", "nobody steps in for `Team Lead`"]
    );
    assert_eq!(
        titles("S0404", AS_WRITTEN),
        ["recoveries need a yes of `Team Lead`, and no step of any scenario asks"]
    );
    assert_eq!(titles("S0405", AS_WRITTEN), ["none of the 2 scenarios says how severe it is"]);
    assert_eq!(titles("S0409", AS_WRITTEN), ["nothing says how to reach `Team Lead`"]);
    let deputies = found("S0402", AS_WRITTEN);
    assert_eq!(deputies[0].severity, Severity::Note);
    assert_eq!(deputies[1].severity, Severity::Warning);
}

#[test]
fn timers() {
    silent(
        "S0401",
        &[
            "severities: { p1: { escalation: [{ notify: [a] }] } }",
            "severities: { p1: { escalation: [{ notify: [a], acknowledge: 5 min }, { notify: b }] } }",
        ],
    );
    let one = "severities: { p: { escalation: [{ notify: [a], acknowledge: 5 min }, { notify: b }, \
               { notify: [c, d] }] } }";
    assert_eq!(titles("S0401", one), ["`p` never says when `c` and `d` is told"]);
}

#[test]
fn those_who_have_somebody_behind_them() {
    silent(
        "S0402",
        &[
            "severities: { p1: { approvers: [a, b] } }",
            "severities: { p1: { approvers: [SRE team] } }",
            "severities: { p1: { approvers: [On-call] } }",
            "severities: { p1: { approvers: [Self], escalation: [{ notify: [Ticket queue] }] } }",
            "severities: { p1: { escalation: [{ notify: [cto], deputy: coo }] } }",
            "people: { cto: { deputy: coo } }\nseverities: { p1: { approvers: [cto] } }",
            "teams: { leads: { members: [a, b] } }\nseverities: { p1: { approvers: [leads] } }",
            "teams: { x: { members: [a], on_call: pager } }\nseverities: { p1: { approvers: [x] } }",
        ],
    );
    let team = "teams: { x: { members: [a] } }\nseverities: { p1: { approvers: [x] } }";
    assert_eq!(titles("S0402", team), ["nobody steps in for `x`"]);
    let own = "people: { cto: { title: Chief, deputy: Chief } }";
    assert_eq!(titles("S0402", own), ["`Chief` steps in for themselves"]);
    let step = "scenarios: { a: { phases: [{ steps: [{ approve: { by: cto } }] }] } }";
    assert_eq!(titles("S0402", step), ["nobody steps in for `cto`"]);
}

/// A region with a cluster in it, and channels in several places.
const PLACES: &str = "\
domains: { region: { kind: region }, cluster: { within: region }, far: {} }
services:
  sso: { domains: [cluster, far], survives: 1 }
  directory: { domains: [cluster] }
  login: { needs: [directory] }
channels:
  chat: { title: Chat, kind: chat, domains: [cluster] }
  board: { kind: chat, needs: [login] }
  kept: { kind: chat, needs: [sso] }
  pager: { kind: pager, domains: [far], fallback: chat }
  mail: { kind: mail, address: ops@shop.net, domains: [cluster], fallback: board }
  round: { kind: mail, domains: [cluster], fallback: round }
";

fn lost(rest: &str) -> Vec<String> {
    titles("S0403", &format!("{PLACES}{rest}"))
}

#[test]
fn channels_that_are_lost() {
    let of = |by: &str| {
        lost(&format!(
            "severities: {{ p: {{ escalation: [{{ notify: a, by: {by} }}] }} }}\nscenarios: \
             {{ gone: {{ loses: region, severity: p }} }}\n"
        ))
    };
    let title = |name: &str| format!("`gone` takes away `{name}`, which is to call people in it");
    assert_eq!(of("[chat]"), [title("Chat")]);
    assert_eq!(of("[board]"), [title("board")]);
    assert_eq!(of("[mail, chat]"), [title("mail")]);
    assert_eq!(of("[round]"), [title("round")]);
    for works in ["[pager]", "[chat, pager]", "[kept]", "[telephone]", "[chat, telephone]"] {
        assert_eq!(of(works), [""; 0], "{works}");
    }
}

#[test]
fn channels_of_steps_detections_and_customers() {
    let told = lost(
        "scenarios: { gone: { loses: cluster, detection: [{ by: chat }], phases: \
                     [{ steps: [{ notify: { by: board } }] }] } }\nstatus_page: { channel: mail }\n",
    );
    assert_eq!(told.len(), 3, "{told:?}");
    let elsewhere = "scenarios: { gone: { loses: far, detection: [{ by: chat }] }, none: {} }\n";
    assert_eq!(lost(elsewhere), [""; 0]);
    let stopped = "scenarios: { a: { stops: directory, detection: [{ by: board }] } }\n";
    assert_eq!(lost(stopped), ["`a` takes away `board`, which is to notice it in it"]);
}

#[test]
fn a_domain_that_lies_in_itself_ends_nowhere() {
    let plan = "domains: { a: { within: b }, b: { within: a }, c: {} }\nchannels: { x: { domains: a } }\n\
                scenarios: { s: { loses: c, detection: [{ by: x }] } }\n";
    silent("S0403", &[plan]);
    assert_eq!(titles("S0403", &plan.replace("loses: c", "loses: b")).len(), 1);
}

fn asked(steps: &str) -> Vec<String> {
    titles(
        "S0404",
        &format!(
            "people: {{ lead: {{ deputy: second }} }}\nteams: {{ leads: {{ members: [lead, other] }} \
             }}\nseverities: {{ p: {{ approvers: [lead] }} }}\nscenarios: {{ s: {{ severity: p, \
             phases: [{{ steps: [{steps}] }}] }} }}\n"
        ),
    )
}

#[test]
fn approvals_and_the_steps_that_ask() {
    assert_eq!(
        asked("{ run: a }, { run: b, destructive: yes }"),
        ["`s` needs a yes of `lead`, and no step asks"]
    );
    for steps in [
        "{ approve: { by: lead } }",
        "{ approve: {} }",
        "{ approve: { by: second } }",
        "{ approve: { by: leads } }",
        "{ approve: { by: [intern, lead] } }",
        "{ manual: Get approval of the lead }",
        "{ title: Go/No-Go, manual: Call }",
        "",
    ] {
        assert_eq!(asked(steps), [""; 0], "{steps}");
    }
    assert_eq!(
        asked("{ approve: { by: intern } }"),
        ["`intern` is asked for a yes in `s`, and may not say it"]
    );
    silent(
        "S0404",
        &[
            "severities: { p: { approvers: [Self] } }\nscenarios: { s: { phases: [{ steps: [{ run: a }] }] } }",
            "severities: { p: { approvers: [x] } }\nscenarios: { s: { automatic: yes, phases: [{ steps: [{ run: a }] }] } }",
        ],
    );
}

#[test]
fn severities() {
    let mixed = "severities: { p1: {}, p2: {} }\nscenarios: { a: { severity: p2 }, b: {} }";
    assert_eq!(titles("S0405", mixed), ["`b` has no severity"]);
    let mild = "severities: { p1: {}, p2: {} }\nscenarios: { a: { severity: p2 } }";
    assert_eq!(titles("S0405", mild), ["no scenario is as severe as `p1`"]);
    silent(
        "S0405",
        &[
            "scenarios: { a: {}, b: {} }",
            "severities: { p1: {}, p2: {}, p3: {} }",
            "severities: { p1: {}, p2: {}, p3: {} }\nscenarios: { a: { severity: p1 } }",
        ],
    );
}

#[test]
fn cadences() {
    let all = "\
plan: { review_every: quarterly }
after_incident: { review_within: 5 days }
status_page: { every: 30 min }
credentials: { root: { rotated_every: 90 days } }
drills:
  a: { every: weekly }
  b: { every: quarterly, title: Full test }
  c: { every: monthly, owner: sre }
";
    assert_eq!(
        titles("S0406", all),
        [
            "the plan is reviewed every 3 months, by nobody",
            "nobody leads the review of an incident",
            "customers are told something every 30 min, by nobody",
            "`root` is changed every 90 days, by nobody",
            "2 drills have a cadence and no owner",
        ]
    );
    let read = "drills: { a: { every: weekly, report_to: the wall } }";
    assert_eq!(found("S0406", read)[0].severity, Severity::Note);
    silent(
        "S0406",
        &[
            "status_page: { channel: x }",
            "drills: { a: {} }",
            "plan: { owner: sre, review_every: yearly }",
        ],
    );
}

#[test]
fn contacts_that_reach_nobody() {
    let plan = "\
plan: { contact: sre@example.com, emergency_contact: oncall@shop.net }
people: { a: { title: Jane Doe, contacts: [TBD] }, b: { contacts: [+49 30 901820, jane@shop.net] } }
teams: { t: { contacts: [\"<phone>\"] } }
channels: { mail: { title: Email, address: incidents@ }, slack: { address: \"#incidents\" } }
";
    assert_eq!(
        titles("S0407", plan),
        [
            "`sre@example.com` of `the owner of the plan` reaches nobody",
            "`Jane Doe` is nobody",
            "`TBD` of `Jane Doe` reaches nobody",
            "`<phone>` of `t` reaches nobody",
            "`incidents@` of `Email` reaches nobody",
        ]
    );
}

#[test]
fn people_behind_what_is_lost() {
    let plan = |contacts: &str| {
        format!(
            "{PLACES}people: {{ a: {{ title: Ann, contacts: [{contacts}] }} }}\nseverities: {{ p: {{ \
             escalation: [{{ notify: a }}] }} }}\nscenarios: {{ gone: {{ loses: region, severity: p }} }}\n"
        )
    };
    let title = "`gone` takes away every way to reach `Ann`";
    assert_eq!(titles("S0407", &plan("ann@shop.net")), [title]);
    assert_eq!(titles("S0407", &plan("chat, ann@shop.net")), [title]);
    for contacts in ["ann@shop.net, +49 30 901820", "ann@home.org", "pager", ""] {
        silent("S0407", &[&plan(contacts)]);
    }
}

#[test]
fn mail_at_the_domain_of_the_system_that_was_broken_into() {
    let plan = |contact: &str, hostile: &str| {
        format!(
            "people: {{ cto: {{ contacts: [{contact}] }} }}\nseverities: {{ p: {{ approvers: [cto] }} \
             }}\nscenarios: {{ breach: {{ hostile: {hostile}, phases: [{{ steps: [{{ run: \"curl -f \
             https://api.shop.net/health\" }}] }}] }} }}\n"
        )
    };
    let title = "in `breach`, `cto@shop.net` is at the domain whose systems are no longer trusted";
    assert_eq!(titles("S0407", &plan("cto@shop.net", "yes")), [title]);
    silent(
        "S0407",
        &[
            &plan("cto@shop.net", "no"),
            &plan("cto@shop.network", "yes"),
            &plan("cto@workshop.net", "yes"),
            &plan("cto@home.org", "yes"),
            &plan("cto@shop.net, +49 30 901820", "yes"),
        ],
    );
}

#[test]
fn those_who_are_reached_somehow() {
    silent(
        "S0409",
        &[
            "channels: { x: { readers: [On-call rotation] } }\nseverities: { p: { approvers: [on-call] } }",
            "channels: { x: { readers: [Everyone] } }\nseverities: { p: { approvers: [lead] } }",
            "severities: { p: { escalation: [{ notify: [lead], by: [pager] }] } }",
            "severities: { p: { approvers: [Self], escalation: [{ notify: [Ticket queue] }] } }",
            "people: { a: { contacts: [\"1\"] } }\nteams: { t: { members: [a] } }\nseverities: { p: { approvers: t } }",
        ],
    );
    let twice = "severities: { p: { approvers: [Lead] }, q: { escalation: [{ notify: lead }] } }";
    assert_eq!(titles("S0409", twice), ["nothing says how to reach `Lead`"]);
    assert_eq!(found("S0409", twice)[0].labels.len(), 2);
}

#[test]
fn people_who_come_too_late() {
    let plan = |severity: &str, scenario: &str| {
        format!(
            "severities: {{ p: {{ {severity} }} }}\nscenarios: {{ s: {{ {scenario} severity: p }} }}"
        )
    };
    let levels = "escalation: [{ notify: a, acknowledge: 10 min }, { notify: b, acknowledge: 10 min }, { notify: c }]";
    assert_eq!(
        titles("S0410", &plan("respond: 1 h", "title: Node, rto: 15 min,")),
        ["`Node` is promised in 15 min, and people may begin after 1 h"]
    );
    assert_eq!(
        titles("S0410", &plan(levels, "rto: 20 min,")),
        ["`s` is promised in 20 min, and the last level is told after 20 min"]
    );
    assert_eq!(
        titles("S0410", &plan(&format!("respond: 5 min, {levels}"), "")),
        ["`p` promises work within 5 min, and `b` is told after 10 min"]
    );
    silent(
        "S0410",
        &[
            &plan("respond: 1 h", "rto: 15 min, automatic: yes,"),
            &plan("respond: 5 min", "rto: 15 min,"),
            &plan(levels, "rto: 30 min,"),
            &plan(&format!("respond: 10 min, {levels}"), ""),
        ],
    );
}

#[test]
fn those_outside() {
    let breach = |step: &str| {
        format!("scenarios: {{ b: {{ title: Security breach, phases: [{{ steps: [{step}] }}] }} }}")
    };
    let title = "no step of `Security breach` tells customers, authorities or lawyers";
    assert_eq!(titles("S0411", &breach("{ run: kubectl get cert }")), [title]);
    silent(
        "S0411",
        &[
            &breach("{ manual: Call legal }"),
            &breach("{ run: \"# inform customers\\ntrue\" }"),
            &breach("{ notify: { to: [counsel] } }"),
            &breach(""),
            "scenarios: { b: { title: Security breach, hostile: no, phases: [{ steps: [{ run: a }] }] } }",
            "scenarios: { b: { title: Node failure, phases: [{ steps: [{ run: a }] }] } }",
        ],
    );
}

#[test]
fn one_channel() {
    let plan = |rest: &str| {
        format!(
            "channels: {{ pager: {{ kind: pager }}, chat: {{}} }}\nseverities: {{ p: {{ escalation: [{{ notify: a, {rest} }}] }} }}"
        )
    };
    assert_eq!(
        titles("S0412", &plan("by: pager")),
        ["`p` reaches everybody through `pager` alone"]
    );
    silent(
        "S0412",
        &[
            &plan("by: [pager, chat]"),
            &plan("deputy: b"),
            &plan("by: somewhere"),
            &format!("{}\npeople: {{ a: {{ contacts: [\"1\"] }} }}", plan("by: pager")),
        ],
    );
}

#[test]
fn notice() {
    let untimed = "scenarios: { s: { rto: 15 min, detection: [{ what: alert }] } }";
    assert_eq!(titles("S0413", untimed), ["nothing says how soon `s` is noticed"]);
    assert_eq!(found("S0413", untimed)[0].severity, Severity::Note);
    silent(
        "S0413",
        &[
            "scenarios: { s: {} }",
            "scenarios: { s: { rto: 15 min, detection: [{ what: alert }, { within: 5 min }] } }",
        ],
    );
}

fn measured(steps: &str) -> Vec<String> {
    titles("S0408", &format!("scenarios: {{ s: {{ phases: [{{ steps: [{steps}] }}] }} }}\n"))
}

#[test]
fn measures_that_are_declared() {
    assert_eq!(measured("{ obliges: a }"), ["in `s`, `a` is put in place, and nothing lifts it"]);
    assert_eq!(measured("{ lifts: a }, { obliges: a }").len(), 1);
    assert_eq!(measured("{ obliges: a }, { lifts: a }"), [""; 0]);
    assert_eq!(
        measured("{ obliges: [lock, b] }, { lifts: [lokc, b] }"),
        [
            "in `s`, `lock` is put in place, and nothing lifts it",
            "`s` lifts `lokc`, which no step puts in place",
        ]
    );
    assert_eq!(measured("{ quiesce: api }"), ["in `s`, `api` stands still, and nothing lifts it"]);
    for mended in [
        "{ quiesce: api }, { resume: api }",
        "{ quiesce: writers of orders }, { resume: [api, web] }",
        "{ stops: api }, { starts: api }",
        "{ obliges: closed, run: \"ufw deny 443\" }, { lifts: closed }",
    ] {
        assert_eq!(measured(mended), [""; 0], "{mended}");
    }
}

#[test]
fn standstills_that_nobody_knows_how_to_make() {
    let services = "services: { api: { title: API, writes: [orders] }, web: { writes: [orders], runs_as: { \
                    kubernetes: { object: deployment/web } } }, job: { runs_as: { stop: x } }, db: { \
                    state: [orders, files] }, other: {} }\nscenarios: { s: { phases: [{ steps: [";
    let found = |steps: &str| titles("S0415", &format!("{services}{steps}] }}] }} }}\n"));
    let silent =
        |name: &str| format!("`{name}` is to stand still, and nothing says what it runs as");
    assert_eq!(found("{ quiesce: writers of orders }, { quiesce: api }"), [silent("API")]);
    assert_eq!(found("{ quiesce: [web, nobody] }, { resume: other }"), [""; 0]);
    assert_eq!(found("{ quiesce: writers of files }"), [silent("db")]);
    assert_eq!(
        found("{ quiesce: job }"),
        ["`job` is to stand still, and a part of it is neither an object nor both scripts"]
    );
}

/// Commands, and what of them stays.
#[test]
fn measures_that_commands_put() {
    let run = |text: &str| measured(&format!("{{ run: {text:?} }}"));
    for (put, lift) in [
        (
            "kubectl scale deployment zeus -n core --replicas=0",
            "kubectl -n core scale deploy/zeus --replicas 3",
        ),
        (
            "kubectl scale --replicas=0 deployment/a deployment/b",
            "kubectl scale deployment --all --replicas=2",
        ),
        ("kubectl scale sts/db --replicas=0", "helm upgrade db ./chart"),
        ("kubectl scale deployment zeus --replicas=0", "kubectl apply -f zeus.yaml"),
        ("kubectl cordon node-1", "kubectl uncordon node-1"),
        ("kubectl drain node-1 --ignore-daemonsets", "kubectl delete node node-1"),
        ("kubectl apply -f lockdown.yaml", "kubectl delete -f lockdown.yaml"),
        (
            "kubectl patch cronjob x -p '{\"spec\": {\"suspend\": true}}'",
            "kubectl patch cronjobs/x -p '{\"spec\":{\"suspend\":false}}'",
        ),
        ("ufw deny 443", "ufw delete deny 443"),
        (
            "sudo iptables -A INPUT -p tcp --dport 443 -j DROP",
            "sudo iptables -D INPUT -p tcp --dport 443 -j DROP",
        ),
        ("ssh db 'sudo systemctl stop cron'", "ssh db 'sudo systemctl start cron'"),
        (
            "psql -c \"ALTER SYSTEM SET default_transaction_read_only = on\"",
            "psql -c 'ALTER SYSTEM RESET default_transaction_read_only'",
        ),
        ("mysql -e 'SET GLOBAL read_only = 1'", "mysql -e 'SET GLOBAL read_only=0'"),
        (
            "aws ecs update-service --service a --desired-count 0",
            "aws ecs update-service --service a --desired-count 4",
        ),
        ("php artisan down --retry 60", "php artisan up"),
        ("ceph osd set noout", "ceph osd unset noout"),
        (
            "curl -X PATCH https://x/security_level -d '{\"value\":\"under_attack\"}'",
            "curl -X PATCH https://x/security_level -d '{\"value\": \"medium\"}'",
        ),
    ] {
        assert_ne!(run(put), [""; 0], "{put}");
        assert_eq!(run(&format!("{put}\n{lift}")), [""; 0], "{put}\n{lift}");
        assert_eq!(measured(&format!("{{ run: {put:?} }}, {{ run: {lift:?} }}")), [""; 0]);
        assert_ne!(run(&format!("{lift}\n{put}")), [""; 0], "the order: {put}");
    }
    let other = "kubectl scale deployment a --replicas=0\nkubectl scale deployment b --replicas=3";
    assert_eq!(run(other), ["in `s`, `deployment/a` is scaled to 0, and nothing lifts it"]);
    for harmless in [
        "kubectl scale deployment a --replicas=3",
        "kubectl get networkpolicy",
        "iptables -L",
        "systemctl stop k3s",
        "echo maintenance",
        "trap 'kubectl uncordon n' EXIT\nkubectl cordon n",
        "psql -c 'SHOW default_transaction_read_only'",
        "mysql -e 'STOP REPLICA; RESET REPLICA ALL'",
    ] {
        assert_eq!(run(harmless), [""; 0], "{harmless}");
    }
}

#[test]
fn a_network_policy_that_lets_nothing_through() {
    let policy = |name: &str, rules: &str| {
        format!(
            "kubectl apply -f - <<EOF\nkind: NetworkPolicy\nmetadata:\n  name: {name}\nspec:\n  podSelector: {{}}\n{rules}EOF\n"
        )
    };
    let run = |text: String| measured(&format!("{{ run: {text:?} }}"));
    let closed = policy("x", "  policyTypes:\n  - Ingress\n");
    assert_eq!(
        run(closed.clone()),
        ["in `s`, the network policy `x` cuts pods off, and nothing lifts it"]
    );
    assert_eq!(run(closed + "kubectl delete networkpolicy x\n"), [""; 0]);
    assert_eq!(run(policy("web", "  ingress:\n  - from: []\n")), [""; 0]);
    assert_eq!(run(policy("emergency-lockdown", "  ingress:\n  - from: []\n")).len(), 1);
}

#[test]
fn measures_in_words() {
    let said = |steps: &[&str]| {
        let steps: Vec<_> = steps.iter().map(|text| format!("{{ manual: {text:?} }}")).collect();
        measured(&steps.join(", "))
    };
    for (put, lift) in [
        ("Put the shop into maintenance mode", "Take the shop out of maintenance mode"),
        ("Enable the maintenance page", "Remove the maintenance page"),
        ("Disable all alerts for the cluster", "Re-enable alerting"),
        ("Pause the nightly cron jobs", "Resume cron jobs"),
        ("Block all inbound traffic at the edge", "Open traffic again"),
        ("Set the database to read-only", "Set the database to read-write"),
        ("Lower the DNS TTL to 60 s", "Restore the TTL of 3600 s"),
        ("Scale the workers to zero", "Scale workers up to 6"),
        ("Suspend replication to Dublin", "Return to normal operation"),
    ] {
        assert_eq!(said(&[put]).len(), 1, "{put}");
        assert_eq!(said(&[put, "Restore the data", lift]), [""; 0], "{put}; {lift}");
    }
    for harmless in [
        "Check whether alerts are disabled",
        "Do not disable backups",
        "Stop the old primary",
        "Use the read-only replica",
        "Schedule a maintenance window",
        "Verify that traffic is blocked",
        "Disable the compromised account",
    ] {
        assert_eq!(said(&[harmless]), [""; 0], "{harmless}");
    }
}

#[test]
fn the_pages_show_what_fires_and_what_mends_it() {
    super::RULES.iter().for_each(crate::rules::testing::page_holds);
}

#[test]
fn s0403_a_channel_needs_what_lost_its_data() {
    let plan = "\
services: { sso: { state: [users] }, login: { needs: [sso] } }
stores: { users: { kind: postgres } }
channels: { chat: { needs: [login] } }
people: { lead: {} }
severities: { p1: { escalation: [{ notify: [lead], by: [chat] }] } }
scenarios: { damage: { severity: p1, destroys: [users] } }
";
    let findings = found("S0403", plan);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(
        findings[0].proof.as_deref(),
        Some(
            "`chat`: it needs `login`, that needs `sso` whose data `users` is gone, and this is lost"
        )
    );
    silent("S0403", &[&plan.replace("destroys: [users]", "impact: none")]);
}
