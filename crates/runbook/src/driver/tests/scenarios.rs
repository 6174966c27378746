//! The scenarios of the examples in the world that lies, their engines killed at operations of the disk:
//! before a record, in it, when it is durable and nobody heard of it.

use std::collections::BTreeMap;

use soter_world::Secret;
use soter_world::sim::seeds;

use super::beginning;
use super::laboratory::value;
use super::simulation::{Fault, carry_out};
use crate::driver::effects::Kind;
use crate::driver::engine::Beginning;
use crate::procedure::{Given, ParameterKind, Procedure, compile};
use crate::testing::example;

/// The longest run of KOSMOS has some thousand operations; a hundred seeds kill it at all of them.
const KOSMOS_EVERY: u64 = 97;

/// Every scenario, begun by somebody who knows what they are asked.
fn begun(example_name: &str) -> Vec<Beginning> {
    let loaded = example(example_name);
    let compiled = loaded.plan.scenarios.names().map(|name| compile(&loaded.plan, name).unwrap());
    compiled
        .map(|procedure| Beginning {
            parameters: given(&procedure),
            procedure,
            ..beginning(Kind::Drill, Vec::new(), Vec::new())
        })
        .collect()
}

/// The values that no step gives.
fn given(procedure: &Procedure) -> BTreeMap<String, Given> {
    let is_later = |name: &String| procedure.steps.iter().any(|step| step.gives.contains(name));
    let first = procedure.parameters.iter().filter(|one| !is_later(&one.name));
    let value = |name: &str, kind| match (value(procedure, name), kind) {
        (value, ParameterKind::Secret) => Given::Hidden(Secret::new(value)),
        (value, _) => Given::Plain(value),
    };
    first.map(|one| (one.name.clone(), value(&one.name, one.kind))).collect()
}

/// Every scenario, killed at each `every`th operation; the seed says with which it begins.
fn killed(example_name: &str, every: u64) {
    for seed in seeds(1) {
        for beginning in begun(example_name) {
            let scenario = beginning.procedure.scenario.clone();
            let operations = carry_out(seed, beginning.clone(), None, false);
            for at in (seed % every..operations).step_by(usize::try_from(every).unwrap()) {
                carry_out(seed, beginning.clone(), Some(Fault::CrashAt(at)), false);
            }
            println!("{scenario}: killed at every {every}th of {operations} operations");
        }
    }
}

#[test]
fn the_laboratorys_scenarios_killed_anywhere_end_as_without() {
    killed("kosmos-lab", 1);
}

#[test]
fn the_scenarios_of_kosmos_killed_somewhere_end_as_without() {
    killed("kosmos", KOSMOS_EVERY);
}
