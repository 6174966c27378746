//! New members of an etcd, made of a snapshot by etcd's own `etcdutl`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use soter_world::disk::Owner;
use soter_world::exec::Command;

use crate::etcd::bump::Bump;
use crate::etcd::restore::{MEMBERS_DIRECTORY, MadeMember, RestoreError};
use crate::etcd::{Endpoint, SNAPSHOT_FILE};

/// A snapshot of eight gigabytes, the largest there should be, is copied in minutes.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3600);

/// A member that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    /// Its name.
    pub name: String,
    /// Where other members will reach it.
    pub peer_url: Endpoint,
}

/// A text that is no member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no member: NAME=https://HOST:PORT, the name of letters, digits, `-`, `_` and `.`"
)]
pub struct MemberError {
    /// What was read.
    pub text: String,
}

impl FromStr for NewMember {
    type Err = MemberError;

    fn from_str(text: &str) -> Result<Self, MemberError> {
        let wrong = || MemberError { text: text.to_owned() };
        let (name, url) = text.split_once('=').ok_or_else(wrong)?;
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        // It becomes the name of a directory.
        let is_name = name.bytes().all(is_letter) && !name.is_empty() && !name.starts_with('.');
        let peer_url = url.parse().map_err(|_| wrong())?;
        is_name.then(|| Self { name: name.to_owned(), peer_url }).ok_or_else(wrong)
    }
}

/// A cluster that is made of a snapshot. Every machine makes its own members, all with the same words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCluster {
    /// All its members.
    pub members: Vec<NewMember>,
    /// The names of those that are made here.
    pub here: Vec<String>,
    /// What tells it from the cluster before: a member that was left behind does not find in.
    pub token: String,
    /// Where `etcdutl` is, if not where programs are.
    pub programs: Option<PathBuf>,
}

/// A program of etcd.
pub(super) fn program(directory: Option<&Path>, name: &str) -> PathBuf {
    directory.map_or_else(|| PathBuf::from(name), |directory| directory.join(name))
}

impl NewCluster {
    fn of_here(&self) -> impl Iterator<Item = &NewMember> {
        self.members.iter().filter(|member| self.here.contains(&member.name))
    }

    fn initial(&self) -> String {
        let members = self.members.iter();
        let all: Vec<String> =
            members.map(|member| format!("{}={}", member.name, member.peer_url)).collect();
        all.join(",")
    }

    /// Its members of this machine, as they are below a directory.
    #[must_use]
    pub fn made(&self, directory: &Path) -> Vec<MadeMember> {
        let made = |member: &NewMember| {
            let data_directory = directory.join(MEMBERS_DIRECTORY).join(&member.name);
            let (name, url) = (&member.name, &member.peer_url);
            let start = format!(
                "etcd --name {name} --data-dir {} --initial-cluster {} --listen-peer-urls {url} \
                 --initial-advertise-peer-urls {url}",
                data_directory.display(),
                self.initial(),
            );
            MadeMember { name: name.clone(), data_directory, start }
        };
        self.of_here().map(made).collect()
    }
}

/// Makes the members of this machine below a directory that holds the snapshot.
pub(super) fn make(
    cluster: &NewCluster,
    bump: Option<&Bump>,
    directory: &Path,
    owner: Option<Owner>,
) -> Result<(), RestoreError> {
    for member in cluster.of_here() {
        let data = directory.join(MEMBERS_DIRECTORY).join(&member.name);
        let mut command = Command::new(program(cluster.programs.as_deref(), "etcdutl"))
            .args(["snapshot", "restore"])
            .arg(directory.join(SNAPSHOT_FILE))
            .arg("--data-dir")
            .arg(&data)
            .args(["--name", &member.name, "--initial-cluster", &cluster.initial()])
            .args(["--initial-advertise-peer-urls", member.peer_url.as_str()])
            .args(["--initial-cluster-token", &cluster.token]);
        if let Some(bump) = bump {
            command = command.args(bump.arguments());
        }
        let failed = |source| RestoreError::Member { member: member.name.clone(), source };
        command.run(TIMEOUT).and_then(soter_world::exec::Finished::checked).map_err(failed)?;
        if let Some(owner) = owner {
            let owner = format!("{}:{}", owner.user, owner.group);
            let chown = Command::new("chown").args(["-R", &owner, "--"]).arg(&data);
            chown.run(TIMEOUT).and_then(soter_world::exec::Finished::checked).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_a_name_and_an_address() {
        let member: NewMember = "node-1=https://10.0.0.1:2380".parse().unwrap();
        assert_eq!(
            (member.name.as_str(), member.peer_url.as_str()),
            ("node-1", "https://10.0.0.1:2380")
        );
        for bad in ["", "node-1", "=https://10.0.0.1:2380", "../x=https://10.0.0.1:2380", "a=b"] {
            assert!(bad.parse::<NewMember>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_machine_makes_its_own_members_with_the_same_words() {
        let member = |text: &str| text.parse::<NewMember>().unwrap();
        let cluster = NewCluster {
            members: vec![member("a=https://a:2380"), member("b=https://b:2380")],
            here: vec!["b".to_owned()],
            token: "t".to_owned(),
            programs: None,
        };
        let made = cluster.made(Path::new("/srv/new"));
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].data_directory, PathBuf::from("/srv/new/members/b"));
        assert_eq!(
            made[0].start,
            "etcd --name b --data-dir /srv/new/members/b --initial-cluster \
             a=https://a:2380,b=https://b:2380 --listen-peer-urls https://b:2380 \
             --initial-advertise-peer-urls https://b:2380"
        );
    }
}
