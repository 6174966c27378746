//! The laboratory as a person uses it: its own binary, on real servers.

// `cfg(test)` says to clippy that helpers may unwrap, as tests may.
#[cfg(test)]
mod disasters;
#[cfg(test)]
mod frame;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod scenes;
#[cfg(test)]
mod standstill;
#[cfg(test)]
mod support;
