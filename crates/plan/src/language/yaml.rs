//! Values written as YAML that reads back the same.

/// A piece of YAML to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yaml {
    /// A value in one line.
    Text(String),
    /// A value of several lines, written as a block.
    Block(String),
    /// A list.
    List(Vec<Self>),
    /// Keys with values, in order.
    Section(Vec<(String, Self)>),
    /// A value with a comment above it.
    Noted(String, Box<Self>),
}

/// Longest list that is written in one line.
const LINE_BYTES_MAX: usize = 80;

impl Yaml {
    /// A text, as a block if it has several lines.
    pub fn text(text: &str) -> Self {
        let is_block = text.trim_end_matches('\n').contains('\n')
            && !text.starts_with([' ', '\t', '\n'])
            && !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t'));
        if is_block { Self::Block(text.to_owned()) } else { Self::Text(text.to_owned()) }
    }

    /// The whole document.
    pub fn print(&self) -> String {
        let mut out = String::new();
        self.print_at(&mut out, 0);
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out
    }

    /// Writes it behind `key:` or `-` (without a line break at the end for scalars).
    fn print_at(&self, out: &mut String, depth: usize) {
        match self {
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::Block(text) => block(out, text, depth),
            Self::List(items) => list(out, items, depth),
            Self::Section(entries) => section(out, entries, depth),
            Self::Noted(_, value) => value.print_at(out, depth),
        }
    }

    /// In one line, if it is small and plain.
    fn in_line(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(quoted_in_flow(text)),
            Self::List(items) => {
                let items: Option<Vec<_>> = items.iter().map(Self::in_line).collect();
                Some(format!("[{}]", items?.join(", ")))
            }
            Self::Section(_) | Self::Block(_) | Self::Noted(..) => None,
        }
    }

    fn note(&self) -> Option<&str> {
        match self {
            Self::Noted(note, _) => Some(note),
            _ => None,
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn notes(out: &mut String, note: Option<&str>, depth: usize) {
    for line in note.unwrap_or("").lines() {
        indent(out, depth);
        out.push_str(format!("# {line}").trim_end());
        out.push('\n');
    }
}

fn section(out: &mut String, entries: &[(String, Yaml)], depth: usize) {
    if entries.is_empty() {
        out.push_str("{}");
        return;
    }
    for (at, (key, value)) in entries.iter().enumerate() {
        if depth == 0 && at > 0 {
            out.push('\n');
        }
        notes(out, value.note(), depth);
        indent(out, depth);
        out.push_str(&quoted(key));
        out.push(':');
        behind_key(out, value, depth);
    }
}

fn behind_key(out: &mut String, value: &Yaml, depth: usize) {
    let value = if let Yaml::Noted(_, value) = value { value } else { value };
    let short = value.in_line().filter(|line| line.len() <= LINE_BYTES_MAX);
    match (value, short) {
        (Yaml::Text(_) | Yaml::Block(_), _) => {
            out.push(' ');
            value.print_at(out, depth + 1);
        }
        (_, Some(line)) => {
            out.push(' ');
            out.push_str(&line);
        }
        (Yaml::Section(entries), _) if entries.is_empty() => out.push_str(" {}"),
        _ => {
            out.push('\n');
            value.print_at(out, depth + 1);
        }
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

fn list(out: &mut String, items: &[Yaml], depth: usize) {
    if items.is_empty() {
        out.push_str("[]");
    }
    for item in items {
        notes(out, item.note(), depth);
        let item = if let Yaml::Noted(_, value) = item { value } else { item };
        indent(out, depth);
        out.push_str("- ");
        match item {
            Yaml::Section(entries) if !entries.is_empty() => {
                // The first key stands behind the dash, the others below it.
                let mut inner = String::new();
                section(&mut inner, entries, depth + 1);
                let note_free = inner.trim_start();
                if note_free.starts_with('#') {
                    out.push('\n');
                    out.push_str(&inner);
                } else {
                    out.push_str(note_free);
                }
            }
            Yaml::List(inner) => match item.in_line() {
                Some(line) => out.push_str(&line),
                None => {
                    out.push('\n');
                    list(out, inner, depth + 1);
                }
            },
            item => item.print_at(out, depth + 1),
        }
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
}

/// A block keeps its lines; its end is kept as it is by the sign behind the bar.
fn block(out: &mut String, text: &str, depth: usize) {
    let body = text.strip_suffix('\n');
    out.push_str(match body {
        None => "|-",
        Some(body) if body.ends_with('\n') => "|+",
        Some(_) => "|",
    });
    out.push('\n');
    for line in body.unwrap_or(text).split('\n') {
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn quoted_in_flow(text: &str) -> String {
    if text.contains([',', '[', ']', '{', '}']) { escaped(text) } else { quoted(text) }
}

/// Plain where YAML cannot take it for anything else, else in quotes.
pub(crate) fn quoted(text: &str) -> String {
    let starts_plain =
        text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '+' | '.'));
    let is_plain = starts_plain
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains(|c: char| c.is_control() || c == '\u{feff}')
        && !matches!(text, "null" | "Null" | "NULL" | "." | "..");
    if is_plain { text.to_owned() } else { escaped(text) }
}

fn escaped(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x20 || u32::from(c) == 0x7f => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
