//! How a run touches the world: scripts here and elsewhere, requests, messages, questions.
//!
//! The rule it keeps: every way out says one of done, failed and unknown, and a question one of yes, no
//! and unknown. What is secret reaches a script as a variable, never as a part of a text that lies
//! anywhere, and is covered in everything that comes back.

mod aside;
mod attempts;
mod elsewhere;
mod expect;
mod http;
mod led;
mod notify;
mod place;
mod probes;
mod real;
mod redact;
mod request;
mod shown;

#[cfg(test)]
mod tests;

pub use attempts::{Action, LedWork, RESULTS, Work, last_lines, script_there};
pub use elsewhere::shell_on;
pub use expect::Expectation;
pub use http::{HttpError, Request, Requests, Response};
pub use led::{Lead, NotDone, Part, run_part};
pub use place::{HANDED_ON, Place, Variables, is_variable, variable_rule};
pub(crate) use probes::ask_script;
pub use real::{Credentials, RealEffects, Tools};
pub use redact::{Pieces, Redactor};
pub use shown::{keep_shown, shown_lines};
