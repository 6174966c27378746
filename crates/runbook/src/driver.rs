//! The only place that does anything: it appends what was decided, and only then lets it happen.

pub mod effects;

mod engine;
mod lock;
mod poll;
mod request;

#[cfg(test)]
mod tests;

pub use effects::{
    Adopted, Answer, Asked, Asking, Attempt, Captured, Child, Completion, Effects, Kind, Outcome,
    Reply, Which,
};
pub use engine::{Beginning, Engine, EngineError, EngineErrorKind, Progress, Resuming, World};
pub use lock::Lock;
pub use request::{Proof, Reception, Request, Wish, inbox, outbox, reception, send};
