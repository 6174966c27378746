//! The Markdown front end: a disaster recovery document as people write them, read into a plan.
//!
//! The rule it keeps: what is understood is right, and points at the bytes that say so; what is not
//! understood is listed, never guessed. A wrong reading would make the rules claim what is false.

mod decode;
mod measure;
mod text;
mod tree;
mod vocabulary;

pub(crate) use decode::decode;
