//! The only place that does anything: it appends what was decided, and only then lets it happen.

pub mod effects;

pub use effects::{
    Adopted, Answer, Asked, Asking, Attempt, Captured, Child, Completion, Effects, Kind, Outcome,
    Reply, Which,
};
