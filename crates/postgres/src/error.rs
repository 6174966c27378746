//! What a caller can do about an error of this crate, whichever part it came from.

/// The answer to "and now?": every public error of this crate has a `kind()` that gives one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The other side or the network was away for a moment: try again, with a pause that grows.
    Retry,
    /// A setting, a privilege or an argument is wrong: a person has to change it.
    Input,
    /// What was asked for is not there (any more); trying again will not bring it back.
    NotFound,
    /// Someone else holds what only one may hold: look who it is before trying again.
    Superseded,
    /// The bytes that came break the protocol or the format: do not believe the rest of them.
    Damaged,
    /// It was refused or it failed for a reason of its own; the message says which.
    Failed,
    /// We were asked to stop, and did.
    Stopped,
}
