//! The Git remote: a bare repository outside, with what the cluster runs as its first commit.

use soter_world::exec::Command;

use super::kubernetes_objects;
use crate::failure::Failure;
use crate::lab::Lab;

/// The repository's name, as in the plan of KOSMOS.
const REPOSITORY: &str = "outside/git/kosmos-config.git";

/// Makes the repository and its first commit.
pub(super) fn make(lab: &Lab) -> Result<(), Failure> {
    lab.directory("outside/git")?;
    let bare = lab.root().join(REPOSITORY);
    let checkout = lab.directory("outside/git/checkout")?;
    let run = |what: &str, arguments: &[&str]| {
        // Whatever Git is told to do on this machine, or for this person, is not meant.
        let command = Command::new(lab.program("git")?)
            .args(["-c", "user.name=KOSMOS", "-c", "user.email=sre@kosmos.example"])
            .args(["-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"])
            .args(arguments)
            .current_dir(&checkout)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null");
        lab.run(what, command).map(drop)
    };
    let remote = bare.display().to_string();
    run("make a Git repository", &["init", "--quiet", "--bare", &remote])?;
    run("make a Git repository", &["init", "--quiet"])?;
    lab.directory("outside/git/checkout/cluster")?;
    lab.file("outside/git/checkout/README.md", "# What the cluster of KOSMOS runs\n")?;
    lab.file("outside/git/checkout/cluster/services.json", &kubernetes_objects(lab)?)?;
    run("commit", &["add", "--all"])?;
    run("commit", &["commit", "--quiet", "--message", "services: what the cluster runs"])?;
    run("push", &["push", "--quiet", &remote, "main"])?;
    lab.describe(|description| {
        description.addresses.insert("git".to_owned(), format!("file://{remote}"));
    })
}

/// Whether its objects are whole.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let bare = lab.root().join(REPOSITORY);
    let git = lab.program("git").map_err(|failure| failure.to_string())?;
    let count = Command::new(git)
        .arg("--git-dir")
        .arg(bare)
        .args(["rev-list", "--count", "main"])
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    let counted = count.run(super::ANSWER_TIMEOUT).map_err(|error| error.to_string())?;
    let counted = counted.checked().map_err(|error| error.to_string())?;
    Ok(format!("{} commits", String::from_utf8_lossy(&counted.stdout).trim()))
}
