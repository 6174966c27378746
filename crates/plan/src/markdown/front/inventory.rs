//! Tables of what there is: machines, components, what runs where.
//!
//! The rule it keeps: what such a table names is declared. It gets no objective by that, and what a
//! provider runs for all its customers need not be declared by anybody.

use super::table::Columns;
use super::{Reading, insert, sections};
use crate::language::Service;
use crate::markdown::names::without_brackets;
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Document, Table};
use crate::markdown::vocabulary::{Word, plain_words};

/// More rows than this are no inventory that people read.
const ROWS_MAX: usize = 500;

/// What providers run for all their customers, by the names people use.
const MANAGED: &[&str] = &[
    "vpc",
    "kms",
    "iam",
    "ec2",
    "ebs",
    "efs",
    "s3",
    "sqs",
    "sns",
    "rds",
    "ecs",
    "eks",
    "ecr",
    "fargate",
    "lambda",
    "elasticache",
    "dynamodb",
    "secrets manager",
    "route 53",
    "cloudfront",
    "cloudwatch",
    "acm",
    "alb",
    "cloud sql",
    "cloud storage",
    "gke",
    "cloud dns",
    "azure ad",
    "entra id",
    "key vault",
    "blob storage",
    "aks",
    "okta",
    "auth0",
    "pagerduty",
    "opsgenie",
    "statuspage",
    "atlassian statuspage",
    "twilio",
    "stripe",
    "cloudflare",
    "github",
    "datadog",
];

pub(super) fn read(document: &Document, reading: &mut Reading) {
    for (_, section) in sections(document) {
        for block in &section.blocks {
            if let Block::Paragraph(text) = block {
                reading.inventory.extend(placed(text.as_str()));
            }
            if let Block::Table(table) = block
                && is_inventory(table)
            {
                reading.understand(table.origin);
                for cell in table.rows.iter().take(ROWS_MAX).flatten() {
                    reading.inventory.push(format!(" {} ", plain_words(cell.as_str())));
                }
            }
        }
    }
}

/// `Component | Technology | Where`, `Host | Site | Hardware | Role`: where things are and what they
/// are made of, and no word on how they come back.
fn is_inventory(table: &Table) -> bool {
    let columns = Columns::of(table);
    let named = matches!(columns.word(0), Some(Word::Service | Word::Domain));
    let placed = columns.has_any(&[Word::Location, Word::Domain, Word::Role, Word::Method]);
    let told = [
        Word::Rto,
        Word::Rpo,
        Word::Dependencies,
        Word::Tier,
        Word::Priority,
        Word::Backup,
        Word::Frequency,
        Word::Retention,
        Word::Contact,
        Word::Severity,
        Word::Offsite,
        Word::Primary,
    ];
    named && placed && table.columns.len() > 2 && !columns.has_any(&told)
}

/// "etcd runs on the two database servers": what a paragraph begins with, if it says where it runs.
fn placed(paragraph: &str) -> Option<String> {
    let (name, _) = ["runs on ", "runs in ", "run on ", "läuft auf "]
        .iter()
        .find_map(|verb| paragraph.split_once(verb))?;
    let name = plain_words(name);
    (!name.is_empty() && name.split(' ').count() <= 2).then(|| format!(" {name} "))
}

/// What a need is that is no service of the plan.
pub(super) enum Known {
    /// A provider runs it; the service that stands for it.
    External(String),
    /// It is among the machines and parts, and nothing says when it is back.
    Part,
}

/// A machine or a part in an inventory, or what a provider runs.
pub(super) fn known(part: &Text, reading: &mut Reading) -> Option<Known> {
    let outside = without_brackets(part.as_str());
    let words = plain_words(outside);
    if words.is_empty() {
        return None;
    }
    if MANAGED.contains(&words.as_str()) {
        let at = part.as_str().find(outside).unwrap_or(0);
        let title = part.slice(at..at + outside.len());
        let service = Service {
            title: Some(title.value()),
            external: Some(part.at(true)),
            ..Service::default()
        };
        let name = insert(&mut reading.plan.services, &title, service);
        reading.services.add(&name, title.as_str());
        return Some(Known::External(name));
    }
    let padded = format!(" {words} ");
    let is_part = reading.inventory.iter().any(|cell| cell.contains(&padded));
    is_part.then_some(Known::Part)
}
