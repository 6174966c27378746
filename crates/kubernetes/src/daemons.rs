//! A DaemonSet, which has a pod on each node that fits and no number that could be set. It stands still
//! when no node fits: a label that no node has is asked for beside those that it asks for itself.
//!
//! The rule it keeps: what was there stays there. Taking away what was added gives back exactly that; and
//! one change adds it and writes down what was there before, for whoever looks at the object.

use serde_json::{Value, json};

use crate::error::KubernetesError;
use crate::kinds::Kind;
use crate::objects::Object;
use crate::standing::{NOTE, Standing, ails, followed, noted, number, pods_left};

/// The label that no node has.
const NOBODY: &str = "soter/stands-still";

/// Where a DaemonSet remembers which labels it asked for, in JSON.
const SELECTOR_NOTE: &str = "soter/node-selector-before";

/// Whether objects of a kind have a pod on each node.
pub(crate) fn is_daemon(kind: &Kind) -> bool {
    kind.kind == "DaemonSet" && matches!(kind.group.as_str(), "apps" | "extensions")
}

/// How one stands. It counts as one replica, which works when all of its pods do.
pub(crate) fn standing(whole: &Value, pods: &[Value]) -> Standing {
    let status = &whole["status"];
    let wanted = u32::from(selector(whole)[NOBODY].is_null());
    let followed = followed(whole);
    let works =
        followed && number(&status["numberReady"]) >= number(&status["desiredNumberScheduled"]);
    let counted = number(&status["currentNumberScheduled"]);
    Standing {
        wanted,
        counted: counted.saturating_add(number(&status["numberMisscheduled"])),
        ready: u32::from(works).min(wanted),
        noted: noted(whole),
        followed,
        ails: pods.iter().find_map(ails),
        pods: pods_left(pods),
    }
}

/// The change that makes one stand still, with `before` written down at it, or lets it work again.
///
/// # Errors
/// When it cannot have so many.
pub(crate) fn change(
    (object, whole): (&Object, &Value),
    replicas: u32,
    before: Option<u32>,
) -> Result<Value, KubernetesError> {
    let (label, before) = match replicas {
        0 => (json!("yes"), before),
        1 => (Value::Null, None),
        _ => {
            return Err(KubernetesError::Input(format!(
                "`{object}` has a pod on each node that fits: it counts as 1, or as 0 where it stands \
                 still, and cannot have {replicas}"
            )));
        }
    };
    let note = before.map_or(Value::Null, |before| json!(before.to_string()));
    let had = before.map_or(Value::Null, |_| {
        let mut had = selector(whole).clone();
        if let Some(labels) = had.as_object_mut() {
            labels.remove(NOBODY);
        }
        json!(had.to_string())
    });
    Ok(json!({
        "metadata": {"annotations": {NOTE: note, SELECTOR_NOTE: had}},
        "spec": {"template": {"spec": {"nodeSelector": {NOBODY: label}}}},
    }))
}

/// The labels that a node must have.
fn selector(whole: &Value) -> &Value {
    &whole["spec"]["template"]["spec"]["nodeSelector"]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(selector: Value, status: Value) -> Value {
        json!({"metadata": {"generation": 3}, "status": status,
            "spec": {"template": {"spec": {"nodeSelector": selector}}}})
    }

    #[test]
    fn it_works_when_all_of_its_pods_do_by_a_word_about_its_last_form() {
        let status = |seen: u32, ready: u32| {
            json!({"observedGeneration": seen, "desiredNumberScheduled": 2,
                "currentNumberScheduled": 2, "numberReady": ready})
        };
        let check = |selector: Value, status: Value, expect: (u32, u32)| {
            let found = standing(&daemon(selector, status), &[]);
            assert_eq!((found.wanted, found.ready), expect, "{found:?}");
        };
        check(Value::Null, status(3, 2), (1, 1));
        check(Value::Null, status(3, 1), (1, 0));
        check(Value::Null, status(2, 2), (1, 0));
        check(json!({"disk": "ssd"}), status(3, 2), (1, 1));
        check(json!({"disk": "ssd", NOBODY: "yes"}), status(3, 2), (0, 0));
        // It is still counted, so something of it may be there.
        let left = standing(&daemon(json!({NOBODY: "yes"}), status(3, 0)), &[]).left();
        assert_eq!(left.unwrap(), "its controller has not followed yet");
    }

    #[test]
    fn what_was_there_is_written_down_without_what_was_added() {
        let object = Object::parse("ds/agent", None).unwrap();
        let held = daemon(json!({"disk": "ssd", NOBODY: "yes"}), Value::Null);
        let again = change((&object, &held), 0, Some(1)).unwrap();
        assert_eq!(again["metadata"]["annotations"][SELECTOR_NOTE], "{\"disk\":\"ssd\"}");
        let free = daemon(Value::Null, Value::Null);
        let first = change((&object, &free), 0, Some(1)).unwrap();
        assert_eq!(first["metadata"]["annotations"][SELECTOR_NOTE], "null");
        assert_eq!(first["metadata"]["annotations"][NOTE], "1");
        assert!(change((&object, &free), 3, None).is_err());
    }
}
