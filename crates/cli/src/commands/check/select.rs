//! Which findings were asked for.

use soter_plan::rules;

use crate::failure::{Ending, Failure};

/// Codes (`S0101`) and families (`S01`) that are wanted, and those that are not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Selection {
    only: Vec<String>,
    skip: Vec<String>,
}

impl Selection {
    /// Codes and families as typed; one that does not exist is a mistake, not an empty choice.
    pub(super) fn new(only: &[String], skip: &[String]) -> Result<Self, Failure> {
        let known = |typed: &String| {
            let code = typed.trim().to_ascii_uppercase();
            let is_known = if code.len() == FAMILY_BYTES {
                !rules::family(&code).is_empty()
            } else {
                rules::find(&code).is_some()
            };
            if is_known {
                return Ok(code);
            }
            Err(Failure::new(Ending::Input, format!("{typed:?} is no code and no family of codes"))
                .hint("`soter explain` lists them all; a family is S01, a code S0101"))
        };
        let only = only.iter().map(known).collect::<Result<_, _>>()?;
        let skip = skip.iter().map(known).collect::<Result<_, _>>()?;
        Ok(Self { only, skip })
    }

    /// Whether findings of this code were asked for.
    pub(super) fn takes(&self, code: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|named| code.starts_with(named.as_str()));
        (self.only.is_empty() || named(&self.only)) && !named(&self.skip)
    }
}

/// `S01` is a family.
const FAMILY_BYTES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(only: &[&str], skip: &[&str]) -> Result<Selection, Failure> {
        let owned = |list: &[&str]| list.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>();
        Selection::new(&owned(only), &owned(skip))
    }

    #[test]
    fn codes_and_families_are_chosen() {
        let all = selection(&[], &[]).unwrap();
        assert!(all.takes("S0101") && all.takes("S0001"));
        let one = selection(&["s0102"], &[]).unwrap();
        assert!(one.takes("S0102") && !one.takes("S0001"));
        let family = selection(&["S01"], &["S0102"]).unwrap();
        assert!(family.takes("S0101") && !family.takes("S0102") && !family.takes("S0001"));
        for wrong in ["S09", "S0999", "S010", "", "all"] {
            assert_eq!(selection(&[wrong], &[]).unwrap_err().ending, Ending::Input, "{wrong}");
        }
    }
}
