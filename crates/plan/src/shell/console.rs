//! The lines of a terminal: commands behind a prompt, and output, which is no command.

use std::ops::Range;

use super::source::Source;

/// Whether the first line that says something begins with a prompt.
pub(super) fn has_prompts(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| {
        let line = line.trim_start();
        !line.is_empty() && !is_comment(line)
    });
    lines.next().is_some_and(|line| prompt_len(line).is_some())
}

/// `# words` is a comment unless more of it looks like a command.
fn is_comment(line: &str) -> bool {
    line.starts_with('#')
}

/// The length of `$ `, `user@host:~$ `, `[root@host ~]# ` with the space before and behind it.
fn prompt_len(line: &str) -> Option<usize> {
    let indent = line.len() - line.trim_start().len();
    let rest = line.get(indent..)?;
    let behind = |len: usize| {
        let behind = rest.get(len..)?;
        let space = behind.len() - behind.trim_start_matches(' ').len();
        (space > 0).then_some(indent + len + space)
    };
    if rest.starts_with("$ ") {
        return behind(1);
    }
    if let Some(inner) = rest.strip_prefix('[') {
        let close = inner.find(']')? + 2;
        let is_prompt =
            rest.get(..close)?.contains('@') && rest.get(close..)?.starts_with(['$', '#']);
        return if is_prompt { behind(close + 1) } else { None };
    }
    let sign = rest.find(['$', '#'])?;
    let before = rest.get(..sign)?;
    let is_prompt = before.contains('@')
        && before.contains(':')
        && before.chars().all(|c| c.is_ascii_alphanumeric() || "@:~/._-".contains(c));
    if is_prompt { behind(sign + 1) } else { None }
}

/// What root is asked to run, and no word that a sentence begins with.
const ROOTS_PROGRAMS: &[&str] = &[
    "apt",
    "apt-get",
    "aws",
    "chmod",
    "chown",
    "cp",
    "curl",
    "dd",
    "dnf",
    "docker",
    "etcdctl",
    "helm",
    "ip",
    "iptables",
    "journalctl",
    "k3s",
    "kubectl",
    "lvcreate",
    "mkdir",
    "mkfs.ext4",
    "mkfs.xfs",
    "mv",
    "mysql",
    "pg_basebackup",
    "pg_ctl",
    "pg_restore",
    "psql",
    "reboot",
    "rm",
    "rsync",
    "scp",
    "ssh",
    "su",
    "sudo",
    "swapoff",
    "systemctl",
    "tar",
    "terraform",
    "umount",
    "wget",
    "yum",
    "zfs",
];

/// `# systemctl stop postgresql`, where the words behind the sign look like a program with options or
/// a file, and not like a sentence.
fn root_prompt_len(line: &str) -> Option<usize> {
    let indent = line.len() - line.trim_start().len();
    let command = line.get(indent..)?.strip_prefix("# ")?;
    let mut words = command.split_whitespace();
    let program = words.next()?;
    let is_program = ROOTS_PROGRAMS.contains(&super::script::base_name(program));
    is_program.then_some(indent + 2)
}

/// The commands of the lines, without their prompts; the rest is left out.
pub(super) fn commands(text: &str) -> Source {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    let mut goes_on = false;
    let mut document: Option<String> = None;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        at = range.end;
        let bare = line.trim_end_matches(['\n', '\r']);
        if let Some(tag) = &document {
            let is_end = bare.trim() == tag;
            ranges.push(range);
            if is_end {
                document = None;
            }
            continue;
        }
        let start = match prompt_len(bare).or_else(|| root_prompt_len(bare)) {
            Some(len) => Some(len),
            None if goes_on => Some(if bare.starts_with("> ") { 2 } else { 0 }),
            None if is_comment(bare.trim_start()) => Some(0),
            None => None,
        };
        goes_on = start.is_some() && bare.ends_with('\\');
        if let Some(start) = start {
            ranges.push(range.start + start..range.end);
            document = tag(bare);
        }
    }
    Source::of_ranges(text, &ranges)
}

/// The tag of a here-document that a line begins.
fn tag(line: &str) -> Option<String> {
    let (_, behind) = line.split_once("<<")?;
    let behind = behind.trim_start_matches(['-', ' ']);
    let tag: String = behind
        .trim_start_matches(['\'', '"'])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    (!tag.is_empty() && !behind.starts_with('<')).then_some(tag)
}
