//! Measures that people describe in words: `Put the shop into maintenance mode`.
//!
//! The rule it keeps: a sentence counts only if a verb and what it acts upon stand close together,
//! and the same words with the opposite verb lift it.

use super::{Change, Event, Source};
use crate::language::{Origin, Step};
use crate::rules::words::words;

/// Something that is switched off or held for a while.
struct Thing {
    /// What it is, for the title.
    what: &'static str,
    names: &'static [&'static str],
}

/// What is switched off, so that it must be switched on.
const THINGS: &[Thing] = &[
    Thing { what: "replication", names: &["replication"] },
    Thing {
        what: "scheduled jobs",
        names: &[
            "cron",
            "crons",
            "cronjobs",
            "crontab",
            "scheduled jobs",
            "scheduled tasks",
            "cron jobs",
            "batch jobs",
            "scheduler",
            "background jobs",
            "timers",
        ],
    },
    Thing {
        what: "alerting",
        names: &["alerts", "alerting", "alarms", "monitoring", "notifications"],
    },
    Thing {
        what: "backups",
        names: &["backups", "backup jobs", "backup job", "the backup schedule"],
    },
    Thing { what: "automatic scaling", names: &["autoscaling", "auto scaling", "autoscaler"] },
    Thing {
        what: "deployments",
        names: &[
            "deploys",
            "deployments to",
            "ci cd",
            "pipelines",
            "the pipeline",
            "continuous deployment",
            "releases",
        ],
    },
    Thing { what: "writes", names: &["writes", "write traffic", "write access"] },
    Thing {
        what: "traffic",
        names: &[
            "traffic",
            "external access",
            "public access",
            "user access",
            "inbound connections",
            "incoming requests",
            "network access",
            "egress",
            "ingress",
        ],
    },
    Thing { what: "consumers and workers", names: &["consumers", "workers", "queue workers"] },
    Thing { what: "logins", names: &["logins", "log ins", "sign ins", "signups", "sign ups"] },
    Thing { what: "automatic failover", names: &["automatic failover", "auto failover"] },
    Thing { what: "checkout", names: &["checkout", "payment processing", "payments"] },
    Thing { what: "integrations", names: &["webhooks", "integrations", "outbound mail"] },
];

const OFF: &[&str] = &[
    "disable",
    "disables",
    "suspend",
    "suspends",
    "pause",
    "pauses",
    "halt",
    "block",
    "freeze",
    "mute",
    "silence",
    "turn off",
    "switch off",
    "shut off",
    "cut off",
    "cut",
];

const ON: &[&str] = &[
    "enable",
    "enables",
    "re enable",
    "reenable",
    "resume",
    "resumes",
    "unpause",
    "restart",
    "start",
    "unblock",
    "unfreeze",
    "unmute",
    "restore",
    "reopen",
    "reconnect",
    "turn on",
    "switch on",
    "turn back on",
    "switch back on",
    "allow",
    "permit",
    "open",
    "reactivate",
    "activate",
    "lift",
    "unsilence",
    "switch",
    "route",
    "redirect",
    "shift",
    "bring back",
    "cut over",
];

/// What ends every measure, in words.
const ALL_BACK: &[&str] = &[
    "normal operation",
    "normal operations",
    "back to normal",
    "return to normal",
    "temporary measures",
    "temporary restrictions",
    "undo",
    "revert all",
    "lift all",
    "resume service",
    "resume services",
    "resume operations",
    "restart all services",
    "start all services",
    "resume all",
    "restore service",
    "re enable everything",
    "promote",
];

/// How many words may stand between a verb and what it acts upon.
const REACH: usize = 5;

pub(super) fn events(step: &Step) -> Vec<Event> {
    let title = step.title.iter().map(|title| (title.value.as_str(), title.origin));
    let manual = step.manual.iter().map(|it| (it.text.as_str(), it.origin()));
    let comments = step.run.iter().map(|it| (it.text.as_str(), it.origin()));
    let mut events: Vec<Event> = Vec::new();
    for (text, origin) in title.chain(manual).chain(comments) {
        for sentence in text.split(['.', ';', '\n']) {
            for event in of_sentence(sentence, origin) {
                // A title and the text below it say the same.
                let is_put = matches!(event.change, Change::Put { .. });
                let known = events.iter().any(|other| {
                    other.kind == event.kind && matches!(other.change, Change::Put { .. }) == is_put
                });
                if !known {
                    events.push(event);
                }
            }
        }
    }
    events
}

