//! What is in the way of steps that need Kubernetes, before the first effect.

use soter_runbook::preflight::{Objection, Weight};
use soter_runbook::procedure::{Action, Parameters, Procedure, RunsAs, Step};
use soter_runbook::steps::Place;
use soter_world::Stop;

use super::Deed;
use crate::access::Access;
use crate::cluster::Cluster;
use crate::objects::Object;

/// Everything that is in the way of the steps that need Kubernetes. A cluster that cannot be reached is
/// a remark: a run may be what brings it back.
pub(super) fn objections(procedure: &Procedure, place: &Place, stop: &Stop) -> Vec<Objection> {
    // What names a parameter is looked at when its turn comes.
    let parameters = &Parameters::default();
    let mut found = Vec::new();
    let mut objects: Vec<(&Step, Object)> = Vec::new();
    for step in &procedure.steps {
        match &step.action {
            Action::Kubernetes(written) => match Deed::read(written, parameters) {
                Ok(deed) => objects.extend(deed.object().map(|object| (step, object.clone()))),
                // What a step gives later cannot be filled in now.
                Err(_) if names_unknown(step, parameters) => {}
                Err(why) => found.push(Objection {
                    weight: Weight::Blocking,
                    what: format!("the step `{}` cannot be done in Kubernetes: {why}", step.id),
                    hint: "correct the step".to_owned(),
                }),
            },
            Action::Quiesce(services) | Action::Resume(services) => {
                for part in services.iter().flat_map(|service| &service.runs_as) {
                    let RunsAs::Kubernetes { object, namespace, .. } = part else { continue };
                    let fill = |text: &str| parameters.fill(text).ok();
                    let namespace = namespace.as_deref().map(fill);
                    let (Some(object), None | Some(Some(_))) = (fill(object), &namespace) else {
                        continue;
                    };
                    match Object::parse(&object, namespace.flatten().as_deref()) {
                        Ok(object) => objects.push((step, object)),
                        Err(error) => found.push(Objection {
                            weight: Weight::Blocking,
                            what: format!("the step `{}`: {error}", step.id),
                            hint: "correct the service's `runs_as`".to_owned(),
                        }),
                    }
                }
            }
            _ => {}
        }
    }
    if !objects.is_empty() {
        found.extend(of_cluster(place, &objects, stop));
    }
    found
}

/// What the cluster itself says, if it can be asked.
fn of_cluster(place: &Place, objects: &[(&Step, Object)], stop: &Stop) -> Vec<Objection> {
    let access = Access::of(place);
    let cluster = Cluster::connect(&access).and_then(|cluster| {
        cluster.kinds(stop)?;
        Ok(cluster)
    });
    let cluster = match cluster {
        Ok(cluster) => cluster,
        Err(error) => {
            return vec![Objection {
                weight: Weight::Remark,
                what: format!("Kubernetes cannot be asked now: {error}"),
                hint: "see that it is there before a step needs it; the target's `kubeconfig` and \
                       `context`, else the variable KUBECONFIG, say how it is reached"
                    .to_owned(),
            }];
        }
    };
    let unknown = objects.iter().filter_map(|(step, object)| {
        let error = cluster.find(object, stop).err()?;
        Some(Objection {
            // A step before may define the kind.
            weight: Weight::Remark,
            what: format!("the step `{}`: {error}", step.id),
            hint: format!("`{object}` is looked for at {}", cluster.address()),
        })
    });
    unknown.collect()
}

fn names_unknown(step: &Step, parameters: &Parameters) -> bool {
    step.action.texts().iter().any(|text| parameters.fill(text).is_err())
}

impl Deed {
    /// The object it is about, if it is about one that must be known.
    fn object(&self) -> Option<&Object> {
        match self {
            Self::Get(object)
            | Self::Wait(object, _)
            | Self::Scale(object, _)
            | Self::Delete(object)
            | Self::Logs(object) => Some(object),
            Self::Apply(..) => None,
        }
    }
}
