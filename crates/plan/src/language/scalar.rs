//! The simple values of the language: texts, numbers and measures, always with their unit.

use std::fmt;
use std::time::Duration;

use jiff::civil::Date;
use serde_json::{Value as Json, json};

use super::reader::Reader;
use super::schema::Schemas;
use super::value::Value;
use super::yaml::Yaml;
use crate::findings::Code;
use crate::tree::{self, Node, short};
use crate::units::{ByteSize, UnitError, format_duration, parse_duration, parse_size};

/// How often something happens, in the calendar's terms: a month is a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Every {
    /// Whole months; a quarter is three, a year twelve.
    pub months: u32,
    /// What comes on top.
    pub length: Duration,
}

/// So much in so much time, such as `100 MiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    /// Bytes in a second.
    pub bytes_per_second: u64,
}

impl Every {
    /// Reads `daily`, `weekly`, `monthly`, `quarterly`, `every 6 h`, `3 months`, `2 years`.
    pub fn parse(written: &str) -> Option<Self> {
        let lower = written.trim().to_lowercase();
        let (day, month) =
            (Duration::from_hours(24), |months| Self { months, length: Duration::ZERO });
        let length = |length| Self { months: 0, length };
        match lower.as_str() {
            "hourly" => return Some(length(Duration::from_hours(1))),
            "daily" | "nightly" | "every day" | "every night" => return Some(length(day)),
            "weekly" | "every week" => return Some(length(day * 7)),
            "biweekly" | "bi-weekly" | "fortnightly" => return Some(length(day * 14)),
            "monthly" | "every month" => return Some(month(1)),
            "quarterly" | "every quarter" => return Some(month(3)),
            "half-yearly" | "semi-annually" | "biannually" | "bi-annually" | "twice a year" => {
                return Some(month(6));
            }
            "yearly" | "annually" | "every year" => return Some(month(12)),
            _ => {}
        }
        let rest = lower.strip_prefix("every ").unwrap_or(&lower);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, unit) = rest.split_at_checked(digits)?;
        let months = match unit.trim() {
            "month" | "months" => Some(1),
            "quarter" | "quarters" => Some(3),
            "year" | "years" => Some(12),
            _ => None,
        };
        match months {
            Some(months) => {
                number.parse::<u32>().ok()?.checked_mul(months).filter(|m| *m > 0).map(month)
            }
            None => parse_duration(rest).ok().filter(|d| !d.is_zero()).map(length),
        }
    }

    /// About how long it is, for comparing: a month counts 30.44 days.
    pub fn about(self) -> Duration {
        // 365.2425 days a year (the Gregorian calendar's mean), a twelfth of them.
        const MONTH: Duration = Duration::from_secs(2_629_746);
        MONTH.saturating_mul(self.months).saturating_add(self.length)
    }

    /// The day after which it is overdue, counted from `last`.
    pub fn after(self, last: Date) -> Option<Date> {
        let days = i64::try_from(self.length.as_secs() / 86_400).ok()?;
        let span =
            jiff::Span::new().try_months(i64::from(self.months)).ok()?.try_days(days).ok()?;
        last.checked_add(span).ok()
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.months, self.length) {
            (0, length) => f.write_str(&format_duration(length)),
            (1, _) => f.write_str("month"),
            (12, _) => f.write_str("year"),
            (months, _) => write!(f, "{months} months"),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", ByteSize(self.bytes_per_second))
    }
}

/// Reads a value with a unit, and reports what is wrong with it.
fn with_unit<T>(
    node: &Node,
    reader: &mut Reader<'_>,
    what: &str,
    parse: impl FnOnce(&str) -> Result<T, UnitError>,
) -> Option<T> {
    let text = reader.scalar(node, what)?;
    parse(text)
        .map_err(|error| reader.report(Code::InvalidValue, &node.span, error.problem, error.hint))
        .ok()
}

