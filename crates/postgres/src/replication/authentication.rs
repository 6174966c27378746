//! Proving who we are: trust, cleartext, MD5 and SCRAM-SHA-256, without doing any IO.
//!
//! SCRAM proves both sides to each other, and that is kept: a server that begins it and then says
//! "welcome" without its own proof is refused.

use bytes::BytesMut;
use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
};
use postgres_protocol::message::frontend;
use soter_world::Secret;

use super::error::{AuthenticationError, Error, ProtocolError};
use super::message::Fields;

pub(super) const DURING: &str = "authentication";

/// What follows from one message of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send this.
    Send(BytesMut),
    /// Wait for the next message.
    Wait,
    /// We are in.
    Accepted,
}

/// The client's side of an authentication.
pub(super) struct Authenticator<'a> {
    user: &'a str,
    password: Option<&'a Secret<String>>,
    scram: Scram,
}

enum Scram {
    NotAsked,
    Begun(ScramSha256),
    Proved(ScramSha256),
    Done,
}

impl<'a> Authenticator<'a> {
    pub(super) fn new(user: &'a str, password: Option<&'a Secret<String>>) -> Self {
        Self { user, password, scram: Scram::NotAsked }
    }

    /// Takes the body of one `Authentication…` message.
    pub(super) fn step(&mut self, body: &[u8]) -> Result<Next, Error> {
        let mut fields = Fields::new("Authentication", body);
        let method = fields.i32().map_err(protocol)?;
        let scram = std::mem::replace(&mut self.scram, Scram::Done);
        match (method, scram) {
            (0, Scram::NotAsked | Scram::Done) => Ok(Next::Accepted),
            (0, Scram::Begun(_) | Scram::Proved(_)) => {
                Err(Error::Authentication(AuthenticationError::Unfinished))
            }
            (3, Scram::NotAsked) => self.send_password(self.password()?.as_bytes()),
            (5, Scram::NotAsked) => {
                let salt = fields.bytes(4).map_err(protocol)?;
                let salt = salt.try_into().map_err(|_| protocol(fields.malformed()))?;
                let hash = md5_hash(self.user.as_bytes(), self.password()?.as_bytes(), salt);
                self.send_password(hash.as_bytes())
            }
            (10, Scram::NotAsked) => self.begin_scram(fields),
            (11, Scram::Begun(mut scram)) => {
                scram.update(fields.rest()).map_err(exchange)?;
                let mut out = BytesMut::new();
                frontend::sasl_response(scram.message(), &mut out).map_err(exchange)?;
                self.scram = Scram::Proved(scram);
                Ok(Next::Send(out))
            }
            (12, Scram::Proved(mut scram)) => {
                scram.finish(fields.rest()).map_err(exchange)?;
                Ok(Next::Wait)
            }
            (3 | 5 | 10 | 11 | 12, _) => {
                Err(protocol(ProtocolError::OutOfPlace { message: "Authentication" }))
            }
            (other, _) => Err(unsupported(other)),
        }
    }

    fn begin_scram(&mut self, mut fields: Fields<'_>) -> Result<Next, Error> {
        let mut offered = Vec::new();
        loop {
            let mechanism = fields.text().map_err(protocol)?;
            if mechanism.is_empty() {
                break;
            }
            offered.push(mechanism);
        }
        if !offered.iter().any(|mechanism| mechanism == SCRAM_SHA_256) {
            let method = format!("SASL {}", offered.join(", "));
            return Err(Error::Authentication(AuthenticationError::Method { method }));
        }
        let scram = ScramSha256::new(self.password()?.as_bytes(), ChannelBinding::unsupported());
        let mut out = BytesMut::new();
        frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut out)
            .map_err(exchange)?;
        self.scram = Scram::Begun(scram);
        Ok(Next::Send(out))
    }

    fn send_password(&mut self, password: &[u8]) -> Result<Next, Error> {
        let mut out = BytesMut::new();
        frontend::password_message(password, &mut out).map_err(exchange)?;
        Ok(Next::Send(out))
    }

    fn password(&self) -> Result<&'a str, Error> {
        let missing = Error::Authentication(AuthenticationError::PasswordMissing);
        self.password.map(|password| password.expose().as_str()).ok_or(missing)
    }
}

fn protocol(source: ProtocolError) -> Error {
    Error::Protocol { during: DURING, source }
}

fn exchange(source: std::io::Error) -> Error {
    Error::Authentication(AuthenticationError::Exchange(source))
}

fn unsupported(method: i32) -> Error {
    let method = match method {
        2 => "Kerberos V5".to_owned(),
        7 => "GSSAPI".to_owned(),
        9 => "SSPI".to_owned(),
        other => format!("authentication method {other}"),
    };
    Error::Authentication(AuthenticationError::Method { method })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: i32, rest: &[u8]) -> Vec<u8> {
        [&method.to_be_bytes(), rest].concat()
    }

    #[test]
    fn trust_needs_no_password() {
        let mut authenticator = Authenticator::new("soter", None);
        assert_eq!(authenticator.step(&request(0, b"")).unwrap(), Next::Accepted);
    }

    #[test]
    fn passwords_are_sent_as_asked() {
        let password = Secret::new("password".to_owned());
        let mut cleartext = Authenticator::new("md5_user", Some(&password));
        let Next::Send(sent) = cleartext.step(&request(3, b"")).unwrap() else { panic!() };
        assert_eq!(&sent[..], b"p\0\0\0\x0dpassword\0");
        assert_eq!(cleartext.step(&request(0, b"")).unwrap(), Next::Accepted);

        let mut md5 = Authenticator::new("md5_user", Some(&password));
        let salt = [0x2a, 0x3d, 0x8f, 0xe0];
        let Next::Send(sent) = md5.step(&request(5, &salt)).unwrap() else { panic!() };
        assert_eq!(&sent[5..], b"md562af4dd09bbb41884907a838a3233294\0");
    }

    #[test]
    fn a_server_that_skips_its_own_proof_is_refused() {
        let password = Secret::new("password".to_owned());
        let mut authenticator = Authenticator::new("soter", Some(&password));
        let asked = authenticator.step(&request(10, b"SCRAM-SHA-256\0\0")).unwrap();
        assert!(matches!(asked, Next::Send(_)));
        let error = authenticator.step(&request(0, b"")).unwrap_err();
        assert!(matches!(error, Error::Authentication(AuthenticationError::Unfinished)));
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let check = |password: Option<&Secret<String>>, body: &[u8], expected: &str| {
            let error = Authenticator::new("soter", password).step(body).unwrap_err();
            let source = std::error::Error::source(&error).unwrap();
            assert_eq!(source.to_string(), expected);
        };
        let password = Secret::new("password".to_owned());
        let missing = "the server asks for a password, but none is given";
        check(None, &request(3, b""), missing);
        check(None, &request(10, b"SCRAM-SHA-256\0\0"), missing);
        let gssapi = "the server asks for GSSAPI, which is not supported";
        check(Some(&password), &request(7, b""), gssapi);
        let sasl = "the server asks for SASL OAUTHBEARER, which is not supported";
        check(Some(&password), &request(10, b"OAUTHBEARER\0\0"), sasl);
        check(Some(&password), b"\0", "a malformed Authentication message");
        check(Some(&password), &request(11, b"x"), "a message out of place (Authentication)");
    }
}
