//! `k3s --version` and `k3s server --cluster-reset`, on a node.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::node;
use crate::parts::members;

pub(super) fn run(lab: &Lab, arguments: &[String]) -> Result<(), Failure> {
    let node = node::ours()?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = match words.as_slice() {
        ["--version"] => "k3s version v1.20.2+kosmos-lab".to_owned(),
        ["server", rest @ ..] if rest.contains(&"--cluster-reset") => reset(lab, node, rest)?,
        _ => {
            let what = format!("k3s {} has no stand-in here", words.join(" "));
            let known = "there are --version and server --cluster-reset";
            return Err(Failure::new(Ending::Input, what).hint(known));
        }
    };
    writeln!(io::stdout(), "{said}").map_err(failed("write the result"))
}

fn reset(lab: &Lab, node: &str, arguments: &[&str]) -> Result<String, Failure> {
    let snapshot = value(arguments, "--cluster-reset-restore-path").ok_or_else(|| {
        Failure::new(Ending::Input, "a cluster is begun from a snapshot here")
            .hint("name it with --cluster-reset-restore-path")
    })?;
    members::begin_from(lab, node, &PathBuf::from(snapshot))?;
    Ok("the cluster's data is restored; start it: systemctl start k3s".to_owned())
}

/// The value of `--name=value` or `--name value`.
fn value<'a>(arguments: &[&'a str], name: &str) -> Option<&'a str> {
    let place = arguments.iter().position(|word| {
        word.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })?;
    match arguments[place].split_once('=') {
        Some((_, value)) => Some(value),
        None => arguments.get(place + 1).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_both_ways_of_writing() {
        let words = ["--name=a", "--dir", "/b", "--cluster-reset", "--cluster-reset-path=/c"];
        assert_eq!(value(&words, "--name"), Some("a"));
        assert_eq!(value(&words, "--dir"), Some("/b"));
        assert_eq!(value(&words, "--cluster-reset-path"), Some("/c"));
        assert_eq!(value(&words, "--token"), None);
    }
}
