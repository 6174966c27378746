//! The write-ahead log: names of its files, and what its bytes say.
//!
//! Nothing here reads or writes: bytes come in, values go out.

pub mod name;
