//! Services, what they need, and how soon they must be back.

use std::time::Duration;

use crate::language::at::At;
use crate::language::define::{section, words};
use crate::language::scalar::{Every, Script};
use crate::text::Reference;

section! {
    /// A class of services that must be back in the same time.
    pub struct Tier, "a tier" {
        /// Its name for people, such as `Critical`.
        title: Option<At<String>>,
        /// What it means to be in it.
        meaning: Option<At<String>>,
        /// Recovery time objective: back after at most so long, for each of its services that
        /// names none of its own.
        rto: Option<At<Duration>>,
        /// Recovery point objective: at most so much of the newest data may be lost.
        rpo: Option<At<Duration>>,
        /// Mean time to repair that is aimed at.
        mttr: Option<At<Duration>>,
        /// Whether the system as a whole is down without them.
        critical: Option<At<bool>>,
    }
}

section! {
    /// Something that must work again after a disaster.
    pub struct Service, "a service" {
        /// Its name for people.
        title: Option<At<String>>,
        /// What it does, in a sentence.
        about: Option<At<String>>,
        /// How much it matters; one of `tiers`.
        tier: Option<At<String>>,
        /// Recovery time objective; else its tier's.
        rto: Option<At<Duration>>,
        /// Recovery point objective; else its tier's. A stateless service has none.
        rpo: Option<At<Duration>>,
        /// Services that must be back before it can work.
        needs: Vec<At<String>>,
        /// Services it uses, but works without for a while.
        prefers: Vec<At<String>>,
        /// The stores that hold its data. None: it is stateless.
        state: Vec<At<String>>,
        /// Stores of other services that it writes to: who must stand still while they are restored.
        writes: Vec<At<String>>,
        /// It has no data that must be kept: a cache, or what can be computed again.
        stateless: Option<At<bool>>,
        /// From what it is made again: a store (such as a Git repository), or words.
        rebuilt_from: Vec<At<String>>,
        /// The failure domains it runs in. It is lost when one of them is lost, unless `survives`.
        domains: Vec<At<String>>,
        /// How many of its failure domains it may lose and still work. Taken for 0.
        survives: Option<At<u32>>,
        /// Somebody else runs it: it is used, but not recovered, such as DNS or a code host.
        external: Option<At<bool>>,
        /// How long it takes from its start until it answers; else `assumptions.start`.
        start: Option<At<Duration>>,
        /// What it runs as: how a run makes it stand still (`quiesce`) and work again (`resume`).
        runs_as: Vec<RunsAs>,
        /// Names by which steps, commands and documents call it: hosts, programs, deployments.
        also: Vec<At<String>>,
        /// The team that knows it.
        owner: Option<At<String>>,
    }
}

section! {
    /// What a service runs as: an object of Kubernetes, or what two scripts stop and start.
    pub struct RunsAs, "what a service runs as" {
        /// An object of Kubernetes with replicas. It stands still when it has none, and goes back to as
        /// many as it had.
        kubernetes: Option<Workload>,
        /// A script that stops it, and ends when it stands still. It may be run again.
        stop: Option<Script>,
        /// A script that starts it. It may be run again.
        start: Option<Script>,
        /// The machine the scripts run on, if that is not the one of the run: a host or a service.
        on: Option<At<String>>,
    }
}

section! {
    /// An object of Kubernetes with replicas. A CronJob counts as one, and so does a DaemonSet.
    pub struct Workload, "an object with replicas" {
        /// Its kind and name, such as `deployment/zeus`.
        object: Option<At<String>> = "object: deployment/orders",
        /// Its namespace.
        namespace: Option<At<String>>,
        /// How many there are in good times: what it goes back to where nobody wrote down how many
        /// there were.
        replicas: Option<At<u32>>,
    }
}

section! {
    /// Stores that point into each other, and are worth nothing at different moments.
    pub struct Group, "a consistency group" {
        /// Why they belong together.
        because: Option<At<String>>,
        /// The stores.
        stores: Vec<At<String>>,
        /// How much of the newest data they may lose, together.
        rpo: Option<At<Duration>>,
        /// How a common moment is found at a recovery.
        aligned_by: Option<At<String>>,
    }
}

words! {
    /// What kind of thing fails.
    pub enum DomainKind, "a kind of failure domain" {
        /// One machine.
        Node = "node",
        /// Machines that are run as one.
        Cluster = "cluster",
        /// A building or an availability zone.
        Zone = "zone",
        /// A region of a provider.
        Region = "region",
        /// A provider, with its accounts and its billing.
        Provider = "provider",
        /// A network or a name service.
        Network = "network",
        /// An office, a workplace, what people sit at.
        Office = "office",
    }
}

section! {
    /// What fails together.
    pub struct Domain, "a failure domain" {
        /// Its name for people.
        title: Option<At<String>>,
        /// What kind of thing it is.
        kind: Option<At<DomainKind>>,
        /// The larger domain it lies in, and fails with.
        within: Option<At<String>>,
        /// The scenario that recovers from its loss, if its name does not say so itself.
        scenario: Option<At<String>>,
        /// Its loss is accepted: why, and by whom. Nothing is demanded for it then.
        accepted: Option<At<String>>,
    }
}

section! {
    /// A key, an account or a password that a recovery needs, or that can destroy.
    pub struct Credential, "a credential" {
        /// Its name for people.
        title: Option<At<String>>,
        /// Where it is kept: services, stores or places in words (`safe in the office`).
        kept_in: Vec<At<String>>,
        /// Where it is found there, for people: a page, a project, a path. Never the secret itself.
        address: Option<At<String>>,
        /// Where a run reads it: `${file:…}` or `${env:…}` on the machine that carries it out.
        read_from: Option<At<Reference>>,
        /// What it opens: services, stores and vaults.
        opens: Vec<At<String>>,
        /// What it can delete: services, stores and vaults.
        can_delete: Vec<At<String>>,
        /// How often it is changed.
        rotated_every: Option<At<Every>>,
        /// The team that holds it.
        owner: Option<At<String>>,
    }
}