impl Value for String {
    const WHAT: &'static str = "a text";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.scalar(node, Self::WHAT)?.to_owned();
        if text.trim().is_empty() {
            reader.report(
                Code::InvalidValue,
                &node.span,
                "an empty text",
                "write it, or leave the key out",
            );
            return None;
        }
        Some(text)
    }

    fn schema(schemas: &mut Schemas) -> Json {
        let schema = json!({ "type": ["string", "number", "boolean"] });
        schemas.value("Text", "A text.", schema)
    }

    fn write(&self) -> Yaml {
        Yaml::text(self)
    }
}

impl Value for bool {
    const WHAT: &'static str = "yes or no";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match reader.scalar(node, Self::WHAT)? {
            "yes" | "true" => Some(true),
            "no" | "false" => Some(false),
            other => {
                let title = format!("`{}` is neither yes nor no", short(other));
                reader.report(Code::InvalidValue, &node.span, title, "write yes or no");
                None
            }
        }
    }

    fn schema(schemas: &mut Schemas) -> Json {
        schemas.value("YesOrNo", "Yes or no.", json!({ "enum": [true, false, "yes", "no"] }))
    }

    fn write(&self) -> Yaml {
        Yaml::text(if *self { "yes" } else { "no" })
    }
}

impl Value for u32 {
    const WHAT: &'static str = "a whole number";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.scalar(node, Self::WHAT)?;
        let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        if number.is_none() {
            let title = format!("`{}` is no whole number", short(text));
            reader.report(Code::InvalidValue, &node.span, title, "write digits only");
        }
        number
    }

    fn schema(_: &mut Schemas) -> Json {
        json!({ "type": "integer", "minimum": 0, "maximum": Self::MAX })
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.to_string())
    }
}

impl Value for Duration {
    const WHAT: &'static str = "a duration such as 15 min";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        with_unit(node, reader, Self::WHAT, parse_duration)
    }

    fn schema(schemas: &mut Schemas) -> Json {
        schemas.text(
            "Duration",
            "A duration with its unit.",
            &["15 min", "1h30m", "7 days", "PT15M"],
        )
    }

    fn write(&self) -> Yaml {
        Yaml::text(&format_duration(*self))
    }
}

impl Value for ByteSize {
    const WHAT: &'static str = "a size such as 16 MiB";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        with_unit(node, reader, Self::WHAT, parse_size)
    }

    fn schema(schemas: &mut Schemas) -> Json {
        schemas.text("Size", "A size with its unit.", &["16 MiB", "40 GiB", "4 GB"])
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.to_string())
    }
}

impl Value for Rate {
    const WHAT: &'static str = "a rate such as 100 MiB/s";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        with_unit(node, reader, Self::WHAT, |text| {
            let size = text.trim().strip_suffix("/s").ok_or_else(|| UnitError {
                problem: format!("`{}` is no rate", short(text)),
                hint: "write bytes in a second: 100 MiB/s".to_owned(),
            })?;
            parse_size(size).map(|size| Self { bytes_per_second: size.0 })
        })
    }

    fn schema(schemas: &mut Schemas) -> Json {
        schemas.text("Rate", "Bytes in a second.", &["100 MiB/s"])
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.to_string())
    }
}

impl Value for Every {
    const WHAT: &'static str = "how often, such as 3 months";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.scalar(node, Self::WHAT)?;
        let every = Self::parse(text);
        if every.is_none() {
            let title = format!("`{}` does not say how often", short(text));
            let hint =
                "write 15 min, 6 h, 7 days, 3 months, daily, weekly, monthly, quarterly or yearly";
            reader.report(Code::InvalidValue, &node.span, title, hint);
        }
        every
    }

    fn schema(schemas: &mut Schemas) -> Json {
        schemas.text("Every", "How often.", &["15 min", "daily", "7 days", "quarterly", "3 months"])
    }

    fn write(&self) -> Yaml {
        let text = match (self.months, self.length) {
            (0, length) => format_duration(length),
            (months, _) => format!("{months} months"),
        };
        Yaml::text(&text)
    }
}

