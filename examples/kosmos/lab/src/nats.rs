//! As much of the protocol of NATS as the laboratory needs: one request, one answer, on a connection
//! of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// The stream that takes the work of the agents.
pub(crate) const STREAM: &str = "agents";

/// Where work is put.
pub(crate) const SUBJECT: &str = "agents.work";

/// Where the answer is expected; the connection has no other subscription.
const INBOX: &str = "_INBOX.kosmos-lab";

/// The longest line of the protocol, and the longest message that is taken.
const LINE_BYTES_MAX: u64 = 16 << 10;
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// A connection to a server on loopback.
#[derive(Debug)]
pub(crate) struct Nats {
    reader: BufReader<TcpStream>,
}

impl Nats {
    /// Connects, and sees that the server answers. Every answer must come within `timeout`.
    pub(crate) fn connect(port: u16, timeout: Duration) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        let mut nats = Self { reader: BufReader::new(stream) };
        if !nats.line()?.starts_with("INFO ") {
            return Err(odd("this is no NATS server"));
        }
        let options = json!({"verbose": false, "pedantic": false, "headers": true,
            "no_responders": true, "name": "kosmos-lab", "lang": "rust", "version": "1"});
        nats.send(&format!("CONNECT {options}\r\nPING\r\n"))?;
        loop {
            match nats.line()?.as_str() {
                "PONG" => return Ok(nats),
                "PING" => nats.send("PONG\r\n")?,
                other if other.starts_with("-ERR") => return Err(odd(other)),
                _ => {}
            }
        }
    }

    /// Asks, and waits for the one answer.
    pub(crate) fn request(&mut self, subject: &str, payload: &[u8]) -> io::Result<Value> {
        let length = payload.len();
        let mut frame = format!("SUB {INBOX} 1\r\nUNSUB 1 1\r\nPUB {subject} {INBOX} {length}\r\n")
            .into_bytes();
        frame.extend_from_slice(payload);
        frame.extend_from_slice(b"\r\n");
        self.reader.get_mut().write_all(&frame)?;
        loop {
            let line = self.line()?;
            let mut words = line.split_whitespace();
            match words.next() {
                Some("MSG") => return self.message(0, words.next_back()),
                Some("HMSG") => {
                    let total = words.next_back();
                    let headers = words.next_back().and_then(|length| length.parse().ok());
                    return self.message(headers.ok_or_else(|| odd(&line))?, total);
                }
                Some("PING") => self.send("PONG\r\n")?,
                Some("-ERR") => return Err(odd(&line)),
                _ => {}
            }
        }
    }

    /// Publishes into JetStream; returns when the message is in its stream. Its sequence there.
    pub(crate) fn publish(&mut self, payload: &[u8]) -> io::Result<u64> {
        let answer = self.request(SUBJECT, payload)?;
        answer["seq"].as_u64().ok_or_else(|| odd(&format!("the message was not taken: {answer}")))
    }

    /// Makes the stream of the agents, if it is not there.
    pub(crate) fn make_stream(&mut self) -> io::Result<()> {
        let wanted = json!({"name": STREAM, "subjects": [format!("{STREAM}.>")],
            "retention": "limits", "storage": "file", "max_age": 0, "num_replicas": 1,
            "discard": "old", "max_msgs": -1, "max_bytes": -1, "max_consumers": -1});
        let subject = format!("$JS.API.STREAM.CREATE.{STREAM}");
        let answer = self.request(&subject, wanted.to_string().as_bytes())?;
        if answer["error"].is_null() {
            return Ok(());
        }
        Err(odd(&format!("the stream was not made: {}", answer["error"])))
    }

    /// How many messages the stream of the agents has.
    pub(crate) fn messages(&mut self) -> io::Result<u64> {
        let answer = self.request(&format!("$JS.API.STREAM.INFO.{STREAM}"), b"")?;
        let count = answer["state"]["messages"].as_u64();
        count.ok_or_else(|| odd(&format!("there is no stream {STREAM}: {}", answer["error"])))
    }

    /// Reads a message whose first bytes are headers. One without anything else says that nobody
    /// listens.
    fn message(&mut self, headers: usize, total: Option<&str>) -> io::Result<Value> {
        let total: usize = total.and_then(|total| total.parse().ok()).unwrap_or(usize::MAX);
        if total > MESSAGE_BYTES_MAX || headers > total {
            return Err(odd("a message is too long"));
        }
        let mut bytes = vec![0; total];
        self.reader.read_exact(&mut bytes)?;
        self.line()?;
        let body = bytes.split_off(headers);
        if body.is_empty() && headers > 0 {
            return Err(odd("nobody answers there: JetStream is not ready"));
        }
        serde_json::from_slice(&body).map_err(io::Error::from)
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.reader.get_mut().write_all(text.as_bytes())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        (&mut self.reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        if bytes.last() != Some(&b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}
