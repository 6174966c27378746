//! People, how they are reached, and who decides.

use std::time::Duration;

use jiff::civil::Date;

use crate::language::at::At;
use crate::language::define::{section, words};
use crate::language::scalar::{Every, Script};
use crate::text::Reference;
use crate::vault::PublicKey;

section! {
    /// A person, or a role that one person at a time fills.
    pub struct Person, "a person" {
        /// The name or the role.
        title: Option<At<String>>,
        /// How to reach them: telephone numbers, addresses; the first is tried first.
        contacts: Vec<At<String>>,
        /// Who steps in.
        deputy: Option<At<String>>,
        /// Where the secret is that they make the codes with by which they approve a step of a run:
        /// `${file:…}` or `${env:…}`, on their machine and on the one that carries the run out.
        approves_with: Option<At<Reference>>,
        /// The public key of the one that they sign an approval with, where they have a terminal and
        /// not only a telephone: nobody else's secret is needed to check it, and anybody can later.
        signs_with: Option<At<PublicKey>>,
    }
}

section! {
    /// People who answer for something together.
    pub struct Team, "a team" {
        /// Its name for people.
        title: Option<At<String>>,
        /// People of `people`.
        members: Vec<At<String>>,
        /// How to reach it.
        contacts: Vec<At<String>>,
        /// One of them is always on call, and who it is stands there: a channel, or words.
        on_call: Option<At<String>>,
        /// Who steps in: a team or a person.
        deputy: Option<At<String>>,
    }
}

words! {
    /// How a channel reaches people.
    pub enum ChannelKind, "a kind of channel" {
        /// Wakes the one on call, and asks again.
        Pager = "pager",
        /// A room that people write in.
        Chat = "chat",
        /// Mail.
        Mail = "mail",
        /// Telephone or text message.
        Telephone = "telephone",
        /// A page that customers look at.
        StatusPage = "status-page",
        /// A list of tickets.
        Tickets = "tickets",
        /// A conference call or video room.
        Meeting = "meeting",
    }
}

section! {
    /// A way to reach people.
    pub struct Channel, "a channel" {
        /// Its name for people.
        title: Option<At<String>>,
        /// How it reaches them.
        kind: Option<At<ChannelKind>>,
        /// What it is used for.
        purpose: Option<At<String>>,
        /// Where it is: an address, a room, a number.
        address: Option<At<String>>,
        /// Who reads it.
        readers: Vec<At<String>>,
        /// The failure domains it lies in.
        domains: Vec<At<String>>,
        /// Services it does not work without: the name service, single sign-on.
        needs: Vec<At<String>>,
        /// The channel that takes over when it is down.
        fallback: Option<At<String>>,
    }
}

section! {
    /// A step of an escalation: who is told, and what happens if nobody answers.
    pub struct Level, "a level of an escalation" {
        /// Who: people or teams.
        notify: Vec<At<String>> = "notify: [on-call]",
        /// Through which channels.
        by: Vec<At<String>>,
        /// How long they have to answer before the next level is told.
        acknowledge: Option<At<Duration>>,
        /// Who is told if they cannot be reached: a person or a team.
        deputy: Option<At<String>>,
    }
}

section! {
    /// How bad it is, and what follows from it for people.
    pub struct Severity, "a severity" {
        /// Its name for people.
        title: Option<At<String>>,
        /// When something is that bad.
        when: Option<At<String>>,
        /// How long until somebody works on it.
        respond: Option<At<Duration>>,
        /// Who is told, one after the other.
        escalation: Vec<Level>,
        /// Who may say yes to a recovery: people or teams.
        approvers: Vec<At<String>>,
        /// How many of them must.
        approvals: Option<At<u32>>,
        /// How long an approval takes; else as long as the level takes to answer.
        approve_within: Option<At<Duration>>,
        /// Told in any case, without having to answer: channels, teams.
        informs: Vec<At<String>>,
    }
}

section! {
    /// What customers are told, by whom and how often.
    pub struct StatusPage, "the status page" {
        /// The channel.
        channel: Option<At<String>>,
        /// How often there is an update while it lasts.
        every: Option<At<Every>>,
        /// Who writes it: a person or a team.
        owner: Option<At<String>>,
        /// The first words come after at most so long.
        first_within: Option<At<Duration>>,
        /// Texts to begin from.
        templates: Vec<Template>,
    }
}

section! {
    /// A text to begin from.
    pub struct Template, "a template" {
        /// What it is for.
        title: Option<At<String>>,
        /// The text; what stands in `<…>` is filled in.
        text: Option<Script>,
    }
}

section! {
    /// What is done after an incident.
    pub struct AfterIncident, "what follows an incident" {
        /// The review is held within so long.
        review_within: Option<At<Every>>,
        /// Who leads it: a person or a team.
        owner: Option<At<String>>,
        /// The report to begin from.
        report: Option<Script>,
        /// Where reports are kept.
        kept_in: Option<At<String>>,
        /// What is open from earlier ones.
        actions: Vec<Action>,
    }
}

section! {
    /// Something that somebody promised to do.
    pub struct Action, "an action" {
        /// What.
        what: Option<At<String>>,
        /// Who: a person or a team.
        owner: Option<At<String>>,
        /// Until when.
        due: Option<At<Date>>,
        /// It is done.
        done: Option<At<bool>>,
    }
}
