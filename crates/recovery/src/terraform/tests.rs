use std::fs;
use std::sync::Arc;

use soter_world::Secret;

use super::*;
use crate::testing::{self, Desk};

fn terraform(action: &str, variables: &[&str]) -> Terraform {
    Terraform {
        directory: "infrastructure".to_owned(),
        action: action.to_owned(),
        variables: variables.iter().map(|variable| (*variable).to_owned()).collect(),
    }
}

fn parameters() -> Parameters {
    let mut parameters = Parameters::default();
    parameters.insert("host", Given::Plain("shop-2.example".to_owned()));
    parameters.insert("token", Given::Hidden(Secret::new("hun\"ter${2}\n%{x}\\".to_owned())));
    parameters
}

#[test]
fn secret_values_are_read_and_others_are_arguments() {
    let written = terraform("apply", &["host=${host}", "key=a ${token}", "list=[\"a\"]"]);
    let found = variables(&written, &parameters()).unwrap();
    assert_eq!(found.arguments, ["-var=host=shop-2.example", "-var=list=[\"a\"]"]);
    assert_eq!(found.hidden, "key = \"a hun\\\"ter$${2}\\n%%{x}\\\\\"\n");
    let says = |variable: &str, says: &str| {
        let why = variables(&terraform("apply", &[variable]), &parameters()).unwrap_err();
        assert!(why.contains(says), "{variable}: {why}");
    };
    says("host", "write name=value");
    says("-x=1", "no name of a variable");
    says("a=${nobody}", "has no value");
    assert!(is_destroy(&terraform("plan", &[])).unwrap_err().contains("write apply or destroy"));
}

#[test]
fn nothing_secret_lies_where_a_command_is_written_down() {
    let desk = Desk::new("", "kind: drill\nenvironment: { TF_DATA_DIR: /tmp/x }\n");
    let step = procedure::Action::Terraform(terraform("destroy", &["key=${token}"]));
    let attempt = testing::attempt(step, |step| step.gives = vec!["node".to_owned()]);
    let attempt = Attempt { parameters: Arc::new(parameters()), ..attempt };
    let infrastructure = Infrastructure { means: desk.means() };
    let work = infrastructure.work(&attempt, &desk.place()).unwrap().unwrap();
    let Work::Command { spec, hidden } = work else { panic!("it must outlive the engine") };
    let shown = serde_json::to_string(&spec).unwrap();
    assert!(!shown.contains("hun") && shown.contains("-destroy"), "{shown}");
    assert!(spec.arguments.ends_with(&["-var-file=/dev/stdin".to_owned()]), "{shown}");
    assert!(hidden.input.unwrap().expose().starts_with("key = \"hun"));
    assert!(hidden.environment.contains_key("token"));
    assert_eq!(spec.environment["TF_DATA_DIR"], "/tmp/x");
    let directory = desk.root().join("infrastructure").display().to_string();
    assert_eq!(spec.environment["SOTER_TERRAFORM_DIRECTORY"], directory);
    let script = desk.place().attempt(&attempt.step.id, 1).join("script");
    assert_eq!(fs::read_to_string(script).unwrap(), SCRIPT);
    // On another machine all of it comes by the connection.
    let there = |directory: &str| {
        let written =
            Terraform { directory: directory.to_owned(), ..terraform("apply", &["key=${token}"]) };
        let attempt = testing::attempt(procedure::Action::Terraform(written), |step| {
            step.on = Some("node-1".to_owned());
        });
        let attempt = Attempt { parameters: Arc::new(parameters()), ..attempt };
        infrastructure.work(&attempt, &desk.place()).unwrap()
    };
    let why = there("infrastructure").err().unwrap();
    assert!(why.contains("is on `node-1`") && why.ends_with("write its whole path"), "{why}");
    let Ok(Work::Command { spec, hidden }) = there("/srv/infrastructure") else {
        panic!("refused")
    };
    let shown = serde_json::to_string(&spec).unwrap();
    assert!(spec.program == "ssh" && !shown.contains("hun"), "{shown}");
    let input = hidden.input.unwrap();
    assert!(
        input.expose().contains("SOTER_TERRAFORM_VARIABLES='key = \"hun"),
        "{}",
        input.expose()
    );
    let script = desk.place().attempt(&attempt.step.id, 1).join("script");
    assert!(!fs::read_to_string(script).unwrap().contains("hun"));
}
