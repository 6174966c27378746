//! A value that must not be printed.
//!
//! Passwords, keys and connection strings live in a [`Secret`], so that a log line, a panic or a
//! derived `Debug` shows `****`. It hides from output only: memory is not wiped when it is dropped.

use std::fmt;

/// A value that prints as `****`. It cannot be serialized, and it is read only by
/// [`expose`](Secret::expose), which is easy to search for.
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The hidden value. Whoever calls this answers for where it goes.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("****")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("****")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(
            format!("{secret} {secret:?} {:#?}", Some(&secret)),
            "**** **** Some(\n    ****,\n)"
        );
        assert_eq!(secret.expose(), "hunter2");
    }
}
