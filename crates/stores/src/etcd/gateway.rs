//! The gateway's way of answering: JSON, for a stream one object a line, numbers as texts.
//!
//! Bytes in, values out: nothing here asks a network.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

/// A longer line is refused unread. etcd sends 32 KiB of a snapshot at a time.
pub(super) const LINE_LENGTH_MAX: usize = 1 << 20;

/// Why a line is not of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LineFault {
    /// The server gave up in the middle, and says why.
    Refused(i64, String),
    /// Not what a gateway sends.
    Senseless(String),
}

/// A piece of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// What follows, as the server says; the hash at the end is not counted.
    pub(super) remaining: u64,
}

/// Numbers of 64 bits are texts in the gateway's JSON, and absent when zero.
pub(super) fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[derive(Deserialize)]
struct Line {
    result: Option<Blob>,
    error: Option<Complaint>,
}

#[derive(Deserialize)]
struct Blob {
    #[serde(default, deserialize_with = "number")]
    remaining_bytes: u64,
    #[serde(default)]
    blob: String,
}

/// How it says that it will not: a stream says `grpc_code`, an answer `code`. An answer may say its
/// words twice, also as `error`.
#[derive(Deserialize)]
pub(super) struct Complaint {
    #[serde(alias = "grpc_code")]
    pub(super) code: i64,
    pub(super) message: String,
}

/// Reads a line of the answer to a snapshot.
pub(super) fn piece(line: &[u8]) -> Result<Piece, LineFault> {
    let senseless = |reason: String| LineFault::Senseless(reason);
    let line: Line = serde_json::from_slice(line).map_err(|error| senseless(error.to_string()))?;
    match line {
        Line { error: Some(complaint), .. } => {
            Err(LineFault::Refused(complaint.code, complaint.message))
        }
        Line { result: Some(blob), .. } => {
            let bytes = BASE64.decode(&blob.blob).map_err(|error| senseless(error.to_string()))?;
            Ok(Piece { bytes, remaining: blob.remaining_bytes })
        }
        Line { .. } => Err(senseless("a line without a result".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_piece_a_refusal_or_nonsense() {
        let check = |line: &str, expected| assert_eq!(piece(line.as_bytes()), expected, "{line}");
        let bytes = b"bolt".to_vec();
        check(
            r#"{"result":{"header":{"revision":"2"},"remaining_bytes":"4096","blob":"Ym9sdA=="}}"#,
            Ok(Piece { bytes: bytes.clone(), remaining: 4096 }),
        );
        check(r#"{"result":{"blob":"Ym9sdA=="}}"#, Ok(Piece { bytes, remaining: 0 }));
        check(
            r#"{"error":{"grpc_code":14,"http_code":503,"message":"stopped"}}"#,
            Err(LineFault::Refused(14, "stopped".to_owned())),
        );
        for line in ["", "{", "[]", "{}", r#"{"result":{"blob":"?"}}"#, "<html>"] {
            assert!(matches!(piece(line.as_bytes()), Err(LineFault::Senseless(_))), "{line}");
        }
    }
}