fn of_sentence(sentence: &str, origin: Origin) -> Vec<Event> {
    let words: Vec<String> = words(sentence).collect();
    let text = Words(words.iter().map(String::as_str).collect());
    let mut events = Vec::new();
    if text.has_any(ALL_BACK) {
        let kinds = THINGS.iter().map(|thing| thing.what);
        let kinds = kinds.chain(["maintenance mode", "read-only mode", "a short TTL", "scaled"]);
        return kinds.map(|kind| Event::lift(kind, "*", origin)).collect();
    }
    if text.has_any(&["do not", "don t", "never", "without", "if", "whether", "check", "verify"]) {
        return events;
    }
    for thing in THINGS {
        if text.near(OFF, thing.names) {
            events.push(put(thing.what, origin, format!("{} is held back", thing.what)));
        } else if text.near(ON, thing.names) {
            events.push(Event::lift(thing.what, "*", origin));
        }
    }
    events.extend(modes(&text, origin));
    events
}

fn modes(text: &Words<'_>, origin: Origin) -> Vec<Event> {
    const INTO: &[&str] = &[
        "put", "enable", "activate", "enter", "into", "switch", "set", "turn on", "display",
        "show", "make", "place", "start",
    ];
    const OUT: &[&str] = &[
        "disable",
        "deactivate",
        "remove",
        "exit",
        "leave",
        "turn off",
        "out of",
        "end",
        "lift",
        "take down",
        "switch off",
    ];
    let mut events = Vec::new();
    let mut mode = |kind: &'static str, names: &[&str], more: &[&str]| {
        if text.near(OUT, names) || text.has_any(more) {
            events.push(Event::lift(kind, "*", origin));
        } else if text.near(INTO, names) {
            events.push(put(kind, origin, format!("{kind} is on")));
        }
    };
    mode("maintenance mode", &["maintenance mode", "maintenance page", "maintenance banner"], &[]);
    mode(
        "read-only mode",
        &["read only mode", "to read only", "into read only", "as read only"],
        &[
            "read write",
            "writable",
            "allow writes",
            "enable writes",
            "resume writes",
            "accept writes",
        ],
    );
    let lowers = ["lower", "reduce", "decrease", "shorten", "drop"];
    let raises = ["raise", "restore", "increase", "reset", "revert", "set back"];
    let ttl = ["ttl", "ttls", "time to live"];
    if text.near(&lowers, &ttl) {
        events.push(put("a short TTL", origin, "a short TTL is set".to_owned()));
    } else if text.near(&raises, &ttl) {
        events.push(Event::lift("a short TTL", "*", origin));
    }
    if text.near(&["scale"], &["to 0", "to zero", "0 replicas", "zero replicas"]) {
        events.push(put("scaled", origin, "workloads are scaled to 0".to_owned()));
    } else if text.near(&["scale"], &["up", "back", "to"]) {
        events.push(Event::lift("scaled", "*", origin));
    }
    events
}

fn put(kind: &'static str, origin: Origin, what: String) -> Event {
    let hint = "add a step at the end that takes it back, with a probe that shows it; name both: \
                `obliges: […]` here and `lifts: […]` there"
        .to_owned();
    let change = Change::Put { what, hint, source: Source::Words };
    Event { kind, object: String::new(), origin, change }
}

/// The words of a sentence.
struct Words<'t>(Vec<&'t str>);

impl Words<'_> {
    /// The places at which a phrase begins and ends.
    fn places(&self, phrase: &str) -> Vec<(usize, usize)> {
        let wanted: Vec<&str> = phrase.split(' ').collect();
        let windows = self.0.windows(wanted.len()).enumerate();
        windows.filter(|(_, it)| *it == wanted).map(|(at, _)| (at, at + wanted.len())).collect()
    }

    fn has_any(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| !self.places(phrase).is_empty())
    }

    /// Whether one of the verbs stands shortly before one of the names.
    fn near(&self, verbs: &[&str], names: &[&str]) -> bool {
        let names: Vec<usize> =
            names.iter().flat_map(|name| self.places(name)).map(|(start, _)| start).collect();
        let ends = verbs.iter().flat_map(|verb| self.places(verb)).map(|(_, end)| end);
        let mut ends = ends.collect::<Vec<_>>().into_iter();
        ends.any(|end| names.iter().any(|name| (end..=end + REACH).contains(name)))
    }
}
