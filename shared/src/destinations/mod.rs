//! Where notifications go. A destination is one file here and one line in [`KINDS`].

mod console;
mod discord;
pub mod error;
mod eventbridge;
/// The worked example of `docs/adding-a-destination.md`, compiled and tested as if it lay here.
#[cfg(test)]
#[path = "../../../docs/adding-a-destination/gotify.rs"]
mod gotify;
mod incident;
pub mod kind;
mod mattermost;
mod pagerduty;
mod pushover;
mod request;
pub mod retry;
pub mod settings;
mod slack;
mod teams;
#[cfg(test)]
mod testing;
mod text;
mod ticket;
mod tone;
mod webhook;

use crate::routing::Destination;
use kind::Kind;
pub use text::{cut, cut_before_link, is_blank, one_line, visible};

/// Every type of destination that a routes file can name.
pub static KINDS: &[&Kind] = &[
    // One line each, so that adding one is one line.
    &console::KIND,
    &discord::KIND,
    &eventbridge::KIND,
    &ticket::GITHUB,
    &ticket::GITLAB,
    &ticket::JIRA,
    &ticket::LINEAR,
    &mattermost::KIND,
    &pagerduty::KIND,
    &pushover::KIND,
    &slack::KIND,
    &teams::KIND,
    &webhook::KIND,
];

pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name).copied()
}

/// Whether destinations of the type of that name are tickets in a tracker of the file.
pub fn opens_tickets(name: &str) -> bool {
    kind(name).is_some_and(|kind| kind.tracker.is_some())
}

/// Calls to it at once: as the routes file says, else as its kind does.
pub fn concurrency(destination: &Destination) -> usize {
    let of_kind = || kind(&destination.kind).map_or(kind::CONCURRENCY, |kind| kind.concurrency);
    destination.concurrency.unwrap_or_else(of_kind).into()
}

#[cfg(test)]
mod tests {
    use super::{Kind, gotify};
    use crate::routing::Routes;

    static WITH_EXAMPLE: &[&Kind] = &[&gotify::KIND];

    #[test]
    fn the_guide_shows_the_example_as_it_is_compiled_and_the_list_as_it_is() {
        let guide = include_str!("../../../docs/adding-a-destination.md");
        let example = include_str!("../../../docs/adding-a-destination/gotify.rs");
        let blocks = |kind: &str| -> Vec<String> {
            let fence = format!("\n```{kind}\n");
            let blocks = guide.split(&fence).skip(1);
            blocks.map(|block| block.split_once("```").expect("a block ends").0.to_owned()).collect()
        };
        assert_eq!(blocks("rust"), [example]);
        let own: Vec<&str> = include_str!("mod.rs").lines().collect();
        let around: Vec<String> =
            blocks("diff").concat().lines().filter_map(|line| Some(line.strip_prefix(' ')?.to_owned())).collect();
        assert_eq!(around.len(), 4, "two lines around each");
        assert!(around.iter().all(|line| own.contains(&line.as_str())), "{around:?}");
        let routes = Routes::compile_with(&blocks("toml").concat(), WITH_EXAMPLE);
        assert_eq!(routes.err(), None, "the guide's routes file is right");
    }
}
