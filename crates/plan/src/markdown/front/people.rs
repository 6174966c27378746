//! Severities and escalation, channels, contacts, and what customers are told.

use super::header::{person, team};
use super::table::Columns;
use super::{Reading, insert, is_about, parts, sections};
use crate::check::SnippetRole;
use crate::language::{
    Action, AfterIncident, At, Channel, ChannelKind, Every, Level, Person, Script, Severity,
    StatusPage, Team, Template,
};
use crate::markdown::measure::{date, spans, target};
use crate::markdown::names::{slug, without_brackets};
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Code, Document, Section, Table};
use crate::markdown::vocabulary::{Topic, Word, is_nothing, plain_words, says};

pub(super) fn read(document: &Document, reading: &mut Reading) {
    for (at, section) in sections(document) {
        for block in &section.blocks {
            let Block::Table(table) = block else { continue };
            if !reading.is_understood(table.origin) {
                severities(table, reading);
                channels(table, reading);
                contacts(table, reading);
                levels(table, reading);
            }
        }
        if is_about(document, at, &[Topic::StatusPage]) {
            status_page(section, reading);
        } else if is_about(document, at, &[Topic::Communication]) {
            cadence_in_prose(section, reading);
        }
        if is_about(document, at, &[Topic::AfterIncident]) {
            after_incident(section, reading);
        }
    }
    let channel = reading.plan.channels.iter().find(|(_, channel)| {
        channel.kind.is_some_and(|kind| kind.value == ChannelKind::StatusPage)
    });
    let channel = channel.map(|(name, _)| name.clone());
    if let Some(page) = &mut reading.plan.status_page {
        page.channel = page.channel.take().or(channel);
    }
    severities_of_scenarios(reading);
}

/// The table of severities: who is told, how soon, who decides.
fn severities(table: &Table, reading: &mut Reading) {
    let columns = Columns::of(table);
    let Some(name_column) = columns.first(&[Word::Severity, Word::Priority, Word::Level]) else {
        return;
    };
    let tells = [Word::Response, Word::Notify, Word::Approve];
    if !columns.has_any(&tells) || columns.has_any(&[Word::Service, Word::Scenario, Word::Contact])
    {
        return;
    }
    reading.understand(table.origin);
    for row in &table.rows {
        let Some(title) = row.get(name_column).filter(|title| !title.is_blank()) else { continue };
        let cell = |word| columns.cell(row, word).filter(|cell| !is_nothing(cell.as_str()));
        let mut severity = Severity {
            title: Some(title.value()),
            when: [Word::About, Word::Impact, Word::Criteria]
                .iter()
                .find_map(|word| cell(*word))
                .map(Text::value),
            ..Severity::default()
        };
        if let Some(response) = cell(Word::Response) {
            severity.respond = target(response, columns.unit(Word::Response));
            if severity.respond.is_none() {
                reading
                    .cannot_read(response.origin(), "a duration was expected here, such as 15 min");
            }
        }
        if let Some(notify) = cell(Word::Notify) {
            escalation(notify, &mut severity, reading);
        }
        for part in cell(Word::Approve).map(parts).unwrap_or_default() {
            severity.approvers.push(part.at(person(&part, reading)));
        }
        insert(&mut reading.plan.severities, title, severity);
    }
}

/// `On-call → Team Lead → CTO`: who is told one after the other. A list of tickets is told, and does
/// not answer.
fn escalation(cell: &Text, severity: &mut Severity, reading: &mut Reading) {
    const ARROWS: [&str; 6] = ["→", "->", "=>", "⇒", " > ", ", then "];
    let levels = cell.split(|rest| {
        let found = ARROWS.iter().filter_map(|arrow| Some((rest.find(arrow)?, arrow.len())));
        found.min().map(|(at, len)| at..at + len)
    });
    for level in levels {
        let mut notify = Vec::new();
        for part in parts(&level) {
            match channel_kind(part.as_str()) {
                Some(_) => severity.informs.push(part.at(channel(&part, reading))),
                None => notify.push(part.at(person(&part, reading))),
            }
        }
        if !notify.is_empty() {
            severity.escalation.push(Level { notify, ..Level::default() });
        }
    }
}