impl Value for Date {
    const WHAT: &'static str = "a date such as 2026-03-13";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.scalar(node, Self::WHAT)?;
        let date = text.parse().ok().filter(|_| text.len() == "2026-03-13".len());
        if date.is_none() {
            let title = format!("`{}` is no date", short(text));
            reader.report(
                Code::InvalidValue,
                &node.span,
                title,
                "write year-month-day: 2026-03-13",
            );
        }
        date
    }

    fn schema(schemas: &mut Schemas) -> Json {
        let schema = json!({ "type": "string", "format": "date", "examples": ["2026-03-13"] });
        schemas.value("Date", "A day.", schema)
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.to_string())
    }
}

/// A share of a whole, such as `20 %`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u32);

impl Value for Percent {
    const WHAT: &'static str = "a share such as 20 %";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.scalar(node, Self::WHAT)?;
        let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
        if number.is_none() {
            let title = format!("`{}` is no share", short(text));
            reader.report(Code::InvalidValue, &node.span, title, "write per cent: 20 %");
        }
        number.map(Self)
    }

    fn schema(schemas: &mut Schemas) -> Json {
        schemas.text("Percent", "A share in per cent.", &["20 %"])
    }

    fn write(&self) -> Yaml {
        Yaml::text(&format!("{} %", self.0))
    }
}

/// A text of several lines, such as a script, that knows where each of its lines was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// What it says, without the indentation it was written with.
    pub text: String,
    /// For each line: its first byte in `text`, and in the file.
    lines: Vec<(usize, usize)>,
    /// The file, and where the whole was written.
    origin: super::at::Origin,
}

impl Script {
    /// A text whose lines are written from these bytes of the file on.
    pub fn new(text: String, starts: &[usize], origin: super::at::Origin) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        let lines = line_starts.zip(starts.iter().copied()).collect();
        Self { text, lines, origin }
    }

    /// Where the whole was written.
    pub fn origin(&self) -> super::at::Origin {
        self.origin
    }

    /// Where a part of the text was written.
    pub fn place(&self, part: std::ops::Range<usize>) -> super::at::Origin {
        let in_file = |at: usize| {
            let line = self.lines.partition_point(|(start, _)| *start <= at).checked_sub(1)?;
            let (start, source) = *self.lines.get(line)?;
            Some((source + (at - start)).min(self.origin.end as usize))
        };
        match (in_file(part.start), in_file(part.end)) {
            (Some(start), Some(end)) if start <= end => {
                super::at::Origin::new(self.origin.file, start..end)
            }
            _ => self.origin,
        }
    }
}

impl Value for Script {
    const WHAT: &'static str = "a text";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = String::read(node, reader)?;
        let starts = line_starts(node, reader.source(), &text);
        Some(Self::new(text, &starts, reader.origin(&node.span)))
    }

    fn schema(schemas: &mut Schemas) -> Json {
        schemas.text("Script", "A text of one or several lines (`|` behind the key).", &[])
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.text)
    }
}

/// The text of a scalar, and where its lines stand in `source`: for YAML inside of documents.
pub(crate) fn script_lines(node: &Node, source: &str) -> Option<(String, Vec<usize>)> {
    match &node.value {
        tree::Value::Scalar { text, .. } => Some((text.clone(), line_starts(node, source, text))),
        _ => None,
    }
}

/// Where the lines of a scalar's text stand in the file; none if they cannot be told, as when a
/// quoted text has escapes or a folded one was joined.
fn line_starts(node: &Node, source: &str, text: &str) -> Vec<usize> {
    let written = source.get(node.span.clone()).unwrap_or("");
    if written == text {
        return vec![node.span.start];
    }
    if matches!(node.value, tree::Value::Scalar { quoted: true, .. })
        && written.get(1..written.len().saturating_sub(1)) == Some(text)
    {
        return vec![node.span.start + 1];
    }
    // A block: each line of the text follows in the source, behind its indentation.
    let mut lines = text.lines().peekable();
    let mut starts = Vec::new();
    let mut at = node.span.start;
    for whole in written.split_inclusive('\n') {
        let Some(wanted) = lines.peek() else { break };
        let line = whole.trim_end_matches(['\n', '\r']);
        if let Some(before) = line.strip_suffix(wanted)
            && before.chars().all(char::is_whitespace)
        {
            starts.push(at + before.len());
            lines.next();
        }
        at += whole.len();
    }
    if lines.peek().is_some() { Vec::new() } else { starts }
}
