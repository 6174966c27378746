//! `aliyun ecs DescribeInstances …` by the nodes of the laboratory.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::node;
use crate::place::NODES;

/// What the nodes of a new laboratory belong to; for the provider they are the old ones.
const FIRST: &str = "first";

pub(super) fn run(lab: &Lab, arguments: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ecs", "DescribeInstances", rest @ ..] => {
            let shown = instances(lab, rest)?;
            writeln!(io::stdout(), "{shown}").map_err(failed("write the result"))
        }
        _ => {
            let what = format!("aliyun {} has no stand-in here", words.join(" "));
            Err(Failure::new(Ending::Input, what).hint("there is ecs DescribeInstances"))
        }
    }
}

/// Nodes on which something runs. A tag `generation` chooses: `old` are those of the first one.
fn instances(lab: &Lab, arguments: &[&str]) -> Result<Value, Failure> {
    let value = |name: &str| {
        let place = arguments.iter().position(|word| *word == name)?;
        arguments.get(place + 1).copied()
    };
    let wanted = (value("--Tag.1.Key") == Some("generation")).then(|| value("--Tag.1.Value"));
    let mut found = Vec::new();
    for name in NODES {
        let generation = node::generation(lab, name);
        let generation = if generation == FIRST { "old" } else { generation.as_str() };
        let is_wanted = wanted.flatten().is_none_or(|wanted| wanted == generation);
        if is_wanted && node::runs_something(lab, name)? {
            found.push(json!({"InstanceName": name, "Status": "Running", "Tag": generation}));
        }
    }
    Ok(json!({"TotalCount": found.len(), "Instances": {"Instance": found}}))
}
