//! Counting the keys of an etcd at one revision, by what they begin with.
//!
//! The rule it keeps: a census of a revision is the same whoever is asked and whenever, as long as the
//! revision is not compacted. So what a snapshot was taken of can be compared with what a restore of
//! it has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::etcd::{Client, Endpoint, EtcdError};

/// So many beginnings are counted one by one; Kubernetes has about a hundred. Each costs two questions.
pub const GROUPS_MAX: usize = 256;

/// How many keys there are at a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// The revision.
    pub revision: u64,
    /// All keys.
    pub keys: u64,
    /// Keys by what they begin with: two parts between slashes, such as `/registry/pods/`. A key that
    /// has no two such parts stands alone.
    pub groups: BTreeMap<String, u64>,
    /// Keys of no group: there were more than [`GROUPS_MAX`].
    pub others: u64,
}

/// The keys that are counted together with this one: from the first to the one behind the last.
fn group_of(key: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let wanted = if key.first() == Some(&b'/') { 3 } else { 2 };
    let slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    match slashes.map(|(at, _)| at).nth(wanted - 1) {
        Some(at) => {
            let begin = key[..=at].to_vec();
            let mut end = begin.clone();
            // The byte behind a slash is `0`.
            end[at] += 1;
            (begin, end)
        }
        None => (key.to_vec(), [key, &[0]].concat()),
    }
}

impl Census {
    /// Asks a member for the keys of a revision. Its groups are found by jumping from one to the next,
    /// so that it costs the same however many keys there are.
    ///
    /// # Errors
    /// See [`EtcdError`]; [`EtcdError::is_compacted`] when the revision is not there any more.
    pub fn take(client: &Client, endpoint: &Endpoint, revision: u64) -> Result<Self, EtcdError> {
        let keys = client.count_at(endpoint, (&[0], &[0]), revision)?;
        let (mut groups, mut counted) = (BTreeMap::new(), 0u64);
        let mut from = vec![0];
        while groups.len() < GROUPS_MAX {
            let Some(key) = client.key_at(endpoint, &from, revision)? else { break };
            let (begin, end) = group_of(&key);
            let count = client.count_at(endpoint, (&begin, &end), revision)?;
            counted = counted.saturating_add(count);
            groups.insert(begin.escape_ascii().to_string(), count);
            from = end;
        }
        Ok(Self { revision, keys, groups, others: keys.saturating_sub(counted) })
    }

    /// What of another census is not so here, in words; at most so many lines.
    #[must_use]
    pub fn differences(&self, found: &Self, lines_max: usize) -> Vec<String> {
        let mut lines = Vec::new();
        if self.keys != found.keys {
            lines.push(format!("{} keys were counted, {} are there", self.keys, found.keys));
        }
        let names = self.groups.keys().chain(found.groups.keys());
        let names: std::collections::BTreeSet<&String> = names.collect();
        for name in names {
            let count = |of: &Self| of.groups.get(name).copied().unwrap_or(0);
            let (before, now) = (count(self), count(found));
            if before != now {
                lines.push(format!("{name}: {before} were counted, {now} are there"));
            }
        }
        lines.truncate(lines_max);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_with_those_that_share_two_parts() {
        let check = |key: &str, begin: &str, end: &str| {
            let expected = (begin.as_bytes().to_vec(), end.as_bytes().to_vec());
            assert_eq!(group_of(key.as_bytes()), expected, "{key}");
        };
        check("/registry/pods/default/a", "/registry/pods/", "/registry/pods0");
        check("/registry/pods/", "/registry/pods/", "/registry/pods0");
        check("/registry/health", "/registry/health", "/registry/health\0");
        check("service/database/leader", "service/database/", "service/database0");
        check("compact_rev_key", "compact_rev_key", "compact_rev_key\0");
    }

    #[test]
    fn what_differs_is_named() {
        let census = |groups: &[(&str, u64)]| Census {
            revision: 7,
            keys: groups.iter().map(|(_, count)| count).sum(),
            groups: groups.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            others: 0,
        };
        let before = census(&[("/a/b/", 3), ("/a/c/", 1)]);
        assert_eq!(before.differences(&before.clone(), 9), Vec::<String>::new());
        let found = census(&[("/a/b/", 2), ("/a/d/", 4)]);
        let expected = [
            "4 keys were counted, 6 are there",
            "/a/b/: 3 were counted, 2 are there",
            "/a/c/: 1 were counted, 0 are there",
            "/a/d/: 0 were counted, 4 are there",
        ];
        assert_eq!(before.differences(&found, 9), expected);
        assert_eq!(before.differences(&found, 2), expected[..2]);
    }
}
