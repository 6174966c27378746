//! The words of disaster recovery documents: names of columns, fields and sections.
//!
//! The rule it keeps: a word stands here only if it means one thing wherever it is used as a name of
//! a column or a field. All of them are in this file; adding one is adding it to a line.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a column or a field is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Word {
    About,
    Access,
    Action,
    Approve,
    Attribute,
    Author,
    Automatic,
    Backup,
    Changes,
    Channel,
    Classification,
    Command,
    Contact,
    Criteria,
    Date,
    Dependencies,
    Deputy,
    Detection,
    DocumentType,
    Domain,
    Downtime,
    Due,
    Duration,
    EmergencyContact,
    Frequency,
    Impact,
    Last,
    Level,
    Likelihood,
    Location,
    Members,
    Method,
    Metric,
    Mttr,
    Name,
    Next,
    Notify,
    Number,
    Offsite,
    Owner,
    Pass,
    Person,
    Phase,
    Prefers,
    Prerequisites,
    Primary,
    Priority,
    Procedure,
    Purpose,
    Response,
    Retention,
    ReviewEvery,
    Reviewers,
    Role,
    Rpo,
    Rto,
    Scenario,
    Scope,
    Service,
    Severity,
    Size,
    Status,
    Step,
    Store,
    Target,
    Team,
    Test,
    Tier,
    Time,
    Title,
    Updated,
    Url,
    Verification,
    Version,
}

