//! Whether it was really them who said yes.
//!
//! The rule it keeps: a code is good for one step of one run as it is now: another plan, another
//! value of a parameter, another engine or a later hour make it worthless. It can be made with
//! nothing but the secret, and said on the telephone.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soter_world::Secret;

use crate::ids::{RunId, StepId};
use crate::state::{Recorded, State};

/// What is approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// The digest of the procedure.
    pub procedure: String,
    /// The digest of the parameters' values.
    pub parameters: String,
    /// The engine.
    pub epoch: u32,
}

/// A signature under what is approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// It is worth nothing from this second on, counted since 1970.
    pub expires: i64,
    /// The Ed25519 signature under [`Subject::statement`], in base64.
    pub signature: String,
}

/// What a signature begins with where a code may stand, too.
const SIGNED: &str = "signed:";

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SIGNED}{}:{}", self.expires, self.signature)
    }
}

impl Signed {
    /// A signature of 64 bytes.
    #[must_use]
    pub fn new(expires: i64, signature: &[u8]) -> Self {
        Self { expires, signature: STANDARD.encode(signature) }
    }

    /// A signature as it is written where a code may stand; none: it is a code.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (expires, signature) = text.trim().strip_prefix(SIGNED)?.split_once(':')?;
        Some(Self { expires: expires.parse().ok()?, signature: signature.to_owned() })
    }
}

/// Crockford's digits: none of them sounds or looks like another.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// How many digits a code has: 40 bits, of which an engine lets a few be tried.
const CODE_LENGTH: usize = 8;

/// A code is good until the end of the quarter of an hour after the one it was made in, so that both
/// ends know when it expires without saying it.
const WINDOW_SECONDS: i64 = 15 * 60;

impl Subject {
    /// A step of a run as it is now.
    #[must_use]
    pub fn of(state: &State, step: &StepId) -> Self {
        Self {
            run: state.run().clone(),
            step: step.clone(),
            procedure: state.digest.clone(),
            parameters: parameters_digest(&state.parameters),
            epoch: state.epoch,
        }
    }

    fn code(&self, secret: &Secret<Vec<u8>>, expires: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        let epoch = self.epoch.to_string();
        let expires = expires.to_string();
        let parts = [
            self.run.as_str(),
            self.step.as_str(),
            &self.procedure,
            &self.parameters,
            &epoch,
            &expires,
        ];
        // None of the parts has a newline, so no two subjects give the same text.
        let tag = hmac::sign(&key, parts.join("\n").as_bytes());
        let bits =
            tag.as_ref().iter().take(5).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let digit = |at: usize| {
            let shift = 5 * (CODE_LENGTH - 1 - at);
            char::from(DIGITS[usize::try_from(bits >> shift & 31).unwrap_or_default()])
        };
        (0..CODE_LENGTH).map(digit).collect()
    }

    /// What is signed, byte by byte: eight lines, the last one a moment in seconds since 1970 from which
    /// on it is worth nothing.
    #[must_use]
    pub fn statement(&self, expires: i64) -> Vec<u8> {
        let Self { run, step, procedure, parameters, epoch } = self;
        format!("soter approval 1\n{run}\n{step}\n{procedure}\n{parameters}\n{epoch}\n{expires}\n")
            .into_bytes()
    }

    /// Until when a signature made now is good: as long as a code.
    #[must_use]
    pub fn expiry(now: Timestamp) -> i64 {
        window(now) + 2 * WINDOW_SECONDS
    }

    /// Whether the holder of a public key, `ed25519:` and base64, has signed this, and the signature was
    /// good at `now`.
    #[must_use]
    pub fn is_signed(&self, key: &str, signed: &Signed, now: Timestamp) -> bool {
        let key = key.strip_prefix("ed25519:").and_then(|key| STANDARD.decode(key).ok());
        let signature = STANDARD.decode(&signed.signature).ok();
        let (Some(key), Some(signature)) = (key, signature) else { return false };
        let is_good = now.as_second() < signed.expires && signed.expires <= Self::expiry(now);
        let key = UnparsedPublicKey::new(&ED25519, &key);
        is_good && key.verify(&self.statement(signed.expires), &signature).is_ok()
    }

    /// The code with which the holder of `secret` approves, until fifteen to thirty minutes from now.
    #[must_use]
    pub fn code_at(&self, secret: &Secret<Vec<u8>>, now: Timestamp) -> String {
        self.code(secret, Self::expiry(now))
    }

    /// Whether a code, however it was written down, is one that `secret` makes and has not expired.
    #[must_use]
    pub fn is_right(&self, secret: &Secret<Vec<u8>>, code: &str, now: Timestamp) -> bool {
        let heard = heard(code);
        let expiries = [window(now) + WINDOW_SECONDS, window(now) + 2 * WINDOW_SECONDS];
        expiries.into_iter().any(|expires| {
            let right = self.code(secret, expires);
            aws_lc_rs::constant_time::verify_slices_are_equal(right.as_bytes(), heard.as_bytes())
                .is_ok()
        })
    }
}

/// The beginning of the quarter of an hour.
fn window(now: Timestamp) -> i64 {
    now.as_second().div_euclid(WINDOW_SECONDS) * WINDOW_SECONDS
}

/// What people make of a code on the telephone: small letters, gaps, and digits taken for letters.
fn heard(code: &str) -> String {
    let letters = code.chars().filter(|letter| !letter.is_whitespace() && *letter != '-');
    let meant = letters.map(|letter| match letter.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    });
    meant.collect()
}

