//! Which machine this is, and since which boot.
//!
//! Two values tell a process that comes later whether children of an earlier one may still live: on
//! another machine nobody can tell, after another boot they are gone.

use std::io;

use rustix::system::uname;

/// A machine between two boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What the machine is known by; it stays the same when it is booted again.
    pub host: String,
    /// What this boot is known by; no other boot of any machine has it.
    pub boot: String,
}

impl Machine {
    /// The machine that this process runs on.
    ///
    /// # Errors
    /// When the kernel does not say which boot it is.
    pub fn this() -> io::Result<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let name = uname().nodename().to_string_lossy().into_owned();
        // Containers of one image share the name of the image's machine, never their host name.
        let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let id: String = id.trim().chars().take(8).collect();
        let host = if id.is_empty() { name } else { format!("{name}-{id}") };
        Ok(Self { host, boot: boot.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_knows_its_name_and_boot() {
        let machine = Machine::this().unwrap();
        assert_eq!(machine.boot.len(), 36, "{machine:?}");
        assert!(!machine.host.is_empty());
        assert_eq!(machine, Machine::this().unwrap());
    }
}
