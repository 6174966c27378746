//! Where the programs of a version of PostgreSQL are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_world::Disk;
use soter_world::exec::{Command, Input};

use super::PostmasterError;
use crate::cluster::MajorVersion;

/// Far longer than a program takes to say its version.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where distributions put them: Debian and its like, then those of the RPM packages.
const DIRECTORIES: [(&str, &str); 2] = [("/usr/lib/postgresql/", "/bin"), ("/usr/pgsql-", "/bin")];

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct ProgramSearch {
    /// Only here, if a person has said so.
    pub directory: Option<PathBuf>,
    /// The variable `PATH`.
    pub path: Option<OsString>,
}

/// The programs of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    directory: PathBuf,
    version: MajorVersion,
}

impl Programs {
    /// Those of a version: in the directory that was named; else where distributions put them, where
    /// `pg_config` says, or in `PATH`.
    ///
    /// # Errors
    /// [`PostmasterError::NotInstalled`] and [`PostmasterError::OtherPrograms`].
    pub fn find(
        disk: &dyn Disk,
        version: MajorVersion,
        search: &ProgramSearch,
    ) -> Result<Self, PostmasterError> {
        if let Some(directory) = &search.directory {
            let found = match version_in(directory) {
                Ok(found) if found == Some(version) => {
                    return Ok(Self { directory: directory.clone(), version });
                }
                Ok(Some(found)) => format!("those of {found} are there"),
                Ok(None) => "those of another version are there".to_owned(),
                Err(error) => error.to_string(),
            };
            let directory = directory.clone();
            return Err(PostmasterError::OtherPrograms { directory, wanted: version, found });
        }
        let mut looked_in = Vec::new();
        for directory in candidates(version, search) {
            let is_there = disk.metadata(&directory.join("postgres")).is_ok();
            if is_there && matches!(version_in(&directory), Ok(Some(found)) if found == version) {
                return Ok(Self { directory, version });
            }
            let shown = directory.display().to_string();
            if !looked_in.contains(&shown) {
                looked_in.push(shown);
            }
        }
        Err(PostmasterError::NotInstalled { version, looked_in })
    }

    /// Those in a directory, of whichever version.
    ///
    /// # Errors
    /// When there are none, or of a version that Soter does not know.
    pub fn at(directory: &Path) -> Result<Option<Self>, PostmasterError> {
        let version = version_in(directory)?;
        Ok(version.map(|version| Self { directory: directory.to_owned(), version }))
    }

    /// Their version.
    pub fn version(&self) -> MajorVersion {
        self.version
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// One of the programs.
    pub fn command(&self, program: &str) -> Command {
        Command::new(self.directory.join(program))
    }
}

/// Directories that may hold them, the likeliest first.
fn candidates(version: MajorVersion, search: &ProgramSearch) -> Vec<PathBuf> {
    let usual = DIRECTORIES.iter().map(|(before, behind)| format!("{before}{version}{behind}"));
    let mut directories: Vec<PathBuf> = usual.map(PathBuf::from).collect();
    // Not there on most machines; then the others have to do.
    let configured = Command::new("pg_config").arg("--bindir").stdin(Input::Null).run(TIMEOUT);
    if let Ok(finished) = configured.and_then(soter_world::exec::Finished::checked) {
        let line = String::from_utf8_lossy(&finished.stdout);
        directories.push(PathBuf::from(line.trim()));
    }
    if let Some(path) = &search.path {
        directories.extend(std::env::split_paths(path).filter(|directory| directory.is_absolute()));
    }
    directories
}

/// What `postgres` there says of its version; `None` for one that Soter does not know.
fn version_in(directory: &Path) -> Result<Option<MajorVersion>, PostmasterError> {
    let program = Command::new(directory.join("postgres")).arg("--version");
    let output = program.run(TIMEOUT)?.checked()?.stdout;
    Ok(parse_version(&String::from_utf8_lossy(&output)))
}

/// Reads `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`; `17beta1` is a 17.
fn parse_version(said: &str) -> Option<MajorVersion> {
    let number = |word: &str| {
        let end = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
        word.get(..end)?.parse::<u16>().ok()
    };
    let number = said.split_whitespace().find_map(number)?;
    MajorVersion::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_off_what_the_server_says() {
        let check = |said: &str, expected: Option<MajorVersion>| {
            assert_eq!(parse_version(said), expected, "{said}");
        };
        check("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n", Some(MajorVersion::V15));
        check("postgres (PostgreSQL) 18beta2", Some(MajorVersion::V18));
        check("postgres (PostgreSQL) 9.6.24", None);
        check("postgres (PostgreSQL) 13.1", None);
        check("something else", None);
    }

    #[test]
    fn the_usual_places_come_before_the_path() {
        let path = Some(OsString::from("/opt/postgresql/bin:relative:/usr/bin"));
        let found = candidates(MajorVersion::V16, &ProgramSearch { directory: None, path });
        assert_eq!(found[0], Path::new("/usr/lib/postgresql/16/bin"));
        let at = |path: &str| found.iter().position(|directory| directory == Path::new(path));
        assert!(at("/opt/postgresql/bin") < at("/usr/bin"));
        assert_eq!(at("relative"), None);
    }
}
