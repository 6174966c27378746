//! The whole language of plans: its types, read from YAML, described as JSON Schema, written again.
//!
//! A plan may be split over files; a section that holds names may be continued in another file.

pub(crate) mod at;
pub(crate) mod define;
pub(crate) mod limited;
pub(crate) mod local;
mod map;
pub(crate) mod reader;
mod scalar;
pub(crate) mod schema;
mod titles;
mod types;
pub(crate) mod value;
pub(crate) mod yaml;

#[cfg(test)]
mod tests;

use std::ops::Range;

use serde_json::Value as Json;

use crate::findings::Raw;
use crate::protection::Unreadable;
use crate::tree;

pub use at::{At, FileId, Origin, Place, Source, Sources};
pub use limited::{
    CanaryEvery, CompressionLevel, FullEvery, KeepFor, KeepLast, PartInterval, SpoolLimit, Workers,
};
pub use local::{AbsolutePath, ApplicationName, EtcdEndpoint, PathPattern, SlotName};
pub use map::Named;
pub(crate) use map::is_name;
pub(crate) use scalar::script_lines;
pub use scalar::{Every, Percent, Rate, Script};
pub use titles::Titled;
pub use types::*;
pub use yaml::Yaml;

use define::section;
use reader::Reader;
use value::Value;

section! {
    /// A disaster recovery plan of Soter. A plan may be split over several files of one directory.
    pub struct Plan, "a plan" {
        /// What the plan is, who owns it, when it is looked at again.
        plan: Option<Header>,
        /// Numbers that nobody measured yet.
        assumptions: Option<Assumptions>,
        /// Classes of services, the most important first.
        tiers: Named<Tier>,
        /// What must work again.
        services: Named<Service>,
        /// What holds the data.
        stores: Named<Store>,
        /// Stores that must come back to the same moment.
        groups: Named<Group>,
        /// Copies and demands that several stores share.
        policies: Named<Policy>,
        /// Where copies are kept.
        vaults: Named<Vault>,
        /// What fails together.
        domains: Named<Domain>,
        /// Keys, accounts and passwords that matter for a recovery.
        credentials: Named<Credential>,
        /// People and roles.
        people: Named<Person>,
        /// Teams.
        teams: Named<Team>,
        /// Ways to reach people.
        channels: Named<Channel>,
        /// How bad things can be, the worst first.
        severities: Named<Severity>,
        /// What customers are told.
        status_page: Option<StatusPage>,
        /// Disasters and their recoveries.
        scenarios: Named<Scenario>,
        /// Recoveries that are tried before they are needed.
        drills: Named<Drill>,
        /// What follows an incident.
        after_incident: Option<AfterIncident>,
    }
}

/// One file of a plan, as it was read.
pub(crate) struct Reading {
    pub(crate) plan: Plan,
    /// What is wrong with it.
    pub(crate) findings: Vec<Raw>,
    /// Parts of it that no report may quote, beyond what the mask recognises by itself.
    pub(crate) secrets: Vec<Range<usize>>,
    /// The keys whose values could not be read.
    pub(crate) unreadable: Unreadable,
}

impl Reading {
    /// Reads one file of a plan. What is wrong stands beside what could be read.
    pub(crate) fn of(file: FileId, source: &str) -> Self {
        let mut reader = Reader::new(file, source);
        let plan = match tree::read(source, &mut reader.findings) {
            Ok(root) => Plan::read(&root, &mut reader),
            Err(raw) => {
                reader.broken(raw);
                None
            }
        };
        if plan.is_none() {
            reader.unreadable.add_file();
        }
        let plan = plan.unwrap_or_default();
        let Reader { findings, secrets, unreadable, .. } = reader;
        Self { plan, findings, secrets, unreadable }
    }
}

/// As [`Reading::of`], for tests that have nothing to hide.
#[cfg(test)]
pub(crate) fn read(file: FileId, source: &str) -> (Plan, Vec<Raw>) {
    let reading = Reading::of(file, source);
    (reading.plan, reading.findings)
}

impl Plan {
    /// Adds another file of the same plan. A section that is not made of names stands in one file.
    pub(crate) fn merge(&mut self, other: Self) -> Vec<Repeated> {
        let mut repeated = Vec::new();
        let mut note = |section: &'static str, names: Vec<At<String>>| {
            repeated.extend(names.into_iter().map(|name| Repeated { section, name }));
        };
        note("tiers", self.tiers.merge(other.tiers));
        note("services", self.services.merge(other.services));
        note("stores", self.stores.merge(other.stores));
        note("groups", self.groups.merge(other.groups));
        note("policies", self.policies.merge(other.policies));
        note("vaults", self.vaults.merge(other.vaults));
        note("domains", self.domains.merge(other.domains));
        note("credentials", self.credentials.merge(other.credentials));
        note("people", self.people.merge(other.people));
        note("teams", self.teams.merge(other.teams));
        note("channels", self.channels.merge(other.channels));
        note("severities", self.severities.merge(other.severities));
        note("scenarios", self.scenarios.merge(other.scenarios));
        note("drills", self.drills.merge(other.drills));
        self.plan = self.plan.take().or(other.plan);
        self.assumptions = self.assumptions.take().or(other.assumptions);
        self.status_page = self.status_page.take().or(other.status_page);
        self.after_incident = self.after_incident.take().or(other.after_incident);
        repeated
    }

    /// The plan as YAML that reads back the same.
    pub fn to_yaml(&self) -> Yaml {
        Value::write(self)
    }
}

/// A name that another file has already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repeated {
    pub(crate) section: &'static str,
    pub(crate) name: At<String>,
}

/// The JSON Schema of a plan's file.
pub fn schema() -> Json {
    let mut schemas = schema::Schemas::default();
    let root = <Plan as Value>::schema(&mut schemas);
    schemas.finish("A disaster recovery plan of Soter", &root)
}
