//! `soter run`: what concerns one run, from any terminal of its machine.

mod again;
mod child;
mod code;
mod log;
mod request;
mod resume;
mod show;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

pub(crate) use child::launcher;
pub(super) use show::life;

/// RUN is a run's name, the beginning of it, or `latest`.
#[derive(Debug, Subcommand)]
pub(super) enum RunCommand {
    /// Say how a run stands, and what it needs of people.
    Show(show::ShowArgs),
    /// Print what happened in a run; with --json the records of its journal, as they are.
    Log(log::LogArgs),
    /// Go on with a run whose engine is gone.
    Resume(resume::ResumeArgs),
    /// Say yes to a step.
    Approve(request::ApproveArgs),
    /// Make the code with which you approve a step, to be said on the telephone.
    Code(code::CodeArgs),
    /// Say no to a step.
    Refuse(request::RefuseArgs),
    /// Answer a question, or say that something was done by hand.
    Answer(request::AnswerArgs),
    /// Give a parameter its value.
    Give(request::GiveArgs),
    /// Say what you see where a person is asked to look.
    Look(request::LookArgs),
    /// Leave a step out.
    Skip(request::StepArgs),
    /// Say that a step was done by other means.
    MarkDone(request::StepArgs),
    /// Take the other way that the plan has in place of a step, such as when it has failed.
    Branch(request::StepArgs),
    /// Have a step taken back, by the steps that the plan has for that, or say that it was by hand.
    Undo(request::UndoArgs),
    /// Change a step that has not begun, or has failed.
    Amend(request::AmendArgs),
    /// Try a step that failed again.
    Retry(request::RetryArgs),
    /// Say what became of a step that is in doubt.
    Resolve(request::ResolveArgs),
    /// Say that a temporary measure is over.
    Lift(request::LiftArgs),
    /// Begin nothing new.
    Pause(request::RunArgs),
    /// Go on after a pause.
    Continue(request::RunArgs),
    /// Give a run up: what runs is ended, nothing is begun.
    Abort(request::AbortArgs),
    /// Start the command of a directory and say how it ended; for the engine alone.
    #[command(hide = true)]
    Child(child::ChildArgs),
}

/// Runs the command.
pub(super) fn run(context: &Context, command: &RunCommand) -> Result<(), Failure> {
    match command {
        RunCommand::Show(args) => show::run(context, args),
        RunCommand::Log(args) => log::run(context, args),
        RunCommand::Resume(args) => resume::run(context, args),
        RunCommand::Approve(args) => request::approve(context, args),
        RunCommand::Code(args) => code::run(context, args),
        RunCommand::Refuse(args) => request::refuse(context, args),
        RunCommand::Answer(args) => request::answer(context, args),
        RunCommand::Give(args) => request::give(context, args),
        RunCommand::Look(args) => request::look(context, args),
        RunCommand::Skip(args) => request::skip(context, args),
        RunCommand::MarkDone(args) => request::mark_done(context, args),
        RunCommand::Branch(args) => request::branch(context, args),
        RunCommand::Undo(args) => request::undo(context, args),
        RunCommand::Amend(args) => request::amend(context, args),
        RunCommand::Retry(args) => request::retry(context, args),
        RunCommand::Resolve(args) => request::resolve(context, args),
        RunCommand::Lift(args) => request::lift(context, args),
        RunCommand::Pause(args) => request::pause(context, args),
        RunCommand::Continue(args) => request::go_on(context, args),
        RunCommand::Abort(args) => request::abort(context, args),
        RunCommand::Child(args) => child::run(args),
    }
}
