//! Durations in a journal: whole milliseconds, under a key that ends in `_ms`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// As a number; too long ones as the largest there is.
pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
}

/// From a number.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

/// Durations that may be absent.
pub(crate) mod maybe {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    /// As a number, or null.
    #[expect(clippy::ref_option, reason = "this is how serde hands over a field")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// From a number, or null.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}