/// Every way a word is written: small letters, single spaces, without what stands in brackets.
const WORDS: &[(Word, &str)] = &[
    (
        Word::About,
        "description|function|what it does|details|detail|notes|note|comment|comments|remarks|beschreibung|bemerkung",
    ),
    (Word::Access, "access|audience|members|who reads it|available to|zugriff"),
    (
        Word::Action,
        "action|work|activity|action item|corrective action|follow-up|task|maßnahme|aktion",
    ),
    (
        Word::Approve,
        "approve|approver|approvers|approved by|approve recovery|approves|approval|authority|decision|decision maker|authorised by|authorized by|declared by|can declare|freigabe",
    ),
    (
        Word::Attribute,
        "field|attribute|property|parameter|key|item|aspect|feld|merkmal|eigenschaft",
    ),
    (Word::Author, "author|changed by|by|editor|autor|bearbeiter"),
    (
        Word::Automatic,
        "automatic recovery|automatic|automatic failover|automated recovery|self-healing|automatisch",
    ),
    (Word::Backup, "backup|backups|backup strategy|backed up|sicherung"),
    (Word::Changes, "changes|change|summary of changes|change description|änderung|änderungen"),
    (Word::Channel, "channel|communication channel|medium|kanal"),
    (Word::Classification, "classification|confidentiality|klassifizierung|vertraulichkeit"),
    (Word::Command, "command|commands|befehl"),
    (
        Word::Contact,
        "contact|contact details|contact information|contact info|phone|phone number|telephone|mobile|email|e-mail|mail|primary contact|telefon|kontakt|mobil",
    ),
    (
        Word::Criteria,
        "criteria|success criteria|pass criteria|acceptance criteria|success criterion|expected result|erfolgskriterien",
    ),
    (Word::Date, "date|datum"),
    (
        Word::Dependencies,
        "dependencies|dependency|hard dependencies|hard dependency|must have|depends on|requires|needs|relies on|upstream|upstream dependencies|prerequisite services|abhängigkeiten|abhängig von|benötigt",
    ),
    (
        Word::Deputy,
        "deputy|backup contact|secondary|secondary contact|alternate|alternate contact|stand-in|substitute|delegate|vertretung|stellvertreter|vertreter",
    ),
    (
        Word::Detection,
        "detection|how to detect|symptoms|symptom|trigger|triggers|indicators|detected by|signs|alert|alerts|erkennung|symptome",
    ),
    (Word::DocumentType, "document type|type of document|dokumenttyp"),
    (
        Word::Domain,
        "hosted on|hosted in|runs on|runs in|host|hosting|platform|site|region|data center|datacenter|data centre|environment|standort|rechenzentrum",
    ),
    (Word::Downtime, "downtime|expected downtime|service interruption|user impact|ausfallzeit"),
    (Word::Due, "due|due date|deadline|fällig|frist"),
    (
        Word::Duration,
        "duration|minutes|hours|minuten|stunden|estimated duration|estimated time|expected duration|time estimate|est time|estimate|time budget|dauer|zeitbedarf",
    ),
    (Word::EmergencyContact, "emergency contact|emergency contacts|24/7 contact|notfallkontakt"),
    (
        Word::Frequency,
        "frequency|when|interval|schedule|how often|cadence|backup frequency|backup schedule|backup interval|rhythm|test frequency|häufigkeit|intervall|zeitplan|turnus",
    ),
    (Word::Impact, "impact|business impact|effect|consequence|auswirkung|auswirkungen"),
    (
        Word::Last,
        "last test|last|result|last result|ergebnis|letztes ergebnis|last tested|last run|last performed|last executed|last drill|last date|last completed|tested on|executed|executed on|performed|carried out|done on|last restore|zuletzt getestet|letzter test",
    ),
    (Word::Level, "level|escalation level|escalation|stufe|eskalationsstufe"),
    (Word::Likelihood, "likelihood|probability|risk|risk level|wahrscheinlichkeit"),
    (
        Word::Location,
        "location|first copy|backup location|backup target|stored in|stored at|storage|destination|backup destination|target location|where|repository|ablageort|sicherungsort|speicherort|ort|ziel",
    ),
    (Word::Members, "participants|attendees|teilnehmer"),
    (
        Word::Method,
        "method|backup method|backup type|type|tool|technology|mechanism|how|kind|methode|art|verfahren|werkzeug",
    ),
    (Word::Metric, "metric|objective|measure|kpi|kennzahl|kriterium"),
    (Word::Mttr, "mttr|mean time to repair|mean time to recovery|mean time to restore"),
    (Word::Name, "name|person name"),
    (Word::Next, "next test|next run|next drill|next date|next scheduled|next due|nächster test"),
    (
        Word::Notify,
        "notify|notifies|escalate to|escalates to|escalation path|notified|who is notified|who|inform|informed|notification|responder|responders|benachrichtigen|eskalation an",
    ),
    (Word::Number, "#|no|nr|id|order|recovery order|sequence|reihenfolge"),
    (Word::Offsite, "offsite|second copy|off-site|off site|offsite copy|extern|ausgelagert"),
    (
        Word::Owner,
        "owner|business owner|service owner|technical owner|system owner|application owner|owned by|responsible|responsibility|responsible team|plan owner|document owner|lead|maintainer|verantwortlich|verantwortlicher|eigentümer|zuständig",
    ),
    (
        Word::Pass,
        "pass|good if|success if|passed if|gut wenn|pass condition|passed when|passes when|bestanden wenn",
    ),
    (
        Word::Person,
        "person|held by|filled by|besetzt durch|on-call person|contact person|contact name|ansprechpartner",
    ),
    (Word::Phase, "phase"),
    (Word::Prefers, "soft dependencies|soft dependency|optional dependencies|weak dependencies"),
    (
        Word::Prerequisites,
        "prerequisites|prerequisite|requirements|before you begin|before you start|you need|needed|preconditions|voraussetzungen",
    ),
    (
        Word::Primary,
        "primary location|primary|primary storage|source|live location|data location|primärstandort|quelle",
    ),
    (
        Word::Priority,
        "priority|criticality|business criticality|class|importance|priorität|kritikalität",
    ),
    (
        Word::Procedure,
        "procedure|recovery procedure|recovery steps|recovery|steps|restore procedure|restore steps|restoration|restoration steps|failover procedure|failover steps|runbook|recovery actions|response steps|actions|immediate actions|mitigation|resolution|instructions|vorgehen|wiederherstellung|wiederanlauf|ablauf|schritte",
    ),
    (Word::Purpose, "purpose|use|used for|usage|zweck"),
    (
        Word::Response,
        "response time|respond within|time to respond|response|acknowledge within|ack time|initial response|reaktionszeit",
    ),
    (
        Word::Retention,
        "retention|retention period|kept for|keep|kept|retained for|retention policy|backup retention|aufbewahrung|aufbewahrungsdauer|aufbewahrungsfrist",
    ),
    (
        Word::ReviewEvery,
        "review cadence|review frequency|review cycle|review interval|reviewed every|review schedule|prüfzyklus|überprüfung",
    ),
    (Word::Reviewers, "reviewers|reviewer|reviewed by|approved by reviewers|prüfer|geprüft von"),
    (Word::Role, "role|function in the team|position|job title|rolle|funktion"),
    (
        Word::Rpo,
        "rpo|loss allowed|allowed loss|allowed data loss|permitted data loss|max loss|acceptable loss|recovery point objective|recovery point|max data loss|maximum data loss|data loss tolerance|data loss|tolerable data loss|acceptable data loss|rpo target|target rpo|maximaler datenverlust|datenverlust",
    ),
    (
        Word::Rto,
        "rto|back within|recovery target|recovery time objective|recovery time|time to recover|max downtime|maximum downtime|maximum tolerable downtime|rto target|target rto|target recovery time|recover within|restore within|wiederanlaufzeit|wiederherstellungszeit",
    ),
    (
        Word::Scenario,
        "scenario|disaster scenario|disaster|failure scenario|incident type|threat|failure|szenario",
    ),
    (Word::Scope, "scope|coverage|what is tested|covers|umfang"),
    (
        Word::Service,
        "service|system|component|application|app|service name|system name|application name|workload|product|dienst|anwendung|komponente|services|systems|applications|components",
    ),
    (Word::Severity, "severity|severity level|sev|incident severity|schweregrad"),
    (Word::Size, "size|data size|volume of data|data volume|database size|größe|datenmenge"),
    (Word::Status, "status|state|zustand"),
    (Word::Step, "step|schritt"),
    (
        Word::Store,
        "data type|data|dataset|data set|data store|datastore|database|store|what|backup item|asset|resource|daten|datenbestand|datenbank",
    ),
    (Word::Target, "target|goal|value|actual target|zielwert|wert"),
    (Word::Team, "team|group|gruppe"),
    (
        Word::Test,
        "test type|test|exercise|exercise type|drill|drill type|type of test|test name|testart|übung",
    ),
    (Word::Tier, "tier|service tier|recovery tier|stage|schutzklasse"),
    (Word::Time, "time|timeout|time limit|within|escalate after|after|wait|zeit|nach"),
    (Word::Title, "title|document title|system covered|plan for|titel"),
    (
        Word::Updated,
        "last updated|updated|last modified|last revised|last change|last reviewed|effective date|revision date|stand|letzte änderung|aktualisiert",
    ),
    (Word::Url, "url|address|link|endpoint|adresse"),
    (
        Word::Verification,
        "verification|validation|verify|verified by|how to verify|verification steps|post-recovery checks|prüfung|verifikation",
    ),
    (Word::Version, "version|revision|document version|rev"),
    (
        Word::Next,
        "next review|next review date|review date|review due|nächste überprüfung|nächste prüfung",
    ),
];