/// Words that ways to reach people are called by.
const CHANNELS: &[(&str, ChannelKind)] = &[
    ("pagerduty|opsgenie|pager|victorops|alertmanager|grafana oncall", ChannelKind::Pager),
    ("status page|statuspage|status site|statusseite", ChannelKind::StatusPage),
    ("slack|teams|mattermost|discord|irc|chat|rocket chat|matrix", ChannelKind::Chat),
    ("email|e-mail|mail|mailing list", ChannelKind::Mail),
    ("phone|telephone|sms|call tree|text message|telefon|signal|whatsapp", ChannelKind::Telephone),
    ("ticket|tickets|ticket queue|jira|servicenow|zendesk", ChannelKind::Tickets),
    ("zoom|google meet|conference|bridge|war room|meeting|conference bridge", ChannelKind::Meeting),
];

/// The kind of channel that words call, if they call one.
fn channel_kind(words: &str) -> Option<ChannelKind> {
    let text = plain_words(words);
    let says = |word: &str| says(&text, word);
    CHANNELS.iter().find(|(words, _)| words.split('|').any(says)).map(|(_, kind)| *kind)
}

/// The channel of that title, added if it is new.
fn channel(title: &Text, reading: &mut Reading) -> String {
    let name = slug(title.as_str());
    if reading.plan.channels.contains(&name) {
        return name;
    }
    let kind = channel_kind(title.as_str()).map(|kind| title.at(kind));
    let address = address_in(title);
    let channel = Channel { title: Some(title.value()), kind, address, ..Channel::default() };
    insert(&mut reading.plan.channels, title, channel)
}

/// `#incidents` in `Slack #incidents`, `incidents@` in `Email: incidents@`.
fn address_in(text: &Text) -> Option<At<String>> {
    let written = text.as_str();
    let word = written.split_whitespace().find(|word| {
        word.contains("://")
            || (word.contains('@') && word.len() > 2)
            || (word.starts_with('#') && word.len() > 1)
    })?;
    let at = written.find(word)?;
    Some(
        text.slice(at..at + word.len())
            .trim_matches(|c| matches!(c, ',' | ';' | '(' | ')'))
            .value(),
    )
}

fn channels(table: &Table, reading: &mut Reading) {
    let columns = Columns::of(table);
    let Some(name_column) = columns.position(Word::Channel) else { return };
    if !columns.has_any(&[Word::Purpose, Word::Access, Word::Contact, Word::About, Word::Url]) {
        return;
    }
    reading.understand(table.origin);
    for row in &table.rows {
        let Some(title) = row.get(name_column).filter(|title| !title.is_blank()) else { continue };
        let cell = |word| columns.cell(row, word).filter(|cell| !is_nothing(cell.as_str()));
        let name = channel(title, reading);
        let readers: Vec<At<String>> = cell(Word::Access)
            .map(parts)
            .unwrap_or_default()
            .iter()
            .filter(|part| {
                !matches!(plain_words(part.as_str()).as_str(), "public" | "all" | "everyone")
            })
            .map(|part| part.at(team(part, reading)))
            .collect();
        let Some(channel) = reading.plan.channels.get_mut(&name) else { continue };
        let purpose = cell(Word::Purpose).or_else(|| cell(Word::About)).map(Text::value);
        channel.purpose = channel.purpose.take().or(purpose);
        let address = cell(Word::Url).or_else(|| cell(Word::Contact)).map(Text::value);
        channel.address = channel.address.take().or(address);
        channel.readers.extend(readers);
    }
}

/// A table of people with ways to reach them.
fn contacts(table: &Table, reading: &mut Reading) {
    let columns = Columns::of(table);
    let Some(name_column) =
        columns.first(&[Word::Role, Word::Person, Word::Name, Word::Team, Word::Owner])
    else {
        return;
    };
    let reached = columns.has(Word::Contact);
    let deputy = columns.has_any(&[Word::Deputy, Word::Backup])
        && columns.has_any(&[Word::Role, Word::Person, Word::Name]);
    if !(reached || deputy)
        || columns.has_any(&[Word::Service, Word::Severity, Word::Rto, Word::Frequency])
    {
        return;
    }
    reading.understand(table.origin);
    for row in &table.rows {
        let Some(title) = row.get(name_column).filter(|title| !is_nothing(title.as_str())) else {
            continue;
        };
        let name = person(title, reading);
        let deputy = columns.cell(row, Word::Deputy).or_else(|| columns.cell(row, Word::Backup));
        if let Some(cell) = deputy.filter(|cell| is_nobody(cell.as_str())) {
            let shown = crate::markdown::text::one_line(title.as_str());
            reading.facts.without_deputy.push(cell.at(shown));
        }
        let deputy = deputy.filter(|cell| !is_nobody(cell.as_str()));
        let deputy = deputy.filter(|cell| !is_nothing(cell.as_str())).map(|cell| {
            let inside = Text::trim(cell);
            inside.at(person(&inside, reading))
        });
        let mut ways = Vec::new();
        for (column, cell) in row.iter().enumerate() {
            let is_way = columns.word(column) == Some(Word::Contact);
            if is_way && !cell.is_blank() {
                ways.extend(parts_of_contact(cell));
            }
        }
        add_contacts(&name, ways, deputy, reading);
    }
}

