//! What waits for what in a scenario: the same for those who reckon with it and those who carry it out.
//!
//! The rule it keeps: a place is only ever behind earlier ones, so there is an order to do it all in.
//! A name that means nothing here is a finding of the rules; it orders nothing.

use std::collections::HashMap;

use crate::language::{Phase, Step};

/// For each phase the places of those that must be done before it begins: the ones it names, else the
/// one before it.
pub fn phases(phases: &[Phase]) -> Vec<Vec<usize>> {
    let names = phases.iter().map(|phase| {
        let named = phase.after.iter().map(|title| title.value.as_str()).collect();
        (phase.title.as_ref().map(|title| title.value.as_str()), named, false)
    });
    behind(names)
}

/// For each step of a phase the places in it that must be done before: the steps it names, else the
/// one before it unless it is parallel.
pub fn steps(steps: &[Step]) -> Vec<Vec<usize>> {
    let names = steps.iter().map(|step| {
        let named = step.after.iter().map(|id| id.value.as_str()).collect();
        let is_parallel = step.parallel.is_some_and(|parallel| parallel.value);
        (step.id.as_ref().map(|id| id.value.as_str()), named, is_parallel)
    });
    behind(names)
}

/// Of each its name, the names it waits for, and whether it waits for nobody if there is none.
fn behind<'p>(all: impl Iterator<Item = (Option<&'p str>, Vec<&'p str>, bool)>) -> Vec<Vec<usize>> {
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    let mut found = Vec::new();
    for (at, (name, named, is_parallel)) in all.enumerate() {
        let mut before: Vec<usize> =
            named.into_iter().filter_map(|name| by_name.get(name).copied()).collect();
        before.sort_unstable();
        before.dedup();
        if before.is_empty() && !is_parallel {
            before.extend(at.checked_sub(1));
        }
        found.push(before);
        if let Some(name) = name {
            by_name.insert(name, at);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_ones_else_the_one_before_unless_parallel() {
        let all: [(_, &[&str], _); 6] = [
            (Some("a"), &[], false),
            (Some("b"), &[], false),
            (None, &[], true),
            (Some("d"), &["b", "a", "b"], true),
            (Some("e"), &["unknown"], false),
            (Some("f"), &["e", "later"], false),
        ];
        let all = all.into_iter().map(|(name, named, parallel)| (name, named.to_vec(), parallel));
        let expect: [&[usize]; 6] = [&[], &[0], &[], &[0, 1], &[3], &[4]];
        assert_eq!(behind(all), expect);
    }
}
