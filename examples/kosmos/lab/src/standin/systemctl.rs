//! `systemctl start|stop|restart|is-active UNIT` on a node: `k3s`, `postgresql`, `soter-agent`,
//! `soter-agent-etcd`, `nats`, and where there is no Kubernetes `zeus` and `gateway`.

use std::io::{self, Write};

use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::node;
use crate::parts::units;

pub(super) fn run(lab: &Lab, arguments: &[String]) -> Result<(), Failure> {
    let node = node::ours()?;
    let words: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let [action, unit] = words.as_slice() else {
        return Err(Failure::new(Ending::Input, "systemctl needs an action and one unit"));
    };
    let unit = units::Unit::named(unit.strip_suffix(".service").unwrap_or(unit))?;
    match *action {
        "start" => unit.start(lab, node),
        "stop" => unit.stop(lab, node),
        "restart" => unit.stop(lab, node).and_then(|()| unit.start(lab, node)),
        "is-active" => {
            let active = unit.is_active(lab, node)?;
            let word = if active { "active" } else { "inactive" };
            writeln!(io::stdout(), "{word}").map_err(failed("write the result"))?;
            if active { Ok(()) } else { Err(Failure::new(Ending::Failed, "it does not run")) }
        }
        other => {
            Err(Failure::new(Ending::Input, format!("systemctl {other} has no stand-in here"))
                .hint("there are start, stop, restart and is-active"))
        }
    }
}
