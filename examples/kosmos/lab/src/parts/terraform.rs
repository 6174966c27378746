//! Terraform as the one who provides nodes, with the resource that is built into it: what it makes is
//! a directory with what every node has.

use soter_world::exec::Command;

use crate::failure::{Failure, failed};
use crate::lab::Lab;
use crate::place::NODES;

/// Where its files are, as in the plan of KOSMOS.
pub(crate) const DIRECTORY: &str = "laptop/infrastructure/terraform/alibaba";

/// The resources. Variables are those the plan of KOSMOS sets; what was set stays, so that an apply
/// for one thing does not undo another.
const RESOURCES: &str = r#"
variable "generation" {
  description = "Which cluster it is to be; another value makes all nodes anew"
  default     = ""
}
variable "replace" {
  description = "A node to make anew"
  default     = ""
}
variable "old_cluster" {
  description = "`stopped` ends whatever runs on the nodes"
  default     = "running"
}
variable "running" {
  description = "`no` ends whatever runs on the nodes"
  default     = "yes"
}
variable "account" { default = "" }
variable "patched" { default = "" }

locals {
  remembered = try(trimspace(file("${path.module}/generation")), "first")
  generation = var.generation == "" ? local.remembered : var.generation
  lab        = "@PROGRAM@ --directory @ROOT@"
}

resource "terraform_data" "generation" {
  input = local.generation
  provisioner "local-exec" {
    command = "printf %s '${self.input}' > generation"
  }
  triggers_replace = local.generation
}

resource "terraform_data" "fence" {
  count            = var.old_cluster == "stopped" || var.running == "no" ? 1 : 0
  triggers_replace = timestamp()
  provisioner "local-exec" {
    command = "${local.lab} node stop node-1 node-2 node-3"
  }
}

resource "terraform_data" "node" {
  for_each         = toset(["node-1", "node-2", "node-3"])
  input            = { name = each.key, lab = local.lab }
  triggers_replace = local.generation
  depends_on       = [terraform_data.fence]
  provisioner "local-exec" {
    command     = "${self.input.lab} node make ${self.input.name}"
    environment = { KOSMOS_GENERATION = local.generation }
  }
  provisioner "local-exec" {
    when    = destroy
    command = "${self.input.lab} node remove ${self.input.name}"
  }
}

resource "terraform_data" "replacement" {
  count            = var.replace == "" ? 0 : 1
  triggers_replace = timestamp()
  depends_on       = [terraform_data.node]
  provisioner "local-exec" {
    command     = <<-EOT
      set -e
      ${local.lab} node remove ${var.replace}
      ${local.lab} node make ${var.replace}
      # The image joins by itself: it brings the token.
      install -m 600 @ROOT@/laptop/k3s/token @ROOT@/${var.replace}/files/etc/rancher/k3s/token
      ${local.lab} exec ${var.replace} -- systemctl start k3s
    EOT
    environment = { KOSMOS_GENERATION = local.generation }
  }
}

output "first_node" { value = terraform_data.node["node-1"].input.name }
output "second_node" { value = terraform_data.node["node-2"].input.name }
output "third_node" { value = terraform_data.node["node-3"].input.name }
"#;

/// Where credentials are made anew.
const CREDENTIALS: &str = "laptop/infrastructure/terraform/credentials";

/// Every other generation has credentials of its own.
const OF_CREDENTIALS: &str = r#"
variable "generation" {
  description = "Another value makes all credentials anew"
  default     = "first"
}

resource "terraform_data" "credentials" {
  input            = var.generation
  triggers_replace = var.generation
  provisioner "local-exec" {
    command = "@PROGRAM@ --directory @ROOT@ rotate"
  }
}
"#;

/// Makes the nodes by Terraform.
pub(crate) fn make(lab: &Lab) -> Result<(), Failure> {
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    for (directory, resources) in [(DIRECTORY, RESOURCES), (CREDENTIALS, OF_CREDENTIALS)] {
        lab.directory(directory)?;
        let resources = resources
            .replace("@PROGRAM@", &us.display().to_string())
            .replace("@ROOT@", &lab.root().display().to_string());
        lab.file(&format!("{directory}/main.tf"), resources.trim_start())?;
    }
    run(lab, &["init", "-input=false", "-no-color"])?;
    run(lab, &["apply", "-input=false", "-no-color", "-auto-approve"]).map(drop)
}

/// Whether it knows the nodes.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let listed = run(lab, &["state", "list"]).map_err(|failure| failure.to_string())?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let known = NODES.iter().filter(|node| listed.contains(&format!("node[\"{node}\"]"))).count();
    if known == NODES.len() {
        return Ok(format!("{known} nodes are in its state"));
    }
    Err(format!("{known} of {} nodes are in its state", NODES.len()))
}

fn run(lab: &Lab, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    let command = Command::new(lab.program("terraform")?)
        .args(arguments)
        .current_dir(lab.root().join(DIRECTORY))
        .env("TF_CLI_CONFIG_FILE", "/dev/null")
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_IN_AUTOMATION", "1");
    lab.run(&format!("run terraform {}", arguments[0]), command)
}
