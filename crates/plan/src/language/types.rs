//! The sections of a plan. Their doc comments are the manual: `soter schema` prints them.

mod drills;
mod header;
mod people;
mod protection;
mod scenarios;
mod services;
mod stores;

pub use drills::{Criterion, Drill, DrillKind, DrillResult, Measure, Outcome};
pub use header::{Assumptions, Change, Header};
pub use people::{
    Action, AfterIncident, Channel, ChannelKind, Level, Person, Severity, StatusPage, Team,
    Template,
};
pub use protection::{
    BackupSettings, CanarySettings, CompressionSettings, RetentionSettings, SpoolSettings,
    VaultKeys, WalMode, WalSettings,
};
pub use scenarios::{
    Approve, Detection, Http, Kubernetes, KubernetesAction, Notify, Parameter, ParameterSource,
    ParameterType, Phase, Probe, Restore, Scenario, Sql, Step, Terraform, Way,
};
pub use services::{Credential, Domain, DomainKind, Group, RunsAs, Service, Tier, Workload};
pub use stores::{Copy, Method, Policy, Store, StoreKind, Stores, Vault};
