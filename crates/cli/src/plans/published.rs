//! Plans that are taken from a vault, and files that are put there.

use std::path::Path;

use soter_plan::check::Input;
use soter_plan::doc::Digest;
use soter_vault::document::DocumentError;
use soter_vault::keys::{ErrorKind, KeyFile, OperatorKey, PublicKey, TrustList};
use soter_vault::plans::{PlanFile, Plans, Published};
use soter_world::Disk;

use super::{PlanFiles, STDIN, read};
use crate::context::{Access, Context, file_failure, key_failure};
use crate::failure::{Ending, Failure};

/// A published plan, with who signed it.
pub(crate) struct Fetched {
    /// The vault it comes from.
    pub(crate) url: String,
    /// The plan.
    pub(crate) plan: Published,
    /// The signer's name in the trust list.
    pub(crate) signer: String,
}

impl Fetched {
    /// Its files, as a plan's.
    pub(crate) fn inputs(&self) -> Vec<Input> {
        let files = self.plan.files.iter();
        files.map(|file| Input { name: file.name.clone(), bytes: file.bytes.clone() }).collect()
    }

    /// The digest that documents made of this plan name, too.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.inputs())
    }
}

/// The plan that counts in a vault.
pub(crate) fn fetch(context: &Context, access: &Access) -> Result<Fetched, Failure> {
    let (Some(url), Some(identity)) = (&access.vault, &access.identity) else {
        return Err(Failure::new(Ending::Input, "a published plan is in a vault, and sealed")
            .hint("name both: --vault URL --identity operator.key"));
    };
    let key = OperatorKey::load(&*context.disk, identity).map_err(|error| file_failure(&error))?;
    let open = context.open_vault(url, &key.pins)?;
    let vault = context.vault(&open, key.pins);
    let plans = Plans::load(&vault, open.trust()).map_err(|error| document_failure(&error))?;
    for finding in &plans.findings {
        context.output.warn(&finding.to_string());
    }
    let plan = plans.open_newest(&key.identity, 0).map_err(|error| {
        document_failure(&error).during(&format!("take the plan from the vault {url}"))
    })?;
    let signer = signer_name(open.trust().newest(), &plan.signer);
    Ok(Fetched { url: url.clone(), plan, signer })
}

/// The plans at these paths; where there is none of them, the one in the vault.
pub(crate) fn find(
    context: &Context,
    paths: &[std::path::PathBuf],
    access: &Access,
) -> Result<Vec<PlanFiles>, Failure> {
    let is_there =
        |path: &std::path::PathBuf| path == Path::new(STDIN) || context.disk.metadata(path).is_ok();
    if access.vault.is_none() || paths.iter().any(is_there) {
        return super::find(&*context.disk, paths);
    }
    let fetched = fetch(context, access)?;
    let Published { number, claimed, .. } = fetched.plan;
    context.output.say(&format!(
        "plan {number} of the vault {}, signed {claimed} by {}",
        fetched.url, fetched.signer
    ));
    let files = fetched.plan.files.into_iter().map(|file| (file.name, file.bytes));
    Ok(vec![PlanFiles { paths: Vec::new(), published: files.collect() }])
}

impl PlanFiles {
    /// Its files as they are published: named from the plan's directory on.
    pub(crate) fn to_publish(
        &self,
        disk: &dyn Disk,
        root: &Path,
    ) -> Result<Vec<PlanFile>, Failure> {
        let published = |path: &std::path::PathBuf| {
            let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
            let name = below.map(Path::to_owned).or_else(|| path.file_name().map(Into::into));
            let name = name.and_then(|name| name.to_str().map(str::to_owned));
            let name = name.ok_or_else(|| {
                let what = format!("{} has no name that every system takes", path.display());
                Failure::new(Ending::Input, what).hint("rename it")
            })?;
            Ok(PlanFile { name, bytes: read(disk, path)?.bytes })
        };
        self.paths.iter().map(published).collect()
    }
}

/// Whose key this is, as a trust list calls them.
pub(crate) fn signer_name(list: &TrustList, key: &PublicKey) -> String {
    let operators = list.operators.iter().map(|row| (row.signer, &row.name));
    let signers = list.signers.iter().map(|row| (Some(row.key), &row.name));
    let named = operators.chain(signers).find(|(found, _)| *found == Some(*key));
    match named {
        Some((_, name)) => name.clone(),
        None if list.root == *key => "the root".to_owned(),
        None => key.to_string(),
    }
}

/// A plan or a run that cannot be read or written, in words.
pub(crate) fn document_failure(error: &DocumentError) -> Failure {
    if let DocumentError::Key(error) = error {
        return key_failure(error);
    }
    let (ending, hint) = match error.kind() {
        ErrorKind::Input => match error {
            DocumentError::NotEnrolled { .. } => (
                Ending::Input,
                "give an operator's key that signs, or let this one: soter vault trust add-signer \
                 NAME --role operator --signer KEY --root root.key",
            ),
            _ => (Ending::Input, "look at the files of the plan"),
        },
        ErrorKind::NotFound => (Ending::No, "soter plan publish puts one there"),
        ErrorKind::Retry => (Ending::Failed, "the vault answers badly: try again"),
        ErrorKind::Superseded => {
            (Ending::Failed, "look at theirs with soter plan show, then publish again")
        }
        ErrorKind::Damaged => (Ending::Failed, "ask another vault of the plan"),
        ErrorKind::Failed => {
            (Ending::Failed, "take the write credential away from whoever does this")
        }
    };
    Failure::of(ending, error).hint(hint)
}
