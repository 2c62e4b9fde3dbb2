//! The whole bundle on real parts: starts them, deploys `template.yaml` into them, and reads what happened.
//!
//! The tests of this package and `cargo xtask aws-local` both stand on it. It knows nothing of the bundle's own crates,
//! so that `xtask` compiles in seconds: what needs an AWS client is a script run by `sam`'s own Python.

pub mod browser;
pub mod deploy;
pub mod dev;
pub mod dynamodb_local;
pub mod http;
pub mod ministack;
pub mod parts;
mod server;
