//! Bytes of a document to text: documents come from everywhere, and in every encoding.
//!
//! The rule it keeps: nothing is refused that can be read. What was not UTF-8 is decoded as what it
//! most likely is, and the finding says so.

use crate::findings::{Code, Raw};

/// Longer ones are no documents that people read.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// Windows-1252 where it differs from Latin-1: 0x80 to 0x9f. Five bytes mean nothing in it.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž',
    '\u{fffd}', '\u{fffd}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}',
    'ž', 'Ÿ',
];

/// The text of a document, and what its author should know about how it was stored.
pub(crate) fn decode(bytes: &[u8]) -> Result<(String, Option<Raw>), Raw> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let title = format!("the file has {} bytes, a document has at most 16 MiB", bytes.len());
        return Err(Raw::new(Code::NotText, 0..0, title).hint("is this the right file?"));
    }
    let (mut text, finding) = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ if zeros(bytes, 1) => utf16(bytes, u16::from_le_bytes),
        _ if zeros(bytes, 0) => utf16(bytes, u16::from_be_bytes),
        _ => utf8(bytes),
    };
    if !text.contains('\n') && text.contains('\r') {
        // Lines as old systems end them; one byte for one byte.
        text = text.replace('\r', "\n");
    }
    Ok((text, finding))
}

/// Whether most bytes of one parity are zero, as in UTF-16 without a mark.
fn zeros(bytes: &[u8], parity: usize) -> bool {
    const LOOKED_AT: usize = 4096;
    let mut half = bytes.iter().take(LOOKED_AT).skip(parity).step_by(2).peekable();
    let len = bytes.len().min(LOOKED_AT) / 2;
    half.peek().is_some() && half.filter(|byte| **byte == 0).count() * 4 > len * 3 && len > 1
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> (String, Option<Raw>) {
    let pairs = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text = char::decode_utf16(pairs)
        .map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    let raw = Raw::new(Code::NotText, 0..0, "the file is UTF-16; it was read as that")
        .hint("save it as UTF-8: other programs will not read it");
    (text, Some(raw))
}

fn utf8(bytes: &[u8]) -> (String, Option<Raw>) {
    let mut text = String::with_capacity(bytes.len());
    let mut first = None;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for &byte in chunk.invalid() {
            let at = text.len();
            text.push(match byte {
                0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
                byte => char::from(byte),
            });
            first.get_or_insert(at..text.len());
        }
    }
    let finding = first.map(|span| {
        Raw::new(Code::NotText, span, "the file is not UTF-8; it was read as Windows-1252")
            .hint("look whether this character is right, and save the file as UTF-8")
    });
    (text, finding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> (String, bool) {
        let (text, finding) = decode(bytes).unwrap();
        (text, finding.is_some())
    }

    #[test]
    fn every_encoding_is_read_and_others_than_utf8_are_told() {
        assert_eq!(read("größer → 5 min".as_bytes()), ("größer → 5 min".to_owned(), false));
        assert_eq!(read(b"\xef\xbb\xbf# Plan"), ("# Plan".to_owned(), false));
        assert_eq!(read(b"gr\xf6\xdfer \x96 5 min"), ("größer – 5 min".to_owned(), true));
        let little: Vec<u8> = "# Plän".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "# Plän".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(read(&little), ("# Plän".to_owned(), true));
        assert_eq!(read(&big), ("# Plän".to_owned(), true));
        assert_eq!(read(&[&[0xff, 0xfe], &little[..]].concat()), ("# Plän".to_owned(), true));
        assert_eq!(read(&[&[0xfe, 0xff], &big[..]].concat()), ("# Plän".to_owned(), true));
        assert_eq!(read(b""), (String::new(), false));
        assert_eq!(read(b"a\rb"), ("a\nb".to_owned(), false));
    }

    #[test]
    fn the_finding_points_at_the_first_character_in_doubt() {
        let (text, finding) =
            decode("ä ".as_bytes().iter().chain(b"\xe4").copied().collect::<Vec<_>>().as_slice())
                .unwrap();
        assert_eq!(text.get(finding.unwrap().span), Some("ä"));
        assert_eq!(text, "ä ä");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        assert!(decode(&vec![b'a'; DOCUMENT_BYTES_MAX + 1]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_become_text(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(decode(&bytes).is_ok());
        }
    }
}
