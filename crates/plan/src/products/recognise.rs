//! Which product a name speaks of: "PostgreSQL (Primary)", "etcd (K3s)", "RDS MySQL".

use super::data::Product;
use super::products;

/// The product that the name of a store or service speaks of. In "etcd (K3s)" and "Dragonfly (Cache)"
/// the words before the parenthesis decide; those in it are asked only if the others say nothing.
pub fn recognise(text: &str) -> Option<&'static Product> {
    let text = text.to_lowercase();
    let (before, inside) = text.split_once('(').unwrap_or((&text, ""));
    find(before).or_else(|| find(inside))
}

/// The product whose word comes first in the text; of two at one place, the longer word.
fn find(text: &str) -> Option<&'static Product> {
    let found = products().iter().flat_map(|product| {
        product.words.iter().filter_map(move |word| {
            let at = place(text, word)?;
            Some((at, std::cmp::Reverse(word.len()), product))
        })
    });
    found.min_by_key(|(at, len, _)| (*at, *len)).map(|(_, _, product)| product)
}

/// Where a word stands in a text with nothing of another word around it.
fn place(text: &str, word: &str) -> Option<usize> {
    text.match_indices(word).map(|(at, _)| at).find(|&at| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let behind = text.get(at + word.len()..).and_then(|behind| behind.chars().next());
        let is_letter = |c: char| c.is_alphabetic();
        !before.is_some_and(is_letter) && !behind.is_some_and(is_letter)
    })
}
