//! `aliyun oss …` by the laboratory's S3, `aliyun ecs DescribeInstances …` by its nodes.

use std::io::{self, Write};

use serde_json::{Value, json};
use soter_world::exec::{Command, Input, Output};

use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::node;
use crate::place::NODES;
use crate::tools;

/// What the nodes of a new laboratory belong to; for the provider they are the old ones.
const FIRST: &str = "first";

pub(super) fn run(lab: &Lab, arguments: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["oss", rest @ ..] => object_storage(lab, rest),
        ["ecs", "DescribeInstances", rest @ ..] => {
            let shown = instances(lab, rest)?;
            writeln!(io::stdout(), "{shown}").map_err(failed("write the result"))
        }
        _ => {
            let what = format!("aliyun {} has no stand-in here", words.join(" "));
            Err(Failure::new(Ending::Input, what).hint("there are oss and ecs DescribeInstances"))
        }
    }
}

/// The same words for S3.
fn object_storage(lab: &Lab, arguments: &[&str]) -> Result<(), Failure> {
    let arguments = arguments.iter().map(|word| word.replace("oss://", "s3://"));
    let aws = Command::new(tools::find("aws")?)
        .args(["--endpoint-url", &lab.address("s3")?, "s3"])
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", lab.secret("s3-access-key")?)
        .env("AWS_SECRET_ACCESS_KEY", lab.secret("s3-secret-key")?)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .stdin(Input::Inherit)
        .stdout(Output::Inherit)
        .stderr(Output::Inherit);
    Err(failed("run aws")(aws.replace_this_process()))
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
