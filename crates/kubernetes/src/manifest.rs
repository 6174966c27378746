//! The documents of a manifest, with the values of parameters in them.
//!
//! The rule it keeps: a value fills a place, and changes nothing around it. One that would add a field, a
//! document or a comment is refused.

use serde_json::Value;
use soter_runbook::procedure::Parameters;

/// The objects of a manifest, in its order; what a `List` holds is taken out of it.
///
/// # Errors
/// In words, when it is none.
pub(crate) fn read(written: &str, parameters: &Parameters) -> Result<Vec<Value>, String> {
    let filled = parameters.fill(written).map_err(|error| error.to_string())?;
    let documents = documents(&filled)?;
    if filled != written {
        let before = self::documents(written).map_err(|why| {
            format!("{why}; put `${{…}}` into quotes where braces mean something else")
        })?;
        let is_same = before.len() == documents.len()
            && before.iter().zip(&documents).all(|(before, after)| fits(before, after));
        if !is_same {
            return Err(
                "a parameter's value would change more of the manifest than its place: put \
                        `${…}` into quotes, or give another value"
                    .to_owned(),
            );
        }
    }
    let mut objects = Vec::new();
    for document in documents {
        match document["items"].as_array() {
            Some(items) if document["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => {
                objects.extend(items.iter().cloned());
            }
            _ => objects.push(document),
        }
    }
    if objects.is_empty() {
        return Err("the manifest holds no object".to_owned());
    }
    for object in &objects {
        let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        for (field, value) in [
            ("apiVersion", &object["apiVersion"]),
            ("kind", &object["kind"]),
            ("metadata.name", &object["metadata"]["name"]),
        ] {
            if !text(value) {
                return Err(format!("an object of the manifest has no `{field}`"));
            }
        }
    }
    Ok(objects)
}

/// Whether one differs from the other in values only. A name of a field is not filled in.
fn fits(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            before.len() == after.len()
                && before
                    .iter()
                    .all(|(name, value)| after.get(name).is_some_and(|other| fits(value, other)))
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(a, b)| fits(a, b))
        }
        // A place may hold a number or a word, never a structure.
        (Value::String(_), Value::Object(_) | Value::Array(_)) => false,
        (Value::String(before), after) if before.contains("${") => !after.is_null(),
        (before, after) => before == after,
    }
}

fn documents(text: &str) -> Result<Vec<Value>, String> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        // The lines behind the first show the text, which stands in the plan.
        let why = error.to_string();
        let why = why.lines().next().unwrap_or_default().trim_start_matches("error: ");
        format!("the manifest cannot be read: {why}")
    })?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use soter_runbook::procedure::Given;

    use super::*;

    fn parameters(value: &str) -> Parameters {
        let mut parameters = Parameters::default();
        parameters.insert("x", Given::Plain(value.to_owned()));
        parameters
    }

    const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: one }\ndata:\n  \
                            a: ${x}\n---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- \
                            { apiVersion: v1, kind: Secret, metadata: { name: two } }\n";

    #[test]
    fn documents_are_objects_with_values_in_their_places() {
        let objects = read(MANIFEST, &parameters("b c")).unwrap();
        assert_eq!(objects.len(), 2);
        assert_eq!(objects[0]["data"], json!({"a": "b c"}));
        assert_eq!(objects[1]["metadata"]["name"], "two");
        assert_eq!(read(MANIFEST, &parameters("3")).unwrap()[0]["data"]["a"], 3);
        let one = read(
            "{\"apiVersion\": \"v1\", \"kind\": \"Node\", \"metadata\": {\"name\": \"n\"}}",
            &parameters(""),
        );
        assert_eq!(one.unwrap().len(), 1);
    }

    #[test]
    fn a_value_changes_nothing_around_its_place() {
        for value in ["b\n  c: d", "b\nkind: Secret", "{ c: d }", "[c]", "b\n---\nkind: Pod", ""] {
            let why = read(MANIFEST, &parameters(value)).unwrap_err();
            assert!(
                why.contains("more of the manifest") || why.contains("cannot be read"),
                "{why}"
            );
        }
        let quoted = MANIFEST.replace("${x}", "\"${x}\"");
        assert_eq!(read(&quoted, &parameters("{ c: d }")).unwrap()[0]["data"]["a"], "{ c: d }");
        assert!(read(&quoted, &parameters("\"\n  e: \"f")).is_err());
    }

    #[test]
    fn what_is_no_manifest_is_said() {
        let check = |text: &str, expect: &str| {
            let why = read(text, &parameters("")).unwrap_err();
            assert!(why.contains(expect), "{why}");
        };
        check("", "holds no object");
        check("kind: Pod", "no `apiVersion`");
        check("apiVersion: v1\nkind: Pod\nmetadata: {}", "no `metadata.name`");
        check("a: [", "cannot be read");
        check("a: ${y}", "`${y}` has no value");
    }
}
