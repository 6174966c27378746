//! The configuration of a restored cluster: what must not be taken over from the original.
//!
//! A restored cluster that still archives writes into its parent's history; one that still waits
//! for a synchronous standby hangs at its first write; leftovers of an earlier recovery stop it.
//! Such settings are put behind a `#` with the reason, never dropped silently, and ours come last
//! in `postgresql.auto.conf`, which overrides everything else.

use std::path::{Path, PathBuf};

/// Begins each line that was put out of force.
const REMARK: &str = "# soter restore: ";

/// Settings that must not be taken over, wherever they are written, and why.
const UNSAFE: [(&str, &str); 14] = [
    ("restore_command", "belongs to an earlier recovery"),
    ("recovery_end_command", "belongs to an earlier recovery"),
    ("archive_cleanup_command", "belongs to an earlier recovery"),
    ("primary_conninfo", "belongs to the original's role"),
    ("primary_slot_name", "belongs to the original's role"),
    ("promote_trigger_file", "belongs to the original's role"),
    ("archive_mode", "would write into the original's history"),
    ("archive_command", "would write into the original's history"),
    ("archive_library", "would write into the original's history"),
    ("synchronous_standby_names", "would make the first commit wait for ever"),
    ("data_directory", "is the original's"),
    ("external_pid_file", "is the original's"),
    ("hba_file", "is the original's; the one beside this file is used"),
    ("ident_file", "is the original's; the one beside this file is used"),
];

/// A line of a configuration file that sets something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The name in lower case.
    pub name: String,
    /// The value without quotes.
    pub value: String,
}

/// Reads one line of a configuration file; `None` for blank lines, comments and nonsense.
pub fn parse_line(line: &str) -> Option<Setting> {
    let line = line.trim_start();
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')));
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    if name.is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    Some(Setting { name: name.to_ascii_lowercase(), value: parse_value(rest) })
}

fn parse_value(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('\'') else {
        let end = text.find(|c: char| c.is_whitespace() || c == '#').unwrap_or(text.len());
        return text.split_at(end).0.to_owned();
    };
    let mut value = String::new();
    let mut characters = quoted.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // A quote is written twice, or behind a backslash.
            '\'' if characters.peek() == Some(&'\'') => {
                characters.next();
                value.push('\'');
            }
            '\'' => break,
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    value
}

/// Quotes a value for a configuration file.
pub fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// Puts out of force what a restored cluster must not have. Returns the new text and the names of
/// the settings concerned.
pub fn disarm(text: &str) -> (String, Vec<String>) {
    let mut lines = Vec::new();
    let mut disarmed = Vec::new();
    for line in text.lines() {
        match parse_line(line).and_then(|setting| Some((why_not(&setting)?, setting))) {
            Some((why, setting)) => {
                disarmed.push(setting.name);
                lines.push(format!("{REMARK}{why}: {line}"));
            }
            None => lines.push(line.to_owned()),
        }
    }
    lines.push(String::new());
    (lines.join("\n"), disarmed)
}

fn why_not(setting: &Setting) -> Option<&'static str> {
    let Setting { name, value } = setting;
    if name.starts_with("recovery_target") {
        return Some("belongs to an earlier recovery");
    }
    if matches!(name.as_str(), "include" | "include_dir" | "include_if_exists")
        && Path::new(value).is_absolute()
    {
        return Some("is the original's; its files are beside this one if they were in use");
    }
    UNSAFE.iter().find(|(known, _)| known == name).map(|(_, why)| *why)
}

/// What makes an adopted cluster archive and wait again as its original did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rearming {
    /// Commands that undo what the restore set, and set what it put out of force.
    pub commands: Vec<String>,
    /// Those that are better run when an agent streams: commits wait from then on.
    pub afterwards: Vec<String>,
    /// Whether the server must be restarted for some of them.
    pub needs_restart: bool,
}

/// Settings that make a cluster archive. They are set again when it is adopted.
const ARCHIVING: [&str; 3] = ["archive_command", "archive_library", "archive_mode"];

/// The setting that makes commits wait for others. It is set again when there is somebody.
const WAITING: &str = "synchronous_standby_names";

