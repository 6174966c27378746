//! NATS JetStream on node-2, with the stream of the agents.

use super::ANSWER_TIMEOUT;
use crate::failure::{Failure, failed};
use crate::lab::Lab;
use crate::nats::Nats;
use crate::processes::Spec;

/// Starts the server and makes the stream.
pub(super) fn make(lab: &Lab) -> Result<(), Failure> {
    let (port, monitor) = (lab.port("nats")?, lab.port("nats-monitor")?);
    lab.describe(|description| {
        let address = format!("nats://127.0.0.1:{port}");
        description.addresses.insert("nats".to_owned(), address);
        let monitor = format!("http://127.0.0.1:{monitor}");
        description.addresses.insert("nats-monitor".to_owned(), monitor);
    })?;
    start(lab, "node-2")
}

/// Starts the server on a node and makes the stream if it is not in what the node has.
pub(super) fn start(lab: &Lab, node: &str) -> Result<(), Failure> {
    let (port, monitor) = (lab.port("nats")?, lab.port("nats-monitor")?);
    let home = lab.directory(&format!("{node}/nats"))?;
    let store = home.join("jetstream").display().to_string();
    let spec = Spec::new("nats", node, &lab.program("nats-server")?, home)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-m", &monitor.to_string()])
        .args(["-js", "-sd", &store]);
    lab.start(&spec)?;
    lab.wait_ready("nats", || {
        let made = Nats::connect(port, ANSWER_TIMEOUT).and_then(|mut nats| nats.make_stream());
        made.map_err(|error| error.to_string())
    })?;
    look(lab).map(drop).map_err(|why| failed("use the stream")(std::io::Error::other(why)))
}

/// Whether the stream is there, and how much is in it.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let port = lab.port("nats").map_err(|failure| failure.to_string())?;
    let messages = Nats::connect(port, ANSWER_TIMEOUT).and_then(|mut nats| nats.messages());
    let messages = messages.map_err(|error| error.to_string())?;
    Ok(format!("stream agents has {messages} messages"))
}
