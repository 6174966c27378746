//! Who is who in a plan: names and titles of people, teams and channels, and how they are reached.
//!
//! The rule it keeps: a document calls somebody `Team Lead` where another place says `team-lead`;
//! both are the same. What is no person at all (a queue of tickets, the one who asks) is known.

use std::collections::BTreeMap;

use crate::language::{At, Channel, Person, Plan, Team};
use crate::rules::words::folded;

/// What a name of the plan stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who<'p> {
    Person(&'p Person),
    Team(&'p Team),
    Channel(&'p Channel),
}

/// An entry of the plan: its name, what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'p> {
    pub(crate) name: &'p At<String>,
    pub(crate) who: Who<'p>,
}

/// All people, teams and channels by name and by title.
pub(crate) struct Directory<'p> {
    entries: BTreeMap<String, Entry<'p>>,
}

impl<'p> Entry<'p> {
    /// Its title, else its name.
    pub(crate) fn shown(&self) -> &'p str {
        let title = match self.who {
            Who::Person(person) => &person.title,
            Who::Team(team) => &team.title,
            Who::Channel(channel) => &channel.title,
        };
        title.as_ref().map_or(self.name.value.as_str(), |title| title.value.as_str())
    }
}

impl<'p> Directory<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Self {
        let people = plan.people.iter().map(|(name, person)| (name, Who::Person(person)));
        let teams = plan.teams.iter().map(|(name, team)| (name, Who::Team(team)));
        let channels = plan.channels.iter().map(|(name, channel)| (name, Who::Channel(channel)));
        let all = people.chain(teams).chain(channels);
        let all: Vec<Entry<'p>> = all.map(|(name, who)| Entry { name, who }).collect();
        let mut entries = BTreeMap::new();
        // Names come before titles, and the first that was written before those that repeat it.
        for entry in &all {
            entries.entry(folded(&entry.name.value)).or_insert(*entry);
        }
        for entry in &all {
            entries.entry(folded(entry.shown())).or_insert(*entry);
        }
        Self { entries }
    }

    /// What a name or title stands for.
    pub(crate) fn find(&self, written: &str) -> Option<Entry<'p>> {
        self.entries.get(&folded(written)).copied()
    }

    /// How people call it.
    pub(crate) fn shown<'a>(&self, written: &'a str) -> &'a str
    where
        'p: 'a,
    {
        self.find(written).map_or(written, |entry| entry.shown())
    }

    /// Whether two names stand for the same.
    pub(crate) fn is_same(&self, one: &str, other: &str) -> bool {
        match (self.find(one), self.find(other)) {
            (Some(one), Some(other)) => one.name.origin == other.name.origin,
            (None, None) => folded(one) == folded(other),
            _ => false,
        }
    }

    /// Whether `who` is `written`, or a member of the team `written`, or steps in for it.
    pub(crate) fn belongs(&self, who: &str, written: &str) -> bool {
        if self.is_same(who, written) {
            return true;
        }
        let (deputy, members) = match self.find(written).map(|entry| entry.who) {
            Some(Who::Person(person)) => (person.deputy.as_ref(), &[][..]),
            Some(Who::Team(team)) => (team.deputy.as_ref(), &team.members[..]),
            _ => (None, &[][..]),
        };
        deputy.into_iter().chain(members).any(|name| self.is_same(who, &name.value))
    }

    /// Whether one of them, or a member of one, is or belongs to the other.
    pub(crate) fn overlaps(&self, one: &str, other: &str) -> bool {
        let members = |name: &str| match self.find(name).map(|entry| entry.who) {
            Some(Who::Team(team)) => &team.members[..],
            _ => &[][..],
        };
        self.belongs(one, other)
            || self.belongs(other, one)
            || members(one).iter().any(|member| self.belongs(&member.value, other))
    }

    /// Whether more than one person stands behind the name, so that one who sleeps is no disaster.
    /// Where the plan does not say how many there are, it is taken to be so.
    pub(crate) fn is_covered(&self, written: &str) -> bool {
        match self.find(written).map(|entry| entry.who) {
            Some(Who::Person(person)) => match &person.deputy {
                Some(deputy) => !self.is_same(&deputy.value, written),
                None => is_many(written) || person.title.as_deref().is_some_and(|t| is_many(t)),
            },
            Some(Who::Team(team)) => {
                team.deputy.is_some() || team.on_call.is_some() || team.members.len() != 1
            }
            Some(Who::Channel(_)) => true,
            None => is_many(written) || is_nobody(written),
        }
    }
}

/// Words at the end of a name that more than one person answers to.
const MANY: &[&str] = &[
    "team",
    "teams",
    "rotation",
    "rota",
    "group",
    "staff",
    "desk",
    "engineers",
    "engineering",
    "operations",
    "ops",
    "sre",
    "sres",
    "noc",
    "soc",
    "support",
    "department",
    "committee",
    "board",
    "developers",
    "admins",
    "administrators",
    "leads",
    "managers",
    "management",
    "leadership",
    "executives",
    "stakeholders",
    "everyone",
    "all",
    "devops",
    "infrastructure",
    "security",
];

/// Whether a name is that of a group, or of a turn that people take.
fn is_many(written: &str) -> bool {
    let name = folded(written);
    let is_on_call = name.contains("on call") || name.contains("oncall") || name.contains("duty");
    is_on_call || name.rsplit(' ').next().is_some_and(|last| MANY.contains(&last))
}

/// Whether a name is nobody who could sleep: a queue of tickets, the one who asks, none.
pub(crate) fn is_nobody(written: &str) -> bool {
    let name = folded(written);
    let words = ["ticket", "tickets", "queue", "backlog", "self", "none", "nobody", "automatic"];
    let mut parts = name.split(' ');
    name.is_empty() || name == "n a" || parts.any(|word| words.contains(&word))
}
