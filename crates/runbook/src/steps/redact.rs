//! Secrets out of what is shown and kept.
//!
//! The rule it keeps: whatever the pieces a text arrives in, a secret in it is covered as if it had
//! arrived whole: as it is, quoted for a shell or JSON, with `%41` for what a URL escapes, and in
//! base64 wherever it stands in what was encoded. Overlapping ones are covered together.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands in the place of a secret.
const COVER: &[u8] = b"****";

/// Encoded forms shorter than this would be found in texts that have nothing to do with the secret.
const ENCODED_BYTES_MIN: usize = 6;

/// Lines of a secret of several (a private key) that are shorter are not covered one by one.
const LINE_BYTES_MIN: usize = 8;

/// Covers the secrets of a run.
#[derive(Clone, Default)]
pub struct Redactor {
    /// All forms of all secrets, each once.
    forms: Vec<Vec<u8>>,
    /// The forms that begin with each byte.
    by_first: Vec<Vec<usize>>,
    longest_bytes: usize,
    /// There are secrets that it does not know: nothing may be shown.
    is_blind: bool,
}

/// What stands in the place of a text that may have secrets in it which are not known here.
const BLIND: &[u8] = b"(not shown: a secret of this run is not known here, and could be in it)\n";

/// A text that arrives in pieces.
pub struct Pieces<'r> {
    redactor: &'r Redactor,
    held: Vec<u8>,
    /// How many of the held bytes belong to a secret that was found already.
    covered: usize,
    /// Whether what went out last was a cover.
    is_covering: bool,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor of {} forms", self.forms.len())
    }
}

impl Redactor {
    /// Covers these. An empty secret covers nothing.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut forms: Vec<Vec<u8>> = secrets.into_iter().flat_map(forms_of).collect();
        forms.sort();
        forms.dedup();
        let mut by_first = vec![Vec::new(); 256];
        for (at, form) in forms.iter().enumerate() {
            if let Some(first) = form.first() {
                by_first[usize::from(*first)].push(at);
            }
        }
        let longest_bytes = forms.iter().map(Vec::len).max().unwrap_or(0);
        Self { forms, by_first, longest_bytes, is_blind: false }
    }

    /// Where a secret is about that nobody here knows. It cannot be recognised, so all of a text is
    /// covered.
    #[must_use]
    pub fn blind() -> Self {
        Self { is_blind: true, ..Self::default() }
    }

    /// A text with its secrets covered.
    #[must_use]
    pub fn cover(&self, text: &[u8]) -> Vec<u8> {
        let mut pieces = self.pieces();
        let mut out = pieces.push(text);
        out.extend(pieces.finish());
        out
    }

    /// A text with its secrets covered.
    #[must_use]
    pub fn cover_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.cover(text.as_bytes())).into_owned()
    }

    /// A text that arrives in pieces.
    #[must_use]
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces { redactor: self, held: Vec::new(), covered: 0, is_covering: false }
    }

    /// How many bytes before the end of a text must be read in addition, so that a secret that begins
    /// before what is shown is found.
    #[must_use]
    pub fn longest_bytes(&self) -> usize {
        self.longest_bytes
    }

    /// The longest form at the beginning of `text`, and whether more text could make a longer one.
    fn at(&self, text: &[u8]) -> (usize, bool) {
        let Some(first) = text.first() else { return (0, false) };
        let (mut longest, mut may_grow) = (0, false);
        for form in self.by_first.get(usize::from(*first)).into_iter().flatten() {
            let form = &self.forms[*form];
            if text.starts_with(form) {
                longest = longest.max(form.len());
            } else if form.starts_with(text) {
                may_grow = true;
            }
        }
        (longest, may_grow)
    }
}

impl Pieces<'_> {
    /// Another piece; what can be shown by now.
    #[must_use]
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        self.emit(|may_grow| may_grow)
    }

    /// The end: what is left.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.emit(|_| false)
    }

    fn emit(&mut self, waits: impl Fn(bool) -> bool) -> Vec<u8> {
        if self.redactor.is_blind {
            let is_first = !self.is_covering && !self.held.is_empty();
            self.is_covering |= is_first;
            self.held.clear();
            return if is_first { BLIND.to_vec() } else { Vec::new() };
        }
        let mut out = Vec::new();
        let mut at = 0;
        while at < self.held.len() {
            let (found, may_grow) = self.redactor.at(&self.held[at..]);
            if waits(may_grow) {
                break;
            }
            self.covered = self.covered.max(found);
            if self.covered == 0 {
                out.push(self.held[at]);
                self.is_covering = false;
            } else {
                if !self.is_covering {
                    out.extend_from_slice(COVER);
                }
                self.is_covering = true;
                self.covered -= 1;
            }
            at += 1;
        }
        self.held.drain(..at);
        out
    }
}

/// Everything a secret may look like.
fn forms_of(secret: &str) -> Vec<Vec<u8>> {
    let whole = secret.trim_end_matches(['\n', '\r']);
    let lines = whole.lines().map(str::trim).filter(|line| line.len() >= LINE_BYTES_MIN);
    let mut forms = Vec::new();
    for text in std::iter::once(whole).chain(lines).filter(|text| !text.is_empty()) {
        forms.push(text.as_bytes().to_vec());
        forms.push(text.replace('\'', "'\\''").into_bytes());
        forms.push(in_json(text));
        let encoded = percent_forms(text).into_iter().chain(base64_forms(text.as_bytes()));
        forms.extend(encoded.filter(|form| form.len() >= ENCODED_BYTES_MIN));
    }
    forms
}

