//! Values that lie in a range: what can be read and is too small or too large is a finding.
//!
//! The ranges and defaults stand with the fields of [`crate::plan`]; the types here take reader,
//! schema and hint from them.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::reader::Reader;
use super::schema::Schemas;
use super::value::Value;
use super::yaml::Yaml;
use crate::findings::Code;
use crate::plan::{self, Limits};
use crate::tree::{self, Node};
use crate::units::{ByteSize, format_duration};

/// What can be compared with a range.
trait Bounded: Copy + PartialOrd {
    const WHAT: &'static str;

    /// None: a finding was made. None inside: beyond what the type can hold.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Option<Self>>;

    fn show(self) -> String;

    fn schema(schemas: &mut Schemas, limits: &Limits<Self>) -> Json;
}

impl Bounded for Duration {
    const WHAT: &'static str = <Self as Value>::WHAT;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Option<Self>> {
        <Self as Value>::read(node, reader).map(Some)
    }

    fn show(self) -> String {
        format_duration(self)
    }

    fn schema(schemas: &mut Schemas, limits: &Limits<Self>) -> Json {
        measured(<Self as Value>::schema(schemas), limits)
    }
}

impl Bounded for ByteSize {
    const WHAT: &'static str = <Self as Value>::WHAT;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Option<Self>> {
        <Self as Value>::read(node, reader).map(Some)
    }

    fn show(self) -> String {
        self.to_string()
    }

    fn schema(schemas: &mut Schemas, limits: &Limits<Self>) -> Json {
        measured(<Self as Value>::schema(schemas), limits)
    }
}

/// A measure with its unit: a schema cannot compare it, so the range is told in words.
fn measured<T: Bounded>(mut schema: Json, limits: &Limits<T>) -> Json {
    schema["default"] = Json::from(limits.default.show());
    schema["description"] = Json::from(range(limits));
    schema
}

fn range<T: Bounded>(limits: &Limits<T>) -> String {
    let [least, most, default] = [limits.least, limits.most, limits.default].map(T::show);
    format!("Between {least} and {most}; {default} if it is left out.")
}

macro_rules! bounded_integer {
    ($type:ty) => {
        impl Bounded for $type {
            const WHAT: &'static str = <u32 as Value>::WHAT;

            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Option<Self>> {
                integer(node, reader).map(|digits| digits.parse().ok())
            }

            fn show(self) -> String {
                self.to_string()
            }

            fn schema(_: &mut Schemas, limits: &Limits<Self>) -> Json {
                json!({
                    "type": "integer",
                    "minimum": limits.least,
                    "maximum": limits.most,
                    "default": limits.default,
                    "description": range(limits),
                })
            }
        }
    };
}

bounded_integer!(i32);
bounded_integer!(usize);

/// The digits of a whole number, with its sign.
fn integer<'n>(node: &'n Node, reader: &mut Reader<'_>) -> Option<&'n str> {
    let text = reader.scalar(node, <u32 as Value>::WHAT)?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let quoted = matches!(node.value, tree::Value::Scalar { quoted: true, .. });
    if quoted || digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let hint = "write digits only, without quotes and without a unit";
        reader.report(Code::InvalidValue, &node.span, "this is no whole number", hint);
        return None;
    }
    Some(text)
}

fn limited<T: Bounded>(node: &Node, reader: &mut Reader<'_>, limits: &Limits<T>) -> Option<T> {
    let value = T::read(node, reader)?;
    let inside = value.filter(|value| *value >= limits.least && *value <= limits.most);
    if inside.is_none() {
        let (least, most) = (limits.least.show(), limits.most.show());
        let title = format!("`{}` is between {least} and {most}", reader.key());
        let hint = format!("the default is {}", limits.default.show());
        reader.report(Code::OutOfRange, &node.span, title, hint);
    }
    inside
}

macro_rules! in_range {
    ($($(#[doc = $doc:literal])+ $name:ident : $type:ty = $limits:path;)+) => {
        $($(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
        pub struct $name(pub $type);

        impl Value for $name {
            const WHAT: &'static str = <$type as Bounded>::WHAT;

            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                limited(node, reader, &$limits).map(Self)
            }

            fn schema(schemas: &mut Schemas) -> Json {
                <$type as Bounded>::schema(schemas, &$limits)
            }

            fn write(&self) -> Yaml {
                Yaml::text(&self.0.show())
            }
        })+
    };
}

in_range! {
    /// How long WAL collects before it is sent.
    PartInterval: Duration = plan::PART_INTERVAL;
    /// Most bytes of a spool.
    SpoolLimit: ByteSize = plan::SPOOL_LIMIT;
    /// How old the last full backup may be.
    FullEvery: Duration = plan::FULL_EVERY;
    /// Files read and compressed at once.
    Workers: usize = plan::WORKERS;
    /// zstd's level.
    CompressionLevel: i32 = plan::LEVEL;
    /// How often a canary is written.
    CanaryEvery: Duration = plan::CANARY_EVERY;
    /// How long backups are kept at least.
    KeepFor: Duration = plan::KEEP_FOR;
    /// How many of the newest backups are kept at least.
    KeepLast: usize = plan::KEEP_LAST;
}
