//! `ssh [OPTIONS] [USER@]NODE COMMAND…`.

use crate::failure::{Ending, Failure};
use crate::lab::Lab;
use crate::node;
use crate::place::NODES;

/// Options with a value of their own.
const WITH_VALUE: &str = "bcDEeFIiJLlmOopQRSWw";

pub(super) fn run(lab: &Lab, arguments: &[String]) -> Result<(), Failure> {
    let (host, command) = understand(arguments)
        .ok_or_else(|| Failure::new(Ending::Unreachable, "ssh needs a host and a command"))?;
    if !NODES.contains(&host) {
        let what = format!("{host} is no machine of this laboratory");
        return Err(Failure::new(Ending::Unreachable, what)
            .hint(format!("its machines are {}", NODES.join(", "))));
    }
    // As ssh does it: the words become one text, which the shell there reads.
    node::enter(lab, host, &["bash".to_owned(), "-c".to_owned(), command.join(" ")])
}

/// The host without the user, and the command.
fn understand(arguments: &[String]) -> Option<(&str, &[String])> {
    let mut rest = arguments;
    while let [first, more @ ..] = rest {
        let Some(option) = first.strip_prefix('-') else {
            let host = first.rsplit_once('@').map_or(first.as_str(), |(_, host)| host);
            return (!more.is_empty()).then_some((host, more));
        };
        let takes_next = option.len() == 1 && option.chars().all(|one| WITH_VALUE.contains(one));
        rest = if takes_next { more.get(1..)? } else { more };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: Option<(&str, &str)>) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let found = understand(&words).map(|(host, command)| (host, command.join(" ")));
        assert_eq!(found, expect.map(|(host, command)| (host, command.to_owned())), "{line}");
    }

    #[test]
    fn options_end_where_the_host_begins() {
        check("node-1 df -h", Some(("node-1", "df -h")));
        check("-o BatchMode=yes -o ConnectTimeout=10 root@node-2 true", Some(("node-2", "true")));
        check("-T -oBatchMode=yes -p 22 node-3 a -o b", Some(("node-3", "a -o b")));
        check("-o BatchMode=yes", None);
        check("node-1", None);
    }
}
