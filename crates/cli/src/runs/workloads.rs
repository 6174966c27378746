//! What stands still for a store, as Kubernetes has it.

use soter_kubernetes::{Access, Cluster, ErrorKind, KubernetesError, Object};
use soter_recovery::{Standing, Trouble, Which, Workloads};
use soter_runbook::steps::Place;
use soter_world::Stop;

/// The cluster of a run.
pub(super) fn connect(place: &Place) -> Result<Box<dyn Workloads>, String> {
    let cluster = Cluster::connect(&Access::of(place)).map_err(|error| error.to_string())?;
    Ok(Box::new(OfCluster(cluster)))
}

struct OfCluster(Cluster);

impl Workloads for OfCluster {
    fn standing(&self, which: &Which, stop: &Stop) -> Result<Standing, Trouble> {
        let object = object(which)?;
        let seen = self.0.standing(&object, stop).map_err(trouble)?;
        Ok(Standing {
            wanted: seen.wanted,
            ready: seen.ready,
            noted: seen.noted,
            left: seen.left(),
            ails: seen.ails,
        })
    }

    fn scale(
        &self,
        which: &Which,
        replicas: u32,
        before: Option<u32>,
        stop: &Stop,
    ) -> Result<(), Trouble> {
        self.0.scale(&object(which)?, replicas, before, stop).map_err(trouble)
    }
}

fn object(which: &Which) -> Result<Object, Trouble> {
    Object::parse(&which.object, which.namespace.as_deref()).map_err(trouble)
}

/// A change without an answer is looked at anew, and made again if need be.
fn trouble(error: KubernetesError) -> Trouble {
    let passes = matches!(error.kind(), ErrorKind::Retry | ErrorKind::Unknown);
    Trouble { why: error.to_string(), passes }
}
