//! What a step waits for, as it is written: `Available`, `Ready=False`, `there`, `gone`,
//! `.status.phase=Running`.

use serde_json::Value;

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The object is there.
    There,
    /// It is not.
    Gone,
    /// It says of itself that this is so.
    Is {
        /// The type of the condition, whatever its capitals.
        name: String,
        /// `True`, `False` or `Unknown`.
        status: String,
    },
    /// One of its fields has this value.
    Field {
        /// The names on the way to it.
        path: Vec<String>,
        /// Its value, as a text.
        value: String,
    },
}

impl Condition {
    /// Reads it. Nothing written: that the object is there.
    ///
    /// # Errors
    /// In words, when it is none.
    pub fn parse(written: Option<&str>) -> Result<Self, String> {
        let Some(written) = written.map(str::trim) else { return Ok(Self::There) };
        // `condition=Available` and `jsonpath={.status.phase}=Running` are how kubectl says it.
        let written = written.strip_prefix("condition=").unwrap_or(written);
        let written = written.strip_prefix("jsonpath=").unwrap_or(written);
        if let Some(field) = written.strip_prefix('{').or(written.strip_prefix('.')) {
            let (path, value) = field.split_once('=').ok_or_else(|| {
                format!("`{written}` names a field and no value: write `.status.phase=Running`")
            })?;
            let path = path.trim_end_matches('}').trim_start_matches('.').split('.');
            let path: Vec<String> = path.map(str::to_owned).collect();
            if path.iter().any(|name| name.is_empty() || name.contains(['[', ']', '*', '\''])) {
                return Err(format!("`{written}`: names with dots between them lead to a field"));
            }
            return Ok(Self::Field { path, value: value.to_owned() });
        }
        match written {
            "there" | "create" => Ok(Self::There),
            "gone" | "delete" => Ok(Self::Gone),
            _ => {
                let (name, status) = written.split_once('=').unwrap_or((written, "True"));
                let is_word = |word: &str| {
                    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                };
                if !is_word(name) || !is_word(status) {
                    return Err(format!(
                        "`{written}` is no condition: write one such as `Available`, `Ready=False`, \
                         `gone` or `.status.phase=Running`"
                    ));
                }
                Ok(Self::Is { name: name.to_owned(), status: status.to_owned() })
            }
        }
    }

    /// Whether it holds for an object, or for none; and what is so instead.
    ///
    /// # Errors
    /// In words, what is so instead.
    pub fn check(&self, object: Option<&Value>) -> Result<(), String> {
        let object = match (self, object) {
            (Self::Gone, None) => return Ok(()),
            (_, None) => return Err("it is not there".to_owned()),
            (Self::Gone, Some(object)) => return Err(still_there(object)),
            (_, Some(object)) => object,
        };
        match self {
            Self::Gone => Ok(()),
            // What is on its way out will not be there.
            Self::There if object["metadata"]["deletionTimestamp"].is_string() => {
                Err(still_there(object))
            }
            Self::There => Ok(()),
            Self::Is { name, status } => is(object, name, status),
            Self::Field { path, value } => {
                if path.first().is_some_and(|first| first == "status") {
                    is_of_now(object, &object["status"])?;
                }
                let found = path.iter().fold(object, |object, name| &object[name.as_str()]);
                let shown = match found {
                    Value::String(text) => text.clone(),
                    Value::Null => "nothing".to_owned(),
                    other => other.to_string(),
                };
                if !found.is_null() && shown == *value {
                    return Ok(());
                }
                Err(format!("`.{}` is {shown}, not {value}", path.join(".")))
            }
        }
    }
}

fn is(object: &Value, name: &str, wanted: &str) -> Result<(), String> {
    is_of_now(object, &object["status"])?;
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let named = |one: &&Value| text(&one["type"]).eq_ignore_ascii_case(name);
    let Some(found) = conditions.into_iter().find(named) else {
        return Err(format!("it says nothing about `{name}`"));
    };
    is_of_now(object, found)?;
    let status = text(&found["status"]);
    if status.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let why = [text(&found["reason"]), text(&found["message"])];
    let why: Vec<String> = why.into_iter().filter(|one| !one.is_empty()).collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(": ")) };
    Err(format!("`{name}` is {status}, not {wanted}{why}"))
}

/// What is said of an earlier form of the object is no answer, whether all of its status says it or one
/// condition.
fn is_of_now(object: &Value, said: &Value) -> Result<(), String> {
    let generation = object["metadata"]["generation"].as_u64();
    match (generation, said["observedGeneration"].as_u64()) {
        (Some(generation), Some(seen)) if seen < generation => {
            Err("its controller has not seen the last change yet".to_owned())
        }
        _ => Ok(()),
    }
}

/// Why an object that is to go is still there.
fn still_there(object: &Value) -> String {
    let metadata = &object["metadata"];
    let Some(since) = metadata["deletionTimestamp"].as_str() else {
        return "it is there, and nobody deletes it".to_owned();
    };
    let kept: Vec<&str> =
        metadata["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if kept.is_empty() {
        format!("it is being deleted since {since}")
    } else {
        format!("it is being deleted since {since}, and kept by {}", kept.join(", "))
    }
}
