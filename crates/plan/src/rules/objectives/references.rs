//! S0102: a service needs something that is declared nowhere.

use super::UNKNOWN_NAME;
use crate::check::{Finding, Model};
use crate::suggest::nearest;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let services = &model.plan.services;
    for (name, service) in services.iter() {
        for need in service.needs.iter().chain(&service.prefers) {
            if services.contains(&need.value) {
                continue;
            }
            let title =
                format!("`{}` needs `{}`, which is declared nowhere", name.value, need.value);
            let finding = Finding::new(&UNKNOWN_NAME, need.origin, title).here("no such service");
            findings.push(match nearest(&need.value, services.names()) {
                Some(near) => finding.hint(format!("did you mean `{near}`?")),
                None => finding.hint(format!(
                    "declare `{}` among the services, with its objective and what its data is \
                     restored from; if somebody else runs it, say `external: yes`",
                    need.value
                )),
            });
        }
    }
}
