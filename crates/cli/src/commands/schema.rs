//! `soter schema`.

use soter_plan::language;

use crate::context::Context;
use crate::failure::Failure;

/// Prints the JSON Schema of a plan's file.
pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let schema = language::schema();
    context.output.data(&schema, |schema| format!("{schema:#}"));
    Ok(())
}
