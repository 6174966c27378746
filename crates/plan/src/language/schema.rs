//! The JSON Schema of the language, collected from its types (draft 2020-12).

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

/// The sections met so far, by name.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    sections: BTreeMap<String, Json>,
}

/// A key of a section.
pub(crate) struct Property {
    pub(crate) key: &'static str,
    pub(crate) doc: &'static [&'static str],
    pub(crate) required: bool,
    pub(crate) schema: Json,
}

impl Schemas {
    /// Describes a section once, and answers with a reference to it.
    pub(crate) fn section(
        &mut self,
        name: &str,
        doc: &[&str],
        properties: impl FnOnce(&mut Self) -> Vec<Property>,
    ) -> Json {
        let reference = json!({ "$ref": format!("#/$defs/{name}") });
        if self.sections.contains_key(name) {
            return reference;
        }
        // A section may hold itself: its name is taken before its keys are asked.
        self.sections.insert(name.to_owned(), Json::Null);
        let mut keys = Map::new();
        let mut required = Vec::new();
        for property in properties(self) {
            if property.required {
                required.push(Json::from(property.key));
            }
            keys.insert(property.key.to_owned(), described(property.schema, property.doc));
        }
        let mut section = json!({
            "description": prose(doc),
            "type": "object",
            "additionalProperties": false,
            "properties": keys,
        });
        if !required.is_empty() {
            section["required"] = Json::Array(required);
        }
        self.sections.insert(name.to_owned(), section);
        reference
    }

    /// Describes a simple value once, and answers with a reference to it.
    pub(crate) fn value(&mut self, name: &str, doc: &str, mut schema: Json) -> Json {
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), Json::from(doc));
        }
        self.sections.insert(name.to_owned(), schema);
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// A text of a certain form, with examples an editor can show.
    pub(crate) fn text(&mut self, name: &str, doc: &str, examples: &[&str]) -> Json {
        let mut schema = json!({ "type": "string" });
        if !examples.is_empty() {
            schema["examples"] = json!(examples);
        }
        self.value(name, doc, schema)
    }

    /// A choice of words, each with what it means.
    pub(crate) fn words(&mut self, doc: &[&str], words: &[(&str, &[&str])]) -> Json {
        let choices =
            words.iter().map(|(word, doc)| json!({ "const": word, "description": prose(doc) }));
        json!({ "description": prose(doc), "oneOf": choices.collect::<Vec<_>>() })
    }

    /// The whole schema, with `root` as what a file holds.
    pub(crate) fn finish(self, title: &str, root: &Json) -> Json {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": title,
            "$ref": root["$ref"],
            "$defs": self.sections,
        })
    }
}

/// Adds the description of a key; what the type says of itself follows it.
fn described(mut schema: Json, doc: &[&str]) -> Json {
    let own = schema.get("description").and_then(Json::as_str).unwrap_or("");
    let whole = if own.is_empty() { prose(doc) } else { format!("{}\n\n{own}", prose(doc)) };
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), Json::from(whole));
    }
    schema
}

/// The lines of a doc comment as paragraphs.
fn prose(doc: &[&str]) -> String {
    let mut text = String::new();
    for line in doc.iter().map(|line| line.trim()) {
        match line {
            "" => text.push_str("\n\n"),
            line if text.is_empty() || text.ends_with('\n') => text.push_str(line),
            line => {
                text.push(' ');
                text.push_str(line);
            }
        }
    }
    text
}
