//! S0115: how long clients keep an address, against how soon a service must be back at another one.

use std::time::Duration;

use super::STALE_ADDRESS;
use crate::check::{Finding, Model, SnippetRole};
use crate::rules::words::folded;
use crate::units::format_duration;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let graph = &model.objectives.graph;
    for snippet in &model.facts.snippets {
        if snippet.role != SnippetRole::Configuration {
            continue;
        }
        for record in records(&snippet.script.text) {
            let label = folded(record.name.split('.').next().unwrap_or(""));
            let service = graph.ids().find(|id| {
                let title = graph.title(*id).split('(').next().unwrap_or("");
                folded(title) == label || folded(graph.name(*id)) == label
            });
            let Some((id, rto)) = service.and_then(|id| Some((id, graph.rto(id)?))) else {
                continue;
            };
            if record.ttl <= rto.value {
                continue;
            }
            let (kept, promised) = (format_duration(record.ttl), format_duration(rto.value));
            let title = graph.title(id);
            let words = format!(
                "clients may keep the address of {title} for {kept}, and it is promised in {promised}"
            );
            findings.push(
                Finding::new(&STALE_ADDRESS, snippet.script.place(record.place), words)
                    .here(format!("kept for {kept}"))
                    .label(rto.origin, "what is promised")
                    .proof(format!("{} s are {kept}", record.ttl.as_secs()))
                    .hint(
                        "set it to a minute or a few, long before it is needed: clients that have the old \
                         record keep it for as long as it said",
                    ),
            );
        }
    }
}

/// A record of a name service.
struct Record<'t> {
    name: &'t str,
    ttl: Duration,
    place: std::ops::Range<usize>,
}

/// The records that a configuration of Terraform declares.
fn records(text: &str) -> Vec<Record<'_>> {
    const RESOURCES: &[&str] = &[
        "aws_route53_record",
        "cloudflare_record",
        "google_dns_record_set",
        "azurerm_dns_",
        "hetznerdns_record",
    ];
    let mut found = Vec::new();
    let mut starts: Vec<usize> = text.match_indices("resource \"").map(|(at, _)| at).collect();
    starts.push(text.len());
    for pair in starts.windows(2) {
        let block = text.get(pair[0]..pair[1]).unwrap_or("");
        let head = block.lines().next().unwrap_or("");
        if !RESOURCES.iter().any(|resource| head.contains(resource)) {
            continue;
        }
        let (Some((name, _)), Some((ttl, place))) = (value(block, "name"), value(block, "ttl"))
        else {
            continue;
        };
        if let Ok(seconds) = ttl.parse::<u64>() {
            let place = pair[0] + place.start..pair[0] + place.end;
            found.push(Record { name, ttl: Duration::from_secs(seconds), place });
        }
    }
    found
}

/// The value of `key = value`, without quotes, and its place.
fn value<'t>(block: &'t str, key: &str) -> Option<(&'t str, std::ops::Range<usize>)> {
    let mut start = 0;
    for line in block.split_inclusive('\n') {
        let own = start;
        start += line.len();
        let Some((name, rest)) = line.split_once('=') else { continue };
        if name.trim() != key {
            continue;
        }
        let value = rest.split('#').next().unwrap_or("").trim().trim_matches('"');
        let at = own + line.find(value)?;
        return (!value.is_empty()).then(|| (value, at..at + value.len()));
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{silent, titles};

    fn document(resource: &str, name: &str, ttl: &str) -> String {
        format!(
            "# Plan\n\n## Objectives\n\n| Service | RTO | RPO |\n|-|-|-|\n| Booking API | 1 h | 5 min |\n\n\
             ## DNS\n\n```hcl\nresource \"{resource}\" \"b\" {{\n  name = \"{name}\"\n  ttl  = {ttl}\n}}\n```\n"
        )
    }

    #[test]
    fn an_address_that_is_kept_too_long() {
        assert_eq!(
            titles("S0115", &document("aws_route53_record", "booking-api.acme.example", "86400")),
            ["clients may keep the address of Booking API for 1 day, and it is promised in 1 h"]
        );
        silent(
            "S0115",
            &[
                &document("aws_route53_record", "booking-api.acme.example", "60"),
                &document("aws_route53_record", "booking-api.acme.example", "3600"),
                &document("aws_route53_record", "www.acme.example", "86400"),
                &document("aws_sqs_queue", "booking-api", "86400"),
                &document("aws_route53_record", "booking-api.acme.example", "var.ttl"),
            ],
        );
    }
}