static INDEX: LazyLock<HashMap<&'static str, Word>> = LazyLock::new(|| {
    let mut index = HashMap::new();
    for (word, spellings) in WORDS {
        for spelling in spellings.split('|') {
            index.entry(spelling).or_insert(*word);
        }
    }
    index
});

impl Word {
    /// Whether it is said of one thing, so that a list of such words describes that thing.
    pub(crate) fn is_attribute(self) -> bool {
        !matches!(
            self,
            Self::Action
                | Self::Attribute
                | Self::Backup
                | Self::Channel
                | Self::Command
                | Self::Level
                | Self::Metric
                | Self::Name
                | Self::Number
                | Self::Person
                | Self::Phase
                | Self::Role
                | Self::Scenario
                | Self::Service
                | Self::Step
                | Self::Store
                | Self::Target
                | Self::Team
                | Self::Test
        )
    }

    /// Whether a line with nothing but it and a colon opens something.
    pub(crate) fn is_heading(self) -> bool {
        matches!(
            self,
            Self::Criteria
                | Self::Detection
                | Self::EmergencyContact
                | Self::Impact
                | Self::Prerequisites
                | Self::Procedure
                | Self::Verification
        )
    }
}

/// What a name of a column or a field means.
pub(crate) fn word(name: &str) -> Option<Word> {
    // Longer than any of them, with a bracket.
    const NAME_BYTES_MAX: usize = 80;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    INDEX
        .get(plain(name).as_str())
        .copied()
        .map_or_else(|| in_brackets(name), |word| Some(in_brackets(name).unwrap_or(word)))
}

