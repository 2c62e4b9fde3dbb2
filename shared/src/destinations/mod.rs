//! Where notifications go. A destination is one file here and one line in [`KINDS`].

mod console;
mod discord;
pub mod error;
mod incident;
pub mod kind;
mod pagerduty;
mod pushover;
mod request;
pub mod retry;
pub mod settings;
mod teams;
#[cfg(test)]
mod testing;
mod text;
mod webhook;

use kind::Kind;
pub use text::one_line;

/// Every type of destination that a routes file can name.
pub static KINDS: &[&Kind] = &[
    // One line each, so that adding one is one line.
    &console::KIND,
    &discord::KIND,
    &pagerduty::KIND,
    &pushover::KIND,
    &teams::KIND,
    &webhook::KIND,
];

pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name).copied()
}
