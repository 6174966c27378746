//! Durable execution of scenarios: what a run is, survives its own engine, and can be proved.
//!
//! A [`Procedure`](procedure::Procedure) says what is done; the [`journal`] is what has happened, and
//! [`state`] is a pure fold of it; the [`driver`] is the only place that does anything, and it does it
//! through [`Effects`](driver::Effects). What a step restores is not known here.

mod ids;

pub mod procedure;

pub mod journal;

pub mod state;

pub mod approval;

pub mod forecast;

pub mod driver;

pub mod child;

pub mod target;

pub mod steps;

pub mod preflight;

#[cfg(test)]
mod testing;

pub use ids::{NameError, RunId, StepId};
