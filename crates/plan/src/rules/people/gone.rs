//! S0414: a plan that counts on people who have left, or on machines that are gone, as it says
//! itself.

use super::GONE;
use crate::check::{Finding, Gone, Model, Severity};

/// So many names stand in one title.
const NAMES_MAX: usize = 4;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let all = &model.facts.gone;
    for together in all.chunk_by(|a, b| a.place == b.place && a.is_machine == b.is_machine) {
        findings.extend(if together.iter().any(|gone| gone.is_machine) {
            machine(together)
        } else {
            people(together)
        });
    }
}

fn names(together: &[Gone]) -> Vec<&str> {
    let mut names: Vec<&str> = together.iter().map(|gone| gone.name.as_str()).collect();
    names.dedup();
    names
}

fn people(together: &[Gone]) -> Option<Finding> {
    let (first, more) = together.split_first()?;
    let names = names(together);
    let shown = match names.len() {
        1 => format!("{} has left, and is still counted on here", names[0]),
        count if count > NAMES_MAX => {
            format!("{count} people have left, and are still counted on here")
        }
        _ => format!("{} have left, and are still counted on here", names.join(", ")),
    };
    let finding = Finding::new(&GONE, first.used, shown).here("who answers here?");
    let finding = more.iter().fold(finding, |finding, gone| finding.label(gone.used, "and here?"));
    let finding = labelled(finding, together, "the plan says it here");
    Some(finding.hint(
        "write who does it now; what only they had (a share of a key, a telephone, a mailbox) has to be \
         given out again",
    ))
}

fn machine(together: &[Gone]) -> Option<Finding> {
    let first = together.first()?;
    let words =
        format!("`{}` is gone, and is still worked with here", names(together).join("`, `"));
    let finding =
        Finding::new(&GONE, first.used, words).severity(Severity::Error).here("this machine");
    let finding = labelled(finding, together, "gone, as the plan says here");
    Some(
        finding
            .why("the command fails, or works with what is left of the old machine; what took its place \
                  is not touched")
            .hint("name the machine that took its place, and look since when the job has done nothing"),
    )
}

/// Each sentence that says it, once.
fn labelled(finding: Finding, together: &[Gone], text: &str) -> Finding {
    let mut said: Vec<_> = together.iter().map(|gone| gone.said).collect();
    said.sort_unstable();
    said.dedup();
    said.into_iter().fold(finding, |finding, said| finding.label(said, text))
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{silent, titles};

    fn document(name: &str, sentence: &str, script: &str) -> String {
        format!(
            "# Plan\n\n## Contacts\n\n| Role | Name | Phone |\n|-|-|-|\n| IC | {name} | 1234 |\n\
             | Lead | Ada Lund | 1235 |\n\n## Jobs\n\n```bash\n{script}\n```\n\n## Notes\n\n{sentence}\n"
        )
    }

    #[test]
    fn people_who_have_left() {
        let left = "Slow, because Bo's number was still first after he had\nleft in May.";
        assert_eq!(
            titles("S0414", &document("Bo Lind", left, "true")),
            ["Bo Lind has left, and is still counted on here"]
        );
        let mail = "MAILTO=ada.lund@acme.example";
        assert_eq!(
            titles("S0414", &document("Bo Lind", "Ada Lund, who had the keys, has retired.", mail))
                .len(),
            2
        );
        for (name, sentence) in [
            ("Cy Moe", "Slow, because Bo's number was still first after he had left in May."),
            // Which Ada?
            ("Ada Berg", "Ada had left the company by then."),
            ("Bo Lind", "The train had left. Bo Lind was on call."),
            ("Bo Lind", "Bo Lind and Ada Lund stay."),
        ] {
            silent("S0414", &[&document(name, sentence, "true")]);
        }
    }

    #[test]
    fn machines_that_are_gone() {
        let gone = "Moved to new hardware: `orders-db-01` was replaced\nby `orders-db-02` and powered off.";
        assert_eq!(
            titles("S0414", &document("Bo Lind", gone, "HOST=orders-db-01.acme.example")),
            ["`orders-db-01` is gone, and is still worked with here"]
        );
        for script in ["HOST=orders-db-02", "HOST=orders-db-011", "HOST=new-orders-db-01"] {
            silent("S0414", &[&document("Bo Lind", gone, script)]);
        }
        let here = "db-001 was switched off for the night.";
        silent("S0414", &[&document("Bo Lind", here, "HOST=db-001")]);
    }
}