/// `none`, `none (wait for return)`: a cell that says that there is nobody.
fn is_nobody(cell: &str) -> bool {
    let outside = without_brackets(cell).trim().to_lowercase();
    matches!(outside.as_str(), "none" | "nobody" | "no one" | "keine" | "keiner" | "niemand")
}

/// Ways to reach somebody, several in a cell. Placeholders stay: that nobody is behind them matters.
fn parts_of_contact(cell: &Text) -> Vec<At<String>> {
    let parts = cell.split(|rest| rest.find([',', ';', '\n']).map(|at| at..at + 1));
    parts.iter().map(Text::value).collect()
}

/// Adds ways to reach a person or a team.
pub(super) fn add_contacts(
    name: &str,
    ways: Vec<At<String>>,
    deputy: Option<At<String>>,
    reading: &mut Reading,
) {
    if let Some(Person { contacts, deputy: own, .. }) = reading.plan.people.get_mut(name) {
        contacts.extend(ways);
        *own = own.take().or(deputy);
    } else if let Some(Team { contacts, deputy: own, .. }) = reading.plan.teams.get_mut(name) {
        contacts.extend(ways);
        *own = own.take().or(deputy);
    }
}

/// A table of levels without severities: `Level | Who | After`. They are those of every severity
/// that has none.
fn levels(table: &Table, reading: &mut Reading) {
    let columns = Columns::of(table);
    if reading.is_understood(table.origin) || !columns.has(Word::Level) {
        return;
    }
    let Some(who) =
        columns.first(&[Word::Notify, Word::Role, Word::Person, Word::Contact, Word::Team])
    else {
        return;
    };
    reading.understand(table.origin);
    let mut escalation = Vec::new();
    for row in &table.rows {
        let Some(cell) = row.get(who).filter(|cell| !is_nothing(cell.as_str())) else { continue };
        let notify = parts(cell).iter().map(|part| part.at(person(part, reading))).collect();
        let time = [Word::Time, Word::Response]
            .iter()
            .find_map(|word| target(columns.cell(row, *word)?, columns.unit(*word)));
        escalation.push(Level { notify, acknowledge: time, ..Level::default() });
    }
    for (_, severity) in reading.plan.severities.iter_mut() {
        if severity.escalation.is_empty() {
            severity.escalation = escalation.clone();
        }
    }
}

/// What customers are told: texts to begin from, and how often.
fn status_page(section: &Section, reading: &mut Reading) {
    let mut page = reading.plan.status_page.take().unwrap_or_default();
    for block in &section.blocks {
        if let Block::Code(code) = block
            && matches!(code.language.as_str(), "markdown" | "md" | "text" | "")
        {
            reading.understand(code.origin);
            page.every = page.every.or_else(|| cadence(&code.text));
            page.templates.extend(templates(code));
        }
    }
    reading.plan.status_page = (page != StatusPage::default()).then_some(page);
    cadence_in_prose(section, reading);
}

/// `Updates will be provided every 30 minutes` in plain words.
fn cadence_in_prose(section: &Section, reading: &mut Reading) {
    for block in &section.blocks {
        let texts: Vec<&Text> = match block {
            Block::Paragraph(text) => vec![text],
            Block::List(list) => list.items.iter().map(|item| &item.text).collect(),
            _ => Vec::new(),
        };
        for text in texts {
            if let Some(every) = cadence(text) {
                reading.understand(text.origin());
                reading
                    .plan
                    .status_page
                    .get_or_insert_with(StatusPage::default)
                    .every
                    .get_or_insert(every);
            }
        }
    }
}

