//! As much HTTP/1.1 as services and their probes need: one request on a connection, with a limit on
//! everything.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// How long a client may take to say what it wants, and to hear the answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests at the same time. Each has a thread; more are told to come back.
const REQUESTS_MAX: usize = 64;

/// Longest line, most lines, longest body: a request that is larger is a mistake.
const LINE_BYTES_MAX: u64 = 8 << 10;
const LINES_MAX: usize = 100;
const BODY_BYTES_MAX: usize = 1 << 20;

/// Connections that wait to be taken.
const BACKLOG: i32 = 128;

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// `GET`, `POST`.
    pub(crate) method: String,
    /// With what follows a `?`.
    pub(crate) path: String,
    /// What was sent along.
    pub(crate) body: Vec<u8>,
    /// By what the asker is known: the header `Authorization`.
    pub(crate) authorization: Option<String>,
}

/// What of a head matters.
#[derive(Debug, Default)]
struct Headers {
    length: Option<usize>,
    authorization: Option<String>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: u16,
    /// What the body is.
    pub(crate) kind: &'static str,
    /// The body.
    pub(crate) body: String,
}

impl Response {
    /// A value.
    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self { status, kind: "application/json", body: format!("{value}\n") }
    }

    /// Words.
    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: format!("{text}\n") }
    }
}

/// A listener on loopback. Several processes may listen on the same port, and share its requests.
pub(crate) fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Answers requests for ever.
pub(crate) fn serve(listener: &TcpListener, answer: impl Fn(&Request) -> Response + Sync) -> ! {
    let running = AtomicUsize::new(0);
    thread::scope(|scope| {
        loop {
            // A connection that ended before it was taken is no reason to end.
            let Ok((stream, _)) = listener.accept() else { continue };
            if running.fetch_add(1, Ordering::Relaxed) >= REQUESTS_MAX {
                running.fetch_sub(1, Ordering::Relaxed);
                respond(stream, &Response::text(503, "too many requests at the same time")).ok();
                continue;
            }
            let (answer, running) = (&answer, &running);
            scope.spawn(move || {
                // A client that went away does not hear the answer; the next one does.
                converse(stream, answer).ok();
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
    })
}

fn converse(stream: TcpStream, answer: impl Fn(&Request) -> Response) -> io::Result<()> {
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut reader = BufReader::new(stream);
    let response = match read_request(&mut reader) {
        Ok(request) => answer(&request),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Response::text(400, &error.to_string())
        }
        Err(error) => return Err(error),
    };
    respond(reader.into_inner(), &response)
}

fn respond(mut stream: TcpStream, response: &Response) -> io::Result<()> {
    let reason = match response.status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        _ => "Service Unavailable",
    };
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        response.status,
        response.kind,
        response.body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(response.body.as_bytes())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Request> {
    let first = line(reader)?;
    let mut words = first.split_whitespace();
    let (Some(method), Some(path), Some(_)) = (words.next(), words.next(), words.next()) else {
        return Err(invalid("this is not HTTP"));
    };
    let Headers { length, authorization } = headers(reader)?;
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Request { method: method.to_owned(), path: path.to_owned(), body, authorization })
}

/// Reads the headers to their end.
fn headers(reader: &mut impl BufRead) -> io::Result<Headers> {
    let mut found = Headers::default();
    for _ in 0..LINES_MAX {
        let header = line(reader)?;
        if header.is_empty() {
            return Ok(found);
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("authorization") {
            found.authorization = Some(value.trim().to_owned());
        }
        if name.eq_ignore_ascii_case("content-length") {
            let value = value.trim().parse().map_err(|_| invalid("a length is a number"))?;
            if value > BODY_BYTES_MAX {
                return Err(invalid("the body is too long"));
            }
            found.length = Some(value);
        }
    }
    Err(invalid("too many headers"))
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(if bytes.is_empty() {
            io::ErrorKind::UnexpectedEof.into()
        } else {
            invalid("a line is too long")
        });
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| invalid("a line is not text"))
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Asks a server on loopback. Status and body of what it answers.
pub(crate) fn ask(
    port: u16,
    method: &str,
    path: &str,
    body: &str,
    timeout: Duration,
) -> io::Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let first = line(&mut reader)?;
    let status = first.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| invalid("the answer is not HTTP"))?;
    let mut body = Vec::new();
    match headers(&mut reader)?.length {
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        None => {
            reader.take(BODY_BYTES_MAX as u64).read_to_end(&mut body)?;
        }
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: Duration = Duration::from_secs(10);

    fn echo() -> u16 {
        let listener = listen(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            serve(&listener, |request| {
                let body = String::from_utf8_lossy(&request.body);
                Response::text(200, &format!("{} {} {body}", request.method, request.path))
            })
        });
        port
    }

    #[test]
    fn a_request_is_answered() {
        let answer = ask(echo(), "POST", "/work?x=1", "hello", SECONDS).unwrap();
        assert_eq!(answer, (200, "POST /work?x=1 hello\n".to_owned()));
    }

    #[test]
    fn nonsense_is_told_so() {
        let port = echo();
        let send = |bytes: &[u8]| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            stream.write_all(bytes).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        assert!(send(b"hello\r\n\r\n").starts_with("HTTP/1.1 400"));
        assert!(send(b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n").starts_with("HTTP/1.1 400"));
        let long = format!("GET / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
        assert!(send(long.as_bytes()).contains("too long"));
    }

    #[test]
    fn two_listeners_share_a_port() {
        let first = listen(0).unwrap();
        let port = first.local_addr().unwrap().port();
        listen(port).unwrap();
    }
}
