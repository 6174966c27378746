//! S0509: words for a frequency that mean two things.

use super::TWO_MEANINGS;
use crate::check::{Finding, Model};
use crate::language::{At, Every};

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let plan = model.plan;
    let header = plan.plan.iter().filter_map(|header| header.review_every);
    let drills = plan.drills.iter().filter_map(|(_, drill)| drill.every);
    let credentials = plan.credentials.iter().filter_map(|(_, it)| it.rotated_every);
    let stores = plan.stores.iter().flat_map(|(_, store)| &store.copies);
    let policies = plan.policies.iter().flat_map(|(_, policy)| &policy.copies);
    let copies = stores.chain(policies).filter_map(|copy| copy.verified_every);
    for every in header.chain(drills).chain(credentials).chain(copies) {
        findings.extend(ambiguous(model, every));
    }
}

fn ambiguous(model: &Model<'_>, every: At<Every>) -> Option<Finding> {
    let written = model.text(every.origin).to_lowercase();
    let plain: String = written.chars().filter(|c| c.is_alphabetic()).collect();
    let (once, other) = match plain.as_str() {
        word if word.contains("biannual") => ("twice a year", "every two years"),
        word if word.contains("bimonth") => ("twice a month", "every two months"),
        word if word.contains("biweek") => ("twice a week", "every two weeks"),
        _ => return None,
    };
    let written = model.text(every.origin).trim();
    Some(
        Finding::new(
            &TWO_MEANINGS,
            every.origin,
            format!("`{written}` is {once} to some and {other} to others"),
        )
        .here("which of them?")
        .hint("write the time between two of them: `6 months`, `2 weeks`")
        .proof(format!("it is read here as every {}", every.value)),
    )
}
