//! Asking running work to end.
//!
//! A [`Stop`] is handed to everything that runs long. It says *end soon and tidily*; whoever holds
//! it finishes or abandons its current batch and returns. It is never taken back.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// A token that is handed around and says whether work must end. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// A token that is stopped only by [`Stop::stop`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is stopped by the first SIGINT (Ctrl-C) or SIGTERM.
    ///
    /// The second such signal ends the process at once, as if no handler were there: a person who
    /// presses Ctrl-C twice does not want to wait for a tidy end. Call it once, in `main`; the
    /// thread that listens lives as long as the process.
    ///
    /// # Errors
    /// When the handlers or their thread cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The order matters: handlers run as registered, so the first signal finds the flag
            // unset and only then sets it.
            flag::register_conditional_default(signal, Arc::clone(&second))?;
            flag::register(signal, Arc::clone(&second))?;
        }
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let stop = Self::new();
        let of_thread = stop.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in signals.forever() {
                of_thread.stop();
            }
        })?;
        Ok(stop)
    }

    /// Asks everyone who holds this token to end, and wakes those who wait on it.
    pub fn stop(&self) {
        *self.lock() = true;
        self.shared.changed.notify_all();
    }

    /// Whether somebody asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.lock()
    }

    /// Waits until stopped or until `timeout` of real time has passed; returns whether stopped.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        let guard = self.lock();
        let (guard, _) = self
            .shared
            .changed
            .wait_timeout_while(guard, timeout, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        *guard
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec;

    #[test]
    fn wait_says_whether_it_was_stopped() {
        let stop = Stop::new();
        assert!(!stop.wait(Duration::from_millis(1)));
        let other = stop.clone();
        let waiter = thread::spawn(move || other.wait(Duration::from_secs(60)));
        stop.stop();
        assert!(waiter.join().unwrap());
        assert!(stop.is_stopped());
        assert!(stop.wait(Duration::ZERO));
    }

    #[test]
    fn a_first_signal_stops_without_ending_the_process() {
        let stop = Stop::on_signals().unwrap();
        exec::signal_process(std::process::id(), exec::Signal::Terminate).unwrap();
        assert!(stop.wait(Duration::from_secs(60)));
    }
}
