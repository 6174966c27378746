//! `soter`: the real one, with the plan of the laptop, unless another one is named. The plan follows the
//! node's configuration: its store is where the unit of the database has it.

use soter_world::exec::{Command, Input, Output};

use crate::failure::{Failure, failed};
use crate::lab::Lab;
use crate::parts::{CONFIGURATION, configure_laptop};

pub(super) fn run(lab: &Lab, arguments: &[String]) -> Result<(), Failure> {
    let mut soter = Command::new(lab.program("soter")?);
    if !arguments.iter().any(|word| word == "--plan" || word.starts_with("--plan=")) {
        configure_laptop(lab)?;
        soter = soter.arg("--plan").arg(lab.root().join(CONFIGURATION));
    }
    let soter =
        soter.args(arguments).stdin(Input::Inherit).stdout(Output::Inherit).stderr(Output::Inherit);
    Err(failed("run soter")(soter.replace_this_process()))
}
