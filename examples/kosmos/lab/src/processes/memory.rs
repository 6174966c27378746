//! Memory that processes shared and that outlives them: PostgreSQL keeps a few bytes, by which another
//! server sees that it is at work, and leaves them behind when it is killed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::Duration;

use soter_world::exec::Command;

/// How long `ipcrm` may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Gives back what these processes have made and nobody uses any more.
pub(super) fn give_back(makers: &BTreeSet<u32>) -> io::Result<()> {
    let table = fs::read_to_string("/proc/sysvipc/shm")?;
    for segment in unused(&table, makers) {
        // One that its next server has taken away meanwhile is as gone as it should be.
        let remove = Command::new("ipcrm").arg("--shmem-id").arg(segment.to_string());
        remove.run(TIMEOUT).map_err(io::Error::other)?;
    }
    Ok(())
}

/// The numbers of segments that these have made and that nobody is attached to. The columns are key,
/// number, rights, size, maker, last user, users.
fn unused(table: &str, makers: &BTreeSet<u32>) -> Vec<u64> {
    let segments = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let maker: u32 = fields.get(4)?.parse().ok()?;
        let users: u64 = fields.get(6)?.parse().ok()?;
        (users == 0 && makers.contains(&maker)).then(|| fields.get(1)?.parse().ok())?
    });
    segments.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_uses_and_they_have_made_is_given_back() {
        let table = "       key      shmid perms size  cpid  lpid nattch   uid\n\
                     10076630         11   600   56   100   100      0   103\n\
                     10076631         12   600   56   100   100      2   103\n\
                     10076632         13   600   56   999   100      0   103\n";
        assert_eq!(unused(table, &BTreeSet::from([100, 5])), [11]);
    }
}
