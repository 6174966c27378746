//! `curl`: the machine's own, with addresses of KOSMOS bound to the laboratory: its users' address and
//! the API of the edge.

use soter_world::exec::{Command, Input, Output};

use crate::failure::{Failure, failed};
use crate::lab::Lab;
use crate::target::{EDGE_ADDRESS, USERS_ADDRESS};

pub(super) fn run(lab: &Lab, arguments: &[String]) -> Result<(), Failure> {
    let edge = lab.address("edge")?;
    let curl = Command::new(lab.program("curl")?)
        .args(arguments.iter().map(|word| bound(word, &edge)))
        .stdin(Input::Inherit)
        .stdout(Output::Inherit)
        .stderr(Output::Inherit);
    Err(failed("run curl")(curl.replace_this_process()))
}

/// An address of KOSMOS as it is here; every other word as it is.
fn bound(word: &str, edge: &str) -> String {
    for address in [USERS_ADDRESS, EDGE_ADDRESS] {
        if let Some(rest) = word.strip_prefix(address)
            && (rest.is_empty() || rest.starts_with(['/', '?']))
        {
            return format!("{edge}{rest}");
        }
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_kosmos_are_bound_and_no_others() {
        let check =
            |word: &str, expect: &str| assert_eq!(bound(word, "http://127.0.0.1:9"), expect);
        check("https://api.kosmos.example/health", "http://127.0.0.1:9/health");
        check(
            "https://api.cloudflare.com/client/v4/zones/z",
            "http://127.0.0.1:9/client/v4/zones/z",
        );
        check("https://api.kosmos.example", "http://127.0.0.1:9");
        check("https://api.kosmos.example.org/", "https://api.kosmos.example.org/");
        check("--max-time", "--max-time");
        check(
            "{\"url\":\"https://api.kosmos.example/\"}",
            "{\"url\":\"https://api.kosmos.example/\"}",
        );
    }
}
