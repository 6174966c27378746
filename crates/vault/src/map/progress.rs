//! Telling how far the work is.

/// Hears how the work goes on; called often, by several threads.
pub trait Progress: Sync {
    /// So much more was done.
    fn advance(&self, step: Step);
}

/// What was done since the step before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Step {
    /// Files completed.
    pub files: u64,
    /// Bytes of files read from the source, or written to the sink.
    pub raw_bytes: u64,
    /// Bytes of objects created in the vault.
    pub stored_bytes: u64,
}

/// Tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn advance(&self, _: Step) {}
}
