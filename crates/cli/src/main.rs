//! The `soter` binary: reads the command line, runs one command, ends with one of its exit codes.

mod board;
mod commands;
mod context;
mod demo;
mod etcd;
mod failure;
mod onlooker;
mod output;
mod plans;
mod presence;
mod runs;

use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::commands::Arguments;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // Known before the line is parsed: a mistake in it must not look like "no more WAL".
    let fetching = commands::is_wal_fetch(&arguments);
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&arguments, fetching)));
    ExitCode::from(outcome.unwrap_or_else(|_| failure::panic_code(fetching)))
}

/// A defect, for the test that looks at what becomes of one. No released binary has it.
#[cfg(debug_assertions)]
fn panic_if_asked() {
    assert!(std::env::var_os("SOTER_TEST_PANIC").is_none(), "asked for by SOTER_TEST_PANIC");
}

/// Runs the command and returns the process's exit code.
fn run(arguments: &[OsString], fetching: bool) -> u8 {
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // With a closed stderr there is nobody to tell.
            drop(error.print());
            return if asked && !fetching { 0 } else { failure::usage_code(fetching) };
        }
    };
    #[cfg(debug_assertions)]
    panic_if_asked();
    match commands::run(parsed) {
        Ok(()) => 0,
        Err(failure) => {
            if !failure.what.is_empty() || failure.rendered.is_some() {
                drop(writeln!(io::stderr(), "{failure}"));
            }
            failure.exit_code(fetching)
        }
    }
}
