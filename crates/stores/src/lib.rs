//! Stores that are no PostgreSQL cluster: how their data is taken, and what it is checked by.
//!
//! A store is asked through its own documented interface, never through its files while it runs.

pub mod etcd;
pub mod testing;
