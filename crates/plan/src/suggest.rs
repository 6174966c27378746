//! "Did you mean": the known word nearest to the one that was written.

/// The nearest of `known`, if it is near enough to be a slip of the finger.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written: Vec<char> =
        written.chars().take(LENGTH_MAX).flat_map(char::to_lowercase).collect();
    // A word of which nothing is left is another word.
    let slips_max = written.len().div_ceil(3).min(SLIPS_MAX).min(written.len().saturating_sub(1));
    known
        .take(WORDS_MAX)
        .filter_map(|word| {
            let known: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
            (known.len().abs_diff(written.len()) <= slips_max)
                .then(|| (distance(&written, &known, slips_max), word))
        })
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| word)
}

/// More than this is another word.
const SLIPS_MAX: usize = 3;

/// More words than there are time zones; looking at each costs time.
const WORDS_MAX: usize = 1000;

/// Words of the language are shorter than this.
const LENGTH_MAX: usize = 64;

/// How many characters were added, left out, replaced or swapped with their neighbour; if more than
/// `most`, then any number above it.
fn distance(a: &[char], b: &[char], most: usize) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut least = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        // What is too far apart for two rows in a row does not come near again.
        let is_far = |row: &[usize]| row.iter().all(|slips| *slips > most);
        if is_far(&row) && is_far(&last) {
            return most + 1;
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let known = ["compression", "canary", "wal", "backup"];
        let check = |written, expect| assert_eq!(nearest(written, known.into_iter()), expect);
        check("compresion", Some("compression"));
        check("Backup", Some("backup"));
        check("bakcup", Some("backup"));
        check("wall", Some("wal"));
        check("retention", None);
        check("canrya", Some("canary"));
        check("abckup", Some("backup"));
        assert_eq!(nearest("b", ["a"].into_iter()), None);
        check("", None);
    }
}
