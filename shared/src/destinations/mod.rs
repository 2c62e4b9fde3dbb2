//! Where notifications go. A destination is one file here and one line in [`KINDS`].

mod console;
pub mod error;
pub mod kind;
mod pushover;
mod request;
pub mod retry;
pub mod settings;
mod text;

use kind::Kind;
pub use text::one_line;

/// Every type of destination that a routes file can name.
pub static KINDS: &[&Kind] = &[
    // One line each, so that adding one is one line.
    &console::KIND,
    &pushover::KIND,
];

pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name).copied()
}
