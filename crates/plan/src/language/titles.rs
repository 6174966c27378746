//! What people call things: the title if there is one, else the name.

use super::map::Named;
use super::{
    At, Channel, Credential, Domain, Drill, Person, Policy, Scenario, Service, Severity, Store,
    Team, Tier, Vault,
};

/// What may have a title.
pub trait Titled {
    /// Its name for people.
    fn title(&self) -> Option<&str>;
}

macro_rules! titled {
    ($($section:ident)+) => {
        $(impl Titled for $section {
            fn title(&self) -> Option<&str> {
                self.title.as_ref().map(|title| title.value.as_str())
            }
        })+
    };
}

titled! {
    Channel Credential Domain Drill Person Policy Scenario Service Severity Store Team Tier Vault
}

impl<T: Titled> Named<T> {
    /// What people call the one of that name; the name itself, if there is none.
    pub fn title<'n>(&'n self, name: &'n str) -> &'n str {
        self.get(name).and_then(T::title).unwrap_or(name)
    }

    /// All of them, with what people call each.
    pub fn titled(&self) -> impl ExactSizeIterator<Item = (&At<String>, &str, &T)> {
        self.iter().map(|(name, value)| (name, value.title().unwrap_or(&name.value), value))
    }
}
