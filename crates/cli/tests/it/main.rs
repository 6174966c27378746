//! Tests of the whole: what no crate can see from inside.

// `cfg(test)` says to clippy that helpers may unwrap, as tests may.
#[cfg(test)]
mod actions;
#[cfg(test)]
mod adopt;
#[cfg(test)]
mod agent;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod check;
#[cfg(test)]
mod child;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod doc;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod etcd;
#[cfg(test)]
mod fetch;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod import;
#[cfg(test)]
mod kosmos;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod licences;
#[cfg(test)]
mod main_job;
#[cfg(test)]
mod once;
#[cfg(test)]
mod output;
#[cfg(test)]
mod push;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod start;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod vault;