/// What to run on a restored cluster whose `postgresql.conf` and `postgresql.auto.conf` these are,
/// once it is adopted.
pub fn rearm(main: &str, auto: &str) -> Rearming {
    let mut rearming = Rearming::default();
    let in_force: Vec<Setting> = auto.lines().filter_map(parse_line).collect();
    let is_set = |name: &str| in_force.iter().any(|setting| setting.name == name);
    // As the server reads them: the last one counts, and the second file over the first.
    let disarmed: Vec<Setting> =
        main.lines().chain(auto.lines()).filter_map(disarmed_setting).collect();
    let original = |name: &str| disarmed.iter().rev().find(|setting| setting.name == name);
    for setting in &in_force {
        let is_recoverys = setting.name.starts_with("recovery_target")
            || matches!(setting.name.as_str(), "restore_command" | "wal_retrieve_retry_interval");
        let reset = format!("ALTER SYSTEM RESET {}", setting.name);
        if is_recoverys && !rearming.commands.contains(&reset) {
            rearming.commands.push(reset);
        }
    }
    // What the restore has not set, nobody needs to set again.
    let names = ARCHIVING.into_iter().filter(|_| is_set("archive_mode"));
    for name in names {
        let command = match original(name) {
            Some(Setting { value, .. }) => format!("ALTER SYSTEM SET {name} = {}", literal(value)),
            None if is_set(name) => format!("ALTER SYSTEM RESET {name}"),
            None => continue,
        };
        let is_on = |setting: &Setting| setting.value != "off";
        rearming.needs_restart |= name == "archive_mode" && original(name).is_some_and(is_on);
        rearming.commands.push(command);
    }
    if is_set(WAITING) {
        match original(WAITING).filter(|setting| !setting.value.is_empty()) {
            Some(Setting { value, .. }) => {
                let command = format!("ALTER SYSTEM SET {WAITING} = {}", literal(value));
                rearming.afterwards.push(command);
            }
            None => rearming.commands.push(format!("ALTER SYSTEM RESET {WAITING}")),
        }
    }
    rearming
}

/// The setting in a line that was put out of force.
fn disarmed_setting(line: &str) -> Option<Setting> {
    let (_why, setting) = line.strip_prefix(REMARK)?.split_once(": ")?;
    parse_line(setting)
}

/// Quotes a value for SQL, where a backslash means nothing.
fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// `postgresql.auto.conf` of a restored cluster: what was there, disarmed, and ours behind it.
pub fn auto_conf(original: &str, ours: &[(&str, String)]) -> String {
    let (mut text, _) = disarm(original);
    text.push_str("# Set by soter restore. `soter adopt` lets the cluster archive again.\n");
    for (name, value) in ours {
        text.push_str(&format!("{name} = {}\n", quote(value)));
    }
    text
}

/// `postgresql.auto.conf` of a cluster whose recovery is over: the targets that [`auto_conf`] wrote
/// are put out of force.
pub fn settled(text: &str) -> String {
    let is_over = |line: &str| {
        parse_line(line).is_some_and(|Setting { name, .. }| {
            name.starts_with("recovery_target") || name == "wal_retrieve_retry_interval"
        })
    };
    let settle = |line: &str| match is_over(line) {
        true => format!("{REMARK}the recovery is over: {line}\n"),
        false => format!("{line}\n"),
    };
    text.lines().map(settle).collect()
}