/// `Wiederanlauf (RTO)`: the short name in the brackets says which target is meant.
fn in_brackets(name: &str) -> Option<Word> {
    let (_, inner) = name.split_once('(')?;
    let inner = plain(inner.split(')').next()?);
    INDEX.get(inner.as_str()).copied().filter(|word| matches!(word, Word::Rto | Word::Rpo))
}

/// Small letters, without brackets, marks and pictures.
pub(crate) fn plain(name: &str) -> String {
    let outside = name.split(['(', '[']).next().unwrap_or("");
    let kept = outside.chars().map(|c| match c {
        '_' => ' ',
        c if c.is_alphanumeric() || matches!(c, '#' | '-' | '/' | ' ' | '\'' | '’') => c,
        _ => ' ',
    });
    let lower: String = kept.flat_map(char::to_lowercase).collect();
    crate::markdown::text::one_line(&lower)
}

/// Whether a heading opens a part of a recovery: `Phase 1: …`, `Step 2 – …`.
pub(crate) fn is_phase(title: &str) -> bool {
    let plain = plain(title);
    let mut words = plain.split(' ');
    let first = words.next().unwrap_or("");
    let number = words.next().unwrap_or("").trim_end_matches(['.', '-']);
    let counted = !number.is_empty()
        && number.len() <= 3
        && number.chars().all(|c| c.is_ascii_alphanumeric())
        && (number.chars().any(|c| c.is_ascii_digit()) || number.len() == 1);
    matches!(first, "phase" | "step" | "stage" | "part" | "schritt" | "teil") && counted
}

/// What a section is about, by the words of its heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Topic {
    AfterIncident,
    Assumptions,
    Backup,
    Contacts,
    Cheatsheet,
    Communication,
    Criteria,
    Credentials,
    Drills,
    Escalation,
    Header,
    Locations,
    Recovery,
    Scenarios,
    Services,
    StatusPage,
    Tier,
}

/// Words in headings, the more telling first.
const TOPICS: &[(Topic, &str)] = &[
    (
        Topic::Cheatsheet,
        "cheatsheet|cheat sheet|quick reference|quick ref|one-page|command reference|useful commands|recovery commands|kurzreferenz|spickzettel",
    ),
    (Topic::StatusPage, "status page|status updates|customer communication|statusseite"),
    (Topic::Credentials, "credentials|access keys|zugangsdaten"),
    (
        Topic::AfterIncident,
        "post-incident|post incident|postmortem|post-mortem|incident report|after action|lessons learned|nachbereitung",
    ),
    (Topic::Criteria, "success criteria|pass criteria|acceptance criteria|erfolgskriterien"),
    (
        Topic::Drills,
        "testing|test schedule|test plan|dr test|dr tests|tests|drill|drills|exercise|exercises|game day|game days|übungen|testplan|notfallübung|notfallübungen",
    ),
    (Topic::Escalation, "escalation|severity|severities|incident levels|eskalation|schweregrade"),
    (
        Topic::Contacts,
        "contacts|contact list|emergency contact|emergency contacts|roles and responsibilities|roles|recovery team|response team|on-call|vendor contacts|kontakte|ansprechpartner|rollen|notfallteam",
    ),
    (Topic::Communication, "communication|communications|notification|channels|kommunikation"),
    (
        Topic::Header,
        "document control|revision history|version history|change log|changelog|document history|document information|dokumentenlenkung|änderungshistorie",
    ),
    (Topic::Locations, "backup locations|backup location|storage locations|sicherungsorte"),
    (
        Topic::Scenarios,
        "scenarios|disaster types|recovery procedures|recovery runbooks|runbooks|playbooks|recovery plans|failure modes|wiederherstellungsverfahren|szenarien|notfallszenarien",
    ),
    (
        Topic::Backup,
        "backup|backups|data protection|wal archiving|retention|sicherung|datensicherung",
    ),
    (Topic::Tier, "tier|tiers|criticality|service classes|priorities|schutzklassen"),
    (
        Topic::Services,
        "services|systems|inventory|components|applications|recovery objectives|objectives|targets|recovery targets|ziele|dienste|systeme|anwendungen",
    ),
    (Topic::Assumptions, "assumptions|annahmen"),
    (
        Topic::Recovery,
        "recovery|recover|restore|restoring|restoration|failover|failback|rebuild|rebuilding|runbook|playbook|wiederherstellung|wiederanlauf",
    ),
];

