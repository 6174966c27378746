use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use soter_world::OsDisk;

use super::*;

const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/authority.pem");

/// A server that answers one request after the other with these texts, then ends. What it was asked
/// comes back. An empty answer is a connection that is closed without one.
pub(in crate::steps) struct Server {
    pub(in crate::steps) address: SocketAddr,
    served: JoinHandle<Vec<String>>,
}

impl Server {
    pub(in crate::steps) fn answering(answers: &[&str]) -> Self {
        Self::serve(answers, |stream, answer| exchange(BufReader::new(stream), answer))
    }

    fn answering_by_tls(answers: &[&str]) -> Self {
        let read = |name: &str| {
            std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        let certificate = CertificateDer::from_pem_slice(&read("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&read("server.key")).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        Self::serve(answers, move |stream, answer| {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream);
            // A client that does not believe us ends here.
            if stream.conn.complete_io(&mut stream.sock).is_err() {
                return "refused".to_owned();
            }
            exchange(BufReader::new(stream), answer)
        })
    }

    fn serve(
        answers: &[&str],
        exchange: impl Fn(TcpStream, &str) -> String + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let served = thread::spawn(move || {
            let serve = |answer: &String| exchange(listener.accept().unwrap().0, answer);
            answers.iter().map(serve).collect()
        });
        Self { address, served }
    }

    pub(in crate::steps) fn asked(self) -> Vec<String> {
        self.served.join().unwrap()
    }
}

/// Reads a request with its body, and answers it.
fn exchange(mut stream: BufReader<impl Read + Write>, answer: &str) -> String {
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return request;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        request.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    request.push_str(&String::from_utf8(body).unwrap());
    stream.get_mut().write_all(answer.as_bytes()).unwrap();
    stream.get_mut().flush().unwrap();
    request
}

pub(in crate::steps) fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn requests(ca_file: Option<&str>) -> Requests {
    Requests::new(Arc::new(OsDisk), ca_file.map(PathBuf::from))
}

fn get(url: &str) -> Request<'_> {
    let timeout = Duration::from_secs(20);
    Request { method: "GET", url, body: None, content_type: None, right: None, timeout }
}

#[test]
fn a_request_carries_what_it_should_and_brings_the_answer() {
    let server = Server::answering(&[&answer("503 Busy", "not now")]);
    let url = format!("http://{}/a?b=c", server.address);
    let right = Secret::new("hunter2".to_owned());
    let request = Request {
        method: "POST",
        body: Some("{}"),
        content_type: Some("application/json"),
        right: Some(&right),
        ..get(&url)
    };
    let response = requests(None).send(&request).unwrap();
    assert_eq!(response, Response { status: 503, body: "not now".to_owned(), is_whole: true });
    let asked = server.asked().remove(0).to_ascii_lowercase();
    for part in
        ["post /a?b=c http/1.1", "authorization: bearer hunter2", "application/json", "\r\n{}"]
    {
        assert!(asked.contains(part), "{part}: {asked}");
    }
}

#[test]
fn a_value_with_a_scheme_is_sent_as_it_is() {
    assert_eq!(authorization("Basic dXNlcjp4\n"), "Basic dXNlcjp4");
    assert_eq!(authorization("token with space"), "token with space");
    assert_eq!(authorization("my secret"), "Bearer my secret");
}

#[test]
fn servers_are_believed_by_the_named_authority_alone() {
    let server = Server::answering_by_tls(&[&answer("200 OK", "by tls"), "", ""]);
    let url = format!("https://{}/", server.address);
    assert_eq!(requests(Some(AUTHORITY)).send(&get(&url)).unwrap().body, "by tls");
    // This machine's own list does not have it; where there is none, that is said.
    let error = requests(None).send(&get(&url)).unwrap_err();
    assert!(matches!(error, HttpError::NotSent(_) | HttpError::NoBundle), "{error}");
    let other = url.replace("127.0.0.1", "127.0.0.2");
    let error = requests(Some(AUTHORITY)).send(&get(&other)).unwrap_err();
    assert!(matches!(error, HttpError::NotSent(_)), "{error}");
    let error = requests(Some("/nowhere.pem")).send(&get(&url)).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the certificates in /nowhere.pem");
    let error = requests(Some("/dev/null")).send(&get(&url)).unwrap_err();
    assert!(matches!(error, HttpError::NoCertificate(_)), "{error}");
    // Not joined: how many of the last two connections came depends on the machine's list.
    drop(server);
}

#[test]
fn a_question_follows_and_a_change_does_not() {
    let aim = Server::answering(&[&answer("200 OK", "here")]);
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        aim.address
    );
    let server = Server::answering(&[&moved, &moved]);
    let url = format!("http://{}/", server.address);
    assert_eq!(requests(None).send(&get(&url)).unwrap().body, "here");
    let request = Request { method: "POST", body: Some("x"), ..get(&url) };
    assert_eq!(requests(None).send(&request).unwrap().status, 302);
    assert_eq!(server.asked().len(), 2);
    assert_eq!(aim.asked().len(), 1);
}

#[test]
fn what_was_not_sent_is_told_from_what_may_have_been_done() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/");
    fn post(url: &str) -> Request<'_> {
        Request { method: "POST", body: Some("x"), ..get(url) }
    }
    let error = requests(None).send(&post(&url)).unwrap_err();
    assert!(matches!(error, HttpError::NotSent(_)), "{error:?}");
    for asked in [true, false] {
        let server = Server::answering(&[""]);
        let url = format!("http://{}/", server.address);
        let request = if asked { get(&url) } else { post(&url) };
        let error = requests(None).send(&request).unwrap_err();
        assert_eq!(matches!(error, HttpError::NoAnswer(_)), !asked, "{error:?}");
        server.asked();
    }
    for url in ["nonsense", "http://", "ftp://x/", "http://a b/"] {
        assert!(requests(None).send(&get(url)).is_err(), "{url}");
    }
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_longer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let timeout = Duration::from_millis(200);
    let request = Request { method: "POST", body: Some("x"), timeout, ..get(&url) };
    let error = requests(None).send(&request).unwrap_err();
    assert_eq!(error.to_string(), "no answer in time; whether it was carried out is unknown");
}

#[test]
fn of_an_endless_answer_the_beginning_is_read() {
    let body = "x".repeat(1 << 20);
    let server = Server::answering(&[&answer("200 OK", &body)]);
    let url = format!("http://{}/", server.address);
    let response = requests(None).send(&get(&url)).unwrap();
    assert_eq!(response.body.len() as u64, BODY_BYTES_MAX);
    drop(server);
}