fn in_json(text: &str) -> Vec<u8> {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.trim_start_matches('"').strip_suffix('"').unwrap_or("").as_bytes().to_vec()
}

/// With `%41`, in capital and small digits, with `+` and `%20` for a space.
fn percent_forms(text: &str) -> Vec<Vec<u8>> {
    let encode = |small: bool, plus: bool| {
        let mut encoded = String::new();
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    encoded.push(char::from(byte));
                }
                b' ' if plus => encoded.push('+'),
                byte if small => encoded.push_str(&format!("%{byte:02x}")),
                byte => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
        encoded.into_bytes()
    };
    vec![encode(false, false), encode(true, false), encode(false, true), encode(true, true)]
}

/// In base64, at each of the three places it can have in what was encoded, without the characters that
/// its neighbours have a part in.
fn base64_forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for before in 0..3_usize {
        let padded: Vec<u8> =
            std::iter::repeat_n(0, before).chain(secret.iter().copied()).collect();
        // One byte before it shares the first two characters with it, two share three.
        let from = [0, 2, 3][before];
        // Of an unfinished group the last character is shared with what follows.
        let shared_behind = usize::from(!padded.len().is_multiple_of(3));
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            let to = encoded.len().saturating_sub(shared_behind);
            forms.extend(encoded.get(from..to).map(|form| form.as_bytes().to_vec()));
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use soter_world::random;
    use soter_world::sim::{SeededRandom, seeds};

    use super::*;

    const SECRET: &str = "p4$$ w/rd+?'\"ü";

    fn covered(text: &str) -> String {
        Redactor::new([SECRET]).cover_text(text)
    }

    #[test]
    fn a_secret_is_covered_in_every_form() {
        assert_eq!(covered(&format!("a {SECRET} b {SECRET}{SECRET}")), "a **** b ****");
        assert_eq!(covered("url?x=p4%24%24%20w%2Frd%2B%3F%27%22%C3%BC&y"), "url?x=****&y");
        assert_eq!(covered("url?x=p4%24%24+w%2frd%2b%3f%27%22%c3%bc&y"), "url?x=****&y");
        assert_eq!(covered("{\"k\":\"p4$$ w/rd+?'\\\"ü\"}"), "{\"k\":\"****\"}");
        assert_eq!(covered("export X='p4$$ w/rd+?'\\''\"ü'"), "export X='****'");
        assert_eq!(covered("nothing of it"), "nothing of it");
    }

    #[test]
    fn base64_is_covered_wherever_the_secret_stands_in_it() {
        for before in ["", "a", "ab", "user:", "abcdef"] {
            for behind in ["", "x", "xy", ":more"] {
                let whole = format!("{before}{SECRET}{behind}");
                for encoded in [STANDARD.encode(&whole), URL_SAFE.encode(&whole)] {
                    let shown = covered(&format!("Basic {encoded} end"));
                    assert!(shown.contains("****") && shown.ends_with(" end"), "{shown}");
                    // What is left around the cover is of its neighbours, and two characters.
                    let rest = shown.len() - "Basic **** end".len();
                    let allowed = (before.len() + behind.len()) * 4 / 3 + 8;
                    assert!(rest <= allowed, "{whole}: {shown}");
                }
            }
        }
    }

    #[test]
    fn a_key_of_several_lines_is_covered_line_by_line() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n";
        let redactor = Redactor::new([key]);
        assert_eq!(redactor.cover_text("line 2: MIIEvQIBADANBgkq"), "line 2: ****");
        assert_eq!(redactor.cover_text(key), "****\n");
    }

    #[test]
    fn overlapping_secrets_leave_nothing() {
        let redactor = Redactor::new(["abcX", "Xdef", ""]);
        assert_eq!(redactor.cover_text("1abcXdef2abc3"), "1****2abc3");
        assert_eq!(Redactor::new([""]).cover_text("text"), "text");
        assert_eq!(format!("{:?}", Redactor::new(["abc"])), "Redactor of 1 forms");
    }

    #[test]
    fn pieces_of_any_size_are_covered_like_the_whole() {
        for seed in seeds(50) {
            let chance = SeededRandom::new(seed);
            let pick = |below: u64| u64::from_le_bytes(random::bytes::<8>(&chance)) % below;
            let secrets = ["aab", "abaab", "bbbb", "a\u{e4}b"];
            let redactor = Redactor::new(secrets);
            let mut text = Vec::new();
            for _ in 0..pick(60) {
                match pick(4) {
                    0 => text.extend(secrets[usize::try_from(pick(4)).unwrap()].as_bytes()),
                    1 => text.extend(STANDARD.encode(b"xabaaby").as_bytes()),
                    _ => text.push(b"ab c"[usize::try_from(pick(4)).unwrap()]),
                }
            }
            let mut pieces = redactor.pieces();
            let (mut out, mut at) = (Vec::new(), 0);
            while at < text.len() {
                let end = (at + 1 + usize::try_from(pick(7)).unwrap()).min(text.len());
                out.extend(pieces.push(&text[at..end]));
                at = end;
            }
            out.extend(pieces.finish());
            let whole = redactor.cover(&text);
            assert_eq!(out, whole, "seed {seed}");
            let shown = String::from_utf8_lossy(&whole);
            for secret in secrets {
                assert!(!shown.contains(secret), "seed {seed}: {secret} in {shown}");
            }
        }
    }
}
