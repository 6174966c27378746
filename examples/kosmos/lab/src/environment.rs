//! What whoever recovers the laboratory has in hand: where the laptop's things are, and what was in the
//! envelopes. As lines for a shell: `eval "$(kosmos-lab environment)"`.

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::lab::Lab;
use crate::place::secret;

/// Those who approve steps, in the plan of the laboratory.
const PEOPLE: [&str; 5] = ["team-lead", "cto", "security-lead", "engineer-1", "engineer-2"];

/// Gives each of them a secret of their own.
pub(crate) fn make_people(lab: &Lab) -> Result<(), Failure> {
    lab.describe(|description| {
        for person in PEOPLE {
            description.secrets.insert(format!("person-{person}"), secret::<16>());
        }
    })
}

/// The variables, by name.
pub(crate) fn variables(lab: &Lab) -> BTreeMap<String, String> {
    let description = lab.description();
    let mut found = BTreeMap::new();
    let laptop = lab.root().join("laptop").display().to_string();
    found.insert("KOSMOS_LAPTOP".to_owned(), laptop);
    let named = [
        ("KOSMOS_VAULT", description.addresses.get("vault")),
        ("KOSMOS_CONFIGURATION", description.addresses.get("git")),
        ("KOSMOS_OPERATOR_KEY", description.addresses.get("vault-identity")),
        ("KOSMOS_DNS_TOKEN", description.secrets.get("edge-token")),
    ];
    for (name, value) in named {
        found.extend(value.map(|value| (name.to_owned(), value.clone())));
    }
    for person in PEOPLE {
        let secret = description.secrets.get(&format!("person-{person}"));
        let name = format!("KOSMOS_{}_SECRET", person.to_uppercase().replace('-', "_"));
        found.extend(secret.map(|secret| (name, secret.clone())));
    }
    found
}

/// The same as lines that a shell reads.
pub(crate) fn lines(variables: &BTreeMap<String, String>) -> String {
    let line = |(name, value): (&String, &String)| {
        format!("export {name}='{}'", value.replace('\'', "'\\''"))
    };
    variables.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_what_was_meant() {
        let variables = BTreeMap::from([
            ("A".to_owned(), "it's $HOME".to_owned()),
            ("B".to_owned(), "plain".to_owned()),
        ]);
        assert_eq!(lines(&variables), "export A='it'\\''s $HOME'\nexport B='plain'");
    }
}
