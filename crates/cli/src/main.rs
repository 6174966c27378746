//! The `soter` binary.

fn main() {}
