//! What people write, looked at word by word: names, headings, sentences.

/// A text as its words in small letters with one space between: what two spellings have in common.
pub(crate) fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in words(text) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(&word);
    }
    folded
}

/// The words of a text in small letters.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// Whether a text has one of these words or, with a space inside, phrases. They are in small letters.
pub(crate) fn mentions(text: &str, wanted: &[&str]) -> bool {
    let text = format!(" {} ", folded(text));
    wanted.iter().any(|phrase| {
        text.match_indices(phrase).any(|(at, _)| {
            let before = text.as_bytes().get(at.wrapping_sub(1));
            let behind = text.as_bytes().get(at + phrase.len());
            before == Some(&b' ') && behind == Some(&b' ')
        })
    })
}