/// Where a configuration file from outside the data directory goes in the restored one: beside
/// `postgresql.conf`, as it was beside the original's. `main` is the original's main file. `None`
/// for files from elsewhere: they are restored as `soter.configuration/<their path>` for a person.
pub fn place_of(main: &Path, file: &Path) -> Option<PathBuf> {
    let inside = file.strip_prefix(main.parent()?).ok()?;
    let is_main = file == main;
    Some(if is_main { PathBuf::from("postgresql.conf") } else { inside.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_server_reads_them() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let found = parse_line(line);
            let found = found.as_ref().map(|s| (s.name.as_str(), s.value.as_str()));
            assert_eq!(found, expected, "{line}");
        };
        check("port = 5432 # the port", Some(("port", "5432")));
        check(
            "  Archive_Command='cp %p ''/a b''/%f'",
            Some(("archive_command", "cp %p '/a b'/%f")),
        );
        check("work_mem 64MB", Some(("work_mem", "64MB")));
        check("a.b='it\\'s'", Some(("a.b", "it's")));
        check("fsync", Some(("fsync", "")));
        check("# port = 1", None);
        check("", None);
        check("= 5", None);
    }

    #[test]
    fn what_would_harm_is_disarmed_and_said() {
        let original = "port = 5432\n\
                        ARCHIVE_MODE = on\n\
                        synchronous_standby_names = 'soter'\n\
                        recovery_target_time = '2026-01-01'\n\
                        include '/etc/postgresql/extra.conf'\n\
                        include_dir = 'conf.d'\n\
                        #archive_command = 'x'\n";
        let (text, disarmed) = disarm(original);
        assert_eq!(
            disarmed,
            ["archive_mode", "synchronous_standby_names", "recovery_target_time", "include"]
        );
        let in_force: Vec<String> =
            text.lines().filter_map(parse_line).map(|setting| setting.name).collect();
        assert_eq!(in_force, ["port", "include_dir"]);
        assert!(text.contains(
            "# soter restore: would write into the original's history: ARCHIVE_MODE = on"
        ));
    }

    #[test]
    fn ours_come_last() {
        let text =
            auto_conf("restore_command = 'old'\nport = 1\n", &[("archive_mode", "off".into())]);
        let settings: Vec<Setting> = text.lines().filter_map(parse_line).collect();
        assert_eq!(settings.len(), 2);
        assert_eq!(settings[1], Setting { name: "archive_mode".into(), value: "off".into() });
    }

    #[test]
    fn when_the_recovery_is_over_its_target_is_gone() {
        let target = ("recovery_target_xid", "7".to_owned());
        let text = auto_conf("work_mem = '1MB'\n", &[("archive_mode", "off".to_owned()), target]);
        let settled = settled(&text);
        let in_force = |text: &str| -> Vec<String> {
            text.lines().filter_map(parse_line).map(|setting| setting.name).collect()
        };
        assert_eq!(in_force(&text), ["work_mem", "archive_mode", "recovery_target_xid"]);
        assert_eq!(in_force(&settled), ["work_mem", "archive_mode"]);
        assert!(settled.contains("the recovery is over: recovery_target_xid = '7'"), "{settled}");
    }

    #[test]
    fn what_was_disarmed_is_set_again_by_commands() {
        let (main, _) = disarm(
            "archive_mode = on\narchive_command = 'old'\nport = 1\n\
             synchronous_standby_names = 'soter_orders'\n",
        );
        let ours = [
            ("archive_mode", "off".to_owned()),
            ("synchronous_standby_names", String::new()),
            ("recovery_target_timeline", "1".to_owned()),
            ("recovery_target_xid", "7".to_owned()),
        ];
        let auto = auto_conf("archive_command = 'push \"%p\" ''a b'''\n", &ours);
        let rearming = rearm(&main, &auto);
        assert_eq!(
            rearming.commands,
            [
                "ALTER SYSTEM RESET recovery_target_timeline",
                "ALTER SYSTEM RESET recovery_target_xid",
                "ALTER SYSTEM SET archive_command = 'push \"%p\" ''a b'''",
                "ALTER SYSTEM SET archive_mode = 'on'",
            ]
        );
        let waits = "ALTER SYSTEM SET synchronous_standby_names = 'soter_orders'";
        assert_eq!(rearming.afterwards, [waits]);
        assert!(rearming.needs_restart);
        // One that did not archive.
        let rearming = rearm("", &auto_conf("", &ours));
        assert_eq!(
            rearming.commands,
            [
                "ALTER SYSTEM RESET recovery_target_timeline",
                "ALTER SYSTEM RESET recovery_target_xid",
                "ALTER SYSTEM RESET archive_mode",
                "ALTER SYSTEM RESET synchronous_standby_names",
            ]
        );
        assert!(!rearming.needs_restart && rearming.afterwards.is_empty());
        // One where all that was done.
        assert_eq!(rearm(&main, "archive_command = 'push'\n"), Rearming::default());
    }

    #[test]
    fn quoting_is_undone_by_reading() {
        for value in ["", "plain", "it's", "back\\slash", "a 'b' \\ c"] {
            let line = format!("x = {}", quote(value));
            assert_eq!(parse_line(&line).map(|s| s.value), Some(value.to_owned()), "{line}");
        }
    }

    #[test]
    fn configuration_from_outside_goes_beside_the_main_file() {
        let place = |file: &str| {
            let main = Path::new("/etc/postgresql/15/main/pg15.conf");
            place_of(main, Path::new(file)).map(|path| path.display().to_string())
        };
        assert_eq!(place("/etc/postgresql/15/main/pg15.conf").as_deref(), Some("postgresql.conf"));
        assert_eq!(place("/etc/postgresql/15/main/pg_hba.conf").as_deref(), Some("pg_hba.conf"));
        assert_eq!(
            place("/etc/postgresql/15/main/conf.d/a.conf").as_deref(),
            Some("conf.d/a.conf")
        );
        assert_eq!(place("/etc/other/a.conf"), None);
    }
}