fn cadence(text: &Text) -> Option<At<Every>> {
    let lower = text.as_str().to_lowercase();
    if lower.len() != text.len() {
        return None;
    }
    let mut from = 0;
    while let Some(at) = lower.get(from..).and_then(|rest| rest.find("every ")).map(|at| from + at)
    {
        let behind = at + "every ".len();
        let sentence = lower.get(..at)?.rsplit(['.', '\n']).next().unwrap_or("");
        let span = spans(text.as_str().get(behind..)?).into_iter().next();
        if let Some(span) = span.filter(|span| span.at.start == 0 && sentence.contains("update")) {
            let every = Every { months: 0, length: span.high };
            return Some(text.slice(behind..behind + span.at.end).at(every));
        }
        from = behind;
    }
    None
}

/// The texts between headings of a template; the whole, if it has none.
fn templates(code: &Code) -> Vec<Template> {
    let written = code.text.as_str();
    let heads: Vec<usize> = written
        .match_indices("## ")
        .map(|(at, _)| at)
        .filter(|at| *at == 0 || written.get(..*at).is_some_and(|before| before.ends_with('\n')))
        .collect();
    let whole = |text: Text| -> Script { crate::markdown::tree::script(&text) };
    if heads.is_empty() {
        return vec![Template { title: None, text: Some(whole(code.text.clone())) }];
    }
    let ends = heads.iter().skip(1).copied().chain([written.len()]);
    let pieces = heads.iter().zip(ends).map(|(start, end)| code.text.slice(*start..end));
    pieces
        .map(|piece| {
            let title = piece.lines().into_iter().next();
            let title =
                title.map(|line| line.trim_matches(|c| c == '#' || c.is_whitespace()).value());
            let body = piece.trim_matches(|c| c.is_whitespace() || c == '-');
            Template { title, text: Some(whole(body)) }
        })
        .collect()
}

/// The report to begin from, and what is open from earlier incidents.
fn after_incident(section: &Section, reading: &mut Reading) {
    let mut after = reading.plan.after_incident.take().unwrap_or_default();
    for block in &section.blocks {
        match block {
            Block::Code(code) if after.report.is_none() && code.text.len() > 80 => {
                reading.understand(code.origin);
                after.report = Some(code.script());
            }
            Block::Code(code) => reading.keep_code(&section.title, code, SnippetRole::Template),
            Block::Table(table) => actions(table, &mut after, reading),
            _ => {}
        }
    }
    reading.plan.after_incident = (after != AfterIncident::default()).then_some(after);
}

fn actions(table: &Table, after: &mut AfterIncident, reading: &mut Reading) {
    let columns = Columns::of(table);
    if !columns.has(Word::Action) || !columns.has_any(&[Word::Due, Word::Status]) {
        return;
    }
    reading.understand(table.origin);
    for row in &table.rows {
        let cell = |word| columns.cell(row, word).filter(|cell| !is_nothing(cell.as_str()));
        let done = cell(Word::Status).map(|cell| {
            let words = plain_words(cell.as_str());
            cell.at(matches!(words.as_str(), "done" | "completed" | "complete" | "closed"))
        });
        after.actions.push(Action {
            what: cell(Word::Action).map(Text::value),
            owner: cell(Word::Owner).map(|cell| cell.at(team(cell, reading))),
            due: cell(Word::Due).and_then(|cell| Some(cell.at(date(cell.as_str())?))),
            done,
        });
    }
}

/// Severities that scenarios name, by the names of the plan.
fn severities_of_scenarios(reading: &mut Reading) {
    let known: Vec<(String, String)> = reading
        .plan
        .severities
        .iter()
        .map(|(name, severity)| {
            let title = severity.title.as_ref().map_or("", |title| title.value.as_str());
            (name.value.clone(), plain_words(title))
        })
        .collect();
    for (_, scenario) in reading.plan.scenarios.iter_mut() {
        let Some(own) = &mut scenario.severity else { continue };
        let said = plain_words(without_brackets(&own.value));
        let first = |title: &str| title.split(' ').next().unwrap_or("").to_owned();
        let mut fits = known.iter().filter(|(_, title)| {
            *title == said
                || first(title) == first(&said)
                || title.split(' ').any(|word| word == said)
        });
        if let (Some((name, _)), None) = (fits.next(), fits.next()) {
            own.value = name.clone();
        }
    }
}
