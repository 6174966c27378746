//! A vault as those who work with it hold it.

use std::fmt;
use std::sync::Arc;

use soter_world::{Clock, Random};

use crate::keys::Pins;
use crate::objects::ObjectStore;

/// A vault: where its objects are, whom to believe, and what the process takes from outside. It is
/// cheap to clone.
#[derive(Clone)]
pub struct Vault {
    /// Where its objects are.
    pub objects: Arc<dyn ObjectStore>,
    /// Time: for people, and for waiting between tries.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Which vault it is, and the roots whose trust lists are believed.
    pub pins: Pins,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("pins", &self.pins).finish_non_exhaustive()
    }
}