/// The SHA-256 over the values of parameters, in hexadecimal.
#[must_use]
pub fn parameters_digest(values: &BTreeMap<String, Recorded>) -> String {
    let bytes = serde_json::to_vec(values).expect("names and values are texts");
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes))
}

/// What a journal has in place of a secret: it tells whether two are the same, and nothing else to
/// those who lack the key.
#[must_use]
pub fn fingerprint(key: &Secret<[u8; 32]>, name: &str, value: &str) -> Recorded {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
    let tag = hmac::sign(&key, format!("{name}\n{value}").as_bytes());
    Recorded::Fingerprint(hex::encode(tag.as_ref().get(..16).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    fn subject() -> Subject {
        Subject {
            run: RunId::parse("lost-20300101-0000-7q2x").unwrap(),
            step: StepId::parse("agreed").unwrap(),
            procedure: "a".repeat(64),
            parameters: "b".repeat(64),
            epoch: 1,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_code_is_right_for_what_was_approved_and_nothing_else() {
        let secret = Secret::new(b"bea's secret".to_vec());
        let now = at("2030-01-01T00:07:00Z");
        let code = subject().code_at(&secret, now);
        assert_eq!(code.len(), CODE_LENGTH);
        assert!(subject().is_right(&secret, &code, now));
        let others = [
            Subject { run: RunId::parse("lost-20300101-0000-7q2y").unwrap(), ..subject() },
            Subject { step: StepId::parse("agreed2").unwrap(), ..subject() },
            Subject { procedure: "c".repeat(64), ..subject() },
            Subject { parameters: "c".repeat(64), ..subject() },
            Subject { epoch: 2, ..subject() },
        ];
        for other in others {
            assert!(!other.is_right(&secret, &code, now), "{other:?}");
        }
        assert!(!subject().is_right(&Secret::new(b"cleo's".to_vec()), &code, now));
        assert!(!subject().is_right(&secret, "", now));
    }

    #[test]
    fn a_code_expires_between_a_quarter_and_half_an_hour_later() {
        let secret = Secret::new(vec![7; 32]);
        let code = subject().code_at(&secret, at("2030-01-01T00:07:00Z"));
        assert!(subject().is_right(&secret, &code, at("2030-01-01T00:29:59Z")));
        assert!(!subject().is_right(&secret, &code, at("2030-01-01T00:30:00Z")));
    }

    fn key() -> (Ed25519KeyPair, String) {
        let pair = Ed25519KeyPair::generate().unwrap();
        let public = format!("ed25519:{}", STANDARD.encode(pair.public_key()));
        (pair, public)
    }

    #[test]
    fn a_signature_is_right_under_what_was_approved_by_that_key_and_not_for_long() {
        let ((pair, public), (_, other)) = (key(), key());
        let now = at("2030-01-01T00:07:00Z");
        let expires = Subject::expiry(now);
        let signed = Signed::new(expires, pair.sign(&subject().statement(expires)).as_ref());
        assert!(subject().is_signed(&public, &signed, now));
        assert_eq!(Signed::parse(&format!(" {signed}\n")).as_ref(), Some(&signed));
        assert_eq!(Signed::parse("ABCD-EFGH"), None);
        assert!(!subject().is_signed(&other, &signed, now));
        assert!(!Subject { epoch: 2, ..subject() }.is_signed(&public, &signed, now));
        assert!(!subject().is_signed(&public, &signed, at("2030-01-01T00:30:00Z")));
        // Neither can the end be moved, nor a signature be made in store for a year to come.
        let later = Signed { expires: expires + 900, ..signed };
        assert!(!subject().is_signed(&public, &later, at("2030-01-01T00:31:00Z")));
        let far = expires + 365 * 86_400;
        let stored = Signed::new(far, pair.sign(&subject().statement(far)).as_ref());
        assert!(!subject().is_signed(&public, &stored, now));
        assert!(!subject().is_signed("ed25519:AAAA", &stored, now));
    }

    #[test]
    fn a_code_may_be_written_as_it_was_heard() {
        assert_eq!(heard("o1il-abcd "), "0111ABCD");
    }

    /// So that another program, or a person with a library, makes the same one.
    #[test]
    fn a_code_is_the_beginning_of_the_hmac() {
        let secret = Secret::new(b"bea's secret".to_vec());
        let code = subject().code(&secret, 1_893_457_800);
        let text = format!(
            "lost-20300101-0000-7q2x\nagreed\n{}\n{}\n1\n1893457800",
            "a".repeat(64),
            "b".repeat(64)
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"bea's secret");
        let tag = hmac::sign(&key, text.as_bytes());
        let first = usize::from(tag.as_ref()[0] >> 3);
        assert_eq!(code.as_bytes()[0], DIGITS[first]);
        let second = usize::from((tag.as_ref()[0] & 7) << 2 | tag.as_ref()[1] >> 6);
        assert_eq!(code.as_bytes()[1], DIGITS[second]);
    }

    #[test]
    fn a_fingerprint_tells_secrets_apart_and_shows_none() {
        let key = Secret::new([1; 32]);
        let print = |name, value| fingerprint(&key, name, value);
        assert_eq!(print("token", "a"), print("token", "a"));
        assert_ne!(print("token", "a"), print("token", "b"));
        assert_ne!(print("token", "a"), print("other", "a"));
        assert_ne!(print("token", "a"), fingerprint(&Secret::new([2; 32]), "token", "a"));
    }
}
