//! What every type of the language can do: be read from YAML, describe itself as JSON Schema, and be
//! written again.
//!
//! The rule it keeps: a type says once what it is. The macros in `define.rs` make all three from one
//! definition, so the schema that editors complete from cannot drift from what the reader accepts.

use serde_json::{Value as Json, json};

use super::at::At;
use super::reader::Reader;
use super::schema::Schemas;
use super::yaml::Yaml;
use crate::findings::Code;
use crate::suggest::nearest;
use crate::tree::{self, Node, short};

/// A value of the language. `None` from [`read`](Value::read) means that a finding was made.
pub(crate) trait Value: Sized {
    /// What it is, for the one who wrote something else: `a duration such as 15 min`.
    const WHAT: &'static str;

    /// Reads it; what is wrong goes to the reader's findings.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;

    /// Its JSON Schema; a section puts itself into `schemas` and answers with a reference.
    fn schema(schemas: &mut Schemas) -> Json;

    /// As YAML that reads back to the same value.
    fn write(&self) -> Yaml;
}

/// What can stand as the field of a section: always something that may be absent.
pub(crate) trait Field: Default {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Self;
    fn schema(schemas: &mut Schemas) -> Json;
    /// `None` leaves the key out.
    fn write(&self) -> Option<Yaml>;
}

impl<T: Value> Value for At<T> {
    const WHAT: &'static str = T::WHAT;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let origin = reader.origin(&node.span);
        T::read(node, reader).map(|value| Self { value, origin })
    }

    fn schema(schemas: &mut Schemas) -> Json {
        T::schema(schemas)
    }

    fn write(&self) -> Yaml {
        self.value.write()
    }
}

impl<T: Value> Value for Box<T> {
    const WHAT: &'static str = T::WHAT;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, reader).map(Self::new)
    }

    fn schema(schemas: &mut Schemas) -> Json {
        T::schema(schemas)
    }

    fn write(&self) -> Yaml {
        (**self).write()
    }
}

impl<T: Value> Field for Option<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Self {
        if node.is_empty() {
            reader.wrong_shape(node, T::WHAT);
            return None;
        }
        T::read(node, reader)
    }

    fn schema(schemas: &mut Schemas) -> Json {
        T::schema(schemas)
    }

    fn write(&self) -> Option<Yaml> {
        self.as_ref().map(Value::write)
    }
}

/// A list, or one value alone.
impl<T: Value> Field for Vec<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Self {
        match &node.value {
            tree::Value::Sequence(items) => reader
                .items(|reader| items.iter().filter_map(|item| T::read(item, reader)).collect()),
            _ if node.is_empty() => Self::new(),
            _ => T::read(node, reader).into_iter().collect(),
        }
    }

    fn schema(schemas: &mut Schemas) -> Json {
        let list = json!({ "type": "array", "items": T::schema(schemas) });
        json!({ "anyOf": [list, T::schema(schemas)] })
    }

    fn write(&self) -> Option<Yaml> {
        let items = || self.iter().map(Value::write).collect();
        (!self.is_empty()).then(|| Yaml::List(items()))
    }
}

/// Words with a meaning each, for the macro `words!`.
pub(crate) fn read_word<T: Copy>(
    node: &Node,
    reader: &mut Reader<'_>,
    what: &str,
    words: &[(&str, T)],
) -> Option<T> {
    let text = reader.scalar(node, what)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let hint = match nearest(text, words.iter().map(|(word, _)| *word)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            format!("it is one of: {}", words.join(", "))
        }
    };
    let title = format!("`{}` is not {what}", short(text));
    reader.report(Code::InvalidValue, &node.span, title, hint);
    None
}