/// Whether small words with single spaces between them say this.
pub(crate) fn says(words: &str, spelling: &str) -> bool {
    words.match_indices(spelling).any(|(at, found)| {
        let before =
            words.get(..at).is_some_and(|before| before.is_empty() || before.ends_with(' '));
        let behind = words.get(at + found.len()..);
        before && behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(' '))
    })
}

/// What a heading says its section is about.
pub(crate) fn topic(title: &str) -> Option<Topic> {
    let text = plain_words(title);
    let says = |word: &str| says(&text, word);
    TOPICS.iter().find(|(_, words)| words.split('|').any(says)).map(|(topic, _)| *topic)
}

/// Small words with single spaces between them; marks and brackets are spaces.
pub(crate) fn plain_words(text: &str) -> String {
    const LOOKED_AT: usize = 200;
    let kept = text.chars().take(LOOKED_AT).map(|c| match c {
        c if c.is_alphanumeric() || c == '-' => c,
        _ => ' ',
    });
    let lower: String = kept.flat_map(char::to_lowercase).collect();
    let words = lower.split_whitespace().filter(|word| word.contains(char::is_alphanumeric));
    words.collect::<Vec<_>>().join(" ")
}

/// Cells and values that say that there is nothing.
pub(crate) fn is_nothing(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    let text = text.trim_end_matches('.');
    matches!(
        text,
        "" | "-"
            | "–"
            | "—"
            | "none"
            | "no"
            | "nil"
            | "n/a"
            | "na"
            | "not applicable"
            | "nothing"
            | "keine"
            | "kein"
            | "entfällt"
            | "self"
            | "tbd"
            | "tba"
            | "?"
            | "???"
            | "unknown"
            | "not defined"
            | "undefined"
            | "to be defined"
            | "pending"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_has_two_meanings_by_mistake() {
        let mut seen = HashMap::new();
        let mut twice = Vec::new();
        for (word, spellings) in WORDS {
            for spelling in spellings.split('|') {
                assert_eq!(plain(spelling), spelling, "{word:?} is written as it is looked up");
                if let Some(first) = seen.insert(spelling, word) {
                    twice.push((spelling, first, word));
                }
            }
        }
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn names_are_known_however_they_are_written() {
        for (name, expect) in [
            ("RTO (hours)", Some(Word::Rto)),
            ("Wiederanlauf (RTO)", Some(Word::Rto)),
            ("Loss allowed", Some(Word::Rpo)),
            ("Recovery Time Objective", Some(Word::Rto)),
            ("**Max. Data Loss**", Some(Word::Rpo)),
            ("Max Data Loss", Some(Word::Rpo)),
            ("Wiederanlaufzeit", Some(Word::Rto)),
            ("Depends on", Some(Word::Dependencies)),
            ("📅 Last Updated", Some(Word::Updated)),
            ("Favourite colour", None),
        ] {
            assert_eq!(word(name), expect, "{name}");
        }
    }

    #[test]
    fn headings_tell_what_follows() {
        for (title, expect) in [
            ("Disaster Scenarios and Recovery Procedures", Some(Topic::Scenarios)),
            ("Backup Locations", Some(Topic::Locations)),
            ("Quarterly Full DR Test Procedure", Some(Topic::Drills)),
            ("Tier 1: Critical Services", Some(Topic::Tier)),
            ("5. Restoring the database", Some(Topic::Recovery)),
            ("Weather", None),
        ] {
            assert_eq!(topic(title), expect, "{title}");
        }
        assert!(is_phase("Phase 1: Infrastructure"));
        assert!(is_phase("Step 12 – Go"));
        assert!(!is_phase("Step by step"));
        assert!(!is_phase("Phases"));
    }
}
