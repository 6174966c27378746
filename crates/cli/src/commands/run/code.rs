//! `soter run code`: the code that an approver says on the telephone.

use std::path::{Path, PathBuf};

use serde::Serialize;
use soter_runbook::StepId;
use soter_runbook::approval::{Signed, Subject};
use soter_runbook::procedure::Action;
use soter_runbook::state::State;
use soter_vault::keys::AnyKey;
use soter_world::Secret;

use crate::context::{Access, Context, file_failure};
use crate::failure::{Ending, Failure};
use crate::runs::copy::Copies;
use crate::runs::{PersonArgs, StateArgs, stage, values};

/// Make the code with which you approve a step of a run as it is now, or sign it, where you can send more
/// than you can say. It is good for this step, these values of the parameters and this engine, and for a
/// quarter of an hour at least.
#[derive(Debug, clap::Args)]
pub(crate) struct CodeArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// The step.
    step: String,
    /// The file with your secret; else where the plan says that it is.
    #[arg(long, value_name = "FILE")]
    secret: Option<PathBuf>,
    /// Your key file, of which the plan has the public key (`signs_with`): make a signature.
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    key: Option<PathBuf>,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    access: Access,
}

#[derive(Serialize)]
struct Made {
    run: String,
    step: String,
    person: String,
    kind: String,
    target: String,
    text: String,
    parameters: Vec<(String, String)>,
    /// Steps that are not as the plan has them, because somebody amended them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    amended: Vec<String>,
    code: String,
}

pub(super) fn run(context: &Context, args: &CodeArgs) -> Result<(), Failure> {
    let state = state(context, args)?;
    let person = args.person.name()?;
    let step = StepId::parse(&args.step).map_err(|error| Failure::of(Ending::Input, &error))?;
    let known = state.step(&step).map(|one| &one.step.action);
    let Some(Action::Approve { text, by, .. }) = known else {
        return Err(Failure::new(Ending::Input, format!("`{step}` asks for no approval"))
            .hint("`soter run show` says what is needed"));
    };
    if !by.iter().any(|name| state.begun.procedure.is_one_of(&person, name)) {
        let what = format!("{person} may not approve `{step}`; {} may", by.join(", "));
        return Err(Failure::new(Ending::Input, what).hint("name yourself: --as PERSON"));
    }
    if let Some(name) = state.unknown_in(text).next() {
        let what = format!("what `{step}` asks names `{name}`, which has no value yet");
        return Err(Failure::new(Ending::Input, what)
            .hint("wait until it has one, and make the code then: nobody agrees to a gap"));
    }
    let code = match &args.key {
        Some(key) => signed(context, key, &Subject::of(&state, &step))?.to_string(),
        None => {
            let secret = secret(context, args, &state, &person)?;
            let code = Subject::of(&state, &step).code_at(&secret, context.clock.now());
            let (front, back) = code.split_at(code.len() / 2);
            format!("{front}-{back}")
        }
    };
    let value = |name: &String| (name.clone(), state.shown(&format!("${{{name}}}")));
    let values = state.parameters.keys().map(value);
    let amended = state.steps().filter(|one| one.amendments > 0);
    let amended = amended.map(|one| format!("{}: {}", one.step.id, one.step.title));
    let made = Made {
        run: state.run().to_string(),
        step: step.to_string(),
        person,
        kind: state.begun.kind.to_string(),
        target: state.begun.target.clone(),
        text: state.shown(text),
        parameters: values.collect(),
        amended: amended.collect(),
        code,
    };
    context.output.data(&made, Made::in_words);
    Ok(())
}

/// Signs with a key of any kind that signs.
pub(super) fn signed(context: &Context, key: &Path, subject: &Subject) -> Result<Signed, Failure> {
    let key = AnyKey::load(&*context.disk, key).map_err(|error| file_failure(&error))?;
    let expires = Subject::expiry(context.clock.now());
    let signature = key.signer().sign(&subject.statement(expires));
    Ok(Signed::new(expires, &signature))
}

/// The run as it is here, or in the vault.
fn state(context: &Context, args: &CodeArgs) -> Result<State, Failure> {
    match Copies::of(context, &args.access)? {
        Some(copies) => Ok(copies.run(context, &args.run)?.load(context)?.state),
        None => Ok(args.state.run(context, &args.run)?.load(context)?.state),
    }
}

fn secret(
    context: &Context,
    args: &CodeArgs,
    state: &State,
    person: &str,
) -> Result<Secret<Vec<u8>>, Failure> {
    let reference = match &args.secret {
        Some(file) => format!("${{file:{}}}", stage::absolute(file)?.display()),
        None => state.begun.procedure.approvals.get(person).cloned().ok_or_else(|| {
            let what = format!("the plan does not say where {person}'s secret is");
            Failure::new(Ending::Input, what)
                .hint("give it an `approves_with`, or name it: --secret FILE")
        })?,
    };
    let secret = values::resolve(&*context.disk, &reference).map_err(|why| {
        Failure::new(Ending::Input, format!("{person}'s secret cannot be read: {why}"))
            .hint("name it: --secret FILE")
    })?;
    Ok(Secret::new(secret.expose().as_bytes().to_vec()))
}

impl Made {
    fn in_words(&self) -> String {
        let mut lines = vec![
            format!("{} on {}: {}", self.kind, self.target, self.run),
            format!("{} would say yes to {}: {}", self.person, self.step, self.text.trim()),
        ];
        lines.extend(self.parameters.iter().map(|(name, value)| format!("  {name} = {value}")));
        let amended = self.amended.iter();
        lines.extend(amended.map(|step| format!("  AMENDED, not as the plan has it: {step}")));
        if !self.amended.is_empty() {
            lines.push(format!("  look at what they do now: soter run show {} STEP", self.run));
        }
        lines.push(String::new());
        lines.push(self.code.clone());
        lines.join("\n")
    }
}
