//! What a shell script would do, as far as it can be known without running it.
//!
//! The rule it keeps: any text is read. A mistake in one line is noted in [`Shell::unread`] and the
//! lines around it are read all the same; time and memory grow with the length of the text and with
//! nothing else. Every range points into the text that was given, also for scripts inside of scripts
//! (`bash -c "…"`, `ssh host '…'`, here-documents). What the commands mean is left to `products`.

mod script;

mod options;
mod placeholders;
mod source;

mod compound;
mod console;
mod reader;
mod redirections;
mod simple;
mod words;

mod nested;
mod wrappers;

mod kept;

#[cfg(test)]
mod tests;

pub(crate) use kept::Shells;
pub use options::ShellOptions;
pub use placeholders::{Placeholder, PlaceholderKind, placeholders};
pub(crate) use script::base_name;
pub use script::{
    Assignment, AssignmentKind, Block, BlockKind, Command, Comment, Form, HereDocument, Nested,
    Operator, Parameter, Position, Redirection, RedirectionKind, Role, Shell, Statement, Unread,
    Via, Word, Wrapper,
};

/// Longer texts are not scripts that people wrote; they are not read.
const SCRIPT_BYTES_MAX: usize = 512 << 10;

/// Reads a script, or the lines of a terminal with their prompts.
pub fn read(text: &str) -> Shell {
    read_with(text, ShellOptions::default())
}

/// Reads a script that an invocation such as `bash -euo pipefail -c` gave options to.
pub fn read_with(text: &str, options: ShellOptions) -> Shell {
    let is_console = console::has_prompts(text);
    read_source(text, options, is_console)
}

/// Reads the lines of a terminal, where `#` may be the prompt of root.
pub fn read_console(text: &str) -> Shell {
    read_source(text, ShellOptions::default(), true)
}

fn read_source(text: &str, options: ShellOptions, is_console: bool) -> Shell {
    let mut shell = Shell::default();
    if text.len() > SCRIPT_BYTES_MAX {
        let why = format!("a script of {} bytes is not read, 512 KiB are", text.len());
        shell.unread.push(Unread { range: 0..text.len(), why });
        return shell;
    }
    let source = if is_console { console::commands(text) } else { source::Source::whole(text) };
    shell.is_console = is_console;
    reader::Reader::new(source, options, &mut shell).script();
    shell
}
