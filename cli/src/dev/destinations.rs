//! The page's part about destinations: how each does, what arrived there, and the switch that breaks it.

use std::fmt::Write;

use shared::ports::{Circuit, DestinationHealth};

use super::arrived::Arrived;
use super::html::{Text, choice, joined};
use super::page::{is_web, time};
use super::stand_ins::Condition;

/// A destination, as the page shows it.
pub(super) struct Shown {
    pub(super) name: String,
    /// Its `type`.
    pub(super) kind: String,
    /// `None` for a tracker: it is never paused.
    pub(super) health: Option<DestinationHealth>,
    pub(super) far_side: Side,
}

/// What can be shown of the far side.
pub(super) enum Side {
    /// Calls go to the real one: what arrives there is seen there.
    Real,
    /// The log of this process.
    Log,
    /// A tracker of the file.
    Tickets,
    StandIn {
        condition: Condition,
        arrived: Vec<Arrived>,
    },
}

pub(super) const STYLE: &str = "
.place{border:1px solid var(--line);border-radius:.6rem;padding:.5rem .9rem .7rem;margin:.7rem 0}
.place header{display:flex;flex-wrap:wrap;gap:.3rem .8rem;align-items:baseline}.place header form{margin-left:auto}
.place header form+form{margin-left:0}
.card{border-left:4px solid var(--line);padding:.1rem .8rem;margin:.55rem 0;overflow-wrap:anywhere}
.card .text{white-space:pre-line;max-height:12rem;overflow:auto}.card ol{margin:.2rem 0;padding-left:1.4rem}
.card li{white-space:pre-line}.mark{border:1px solid var(--line);border-radius:.6rem;padding:0 .5rem;font-size:.85em;white-space:nowrap}
";

pub(super) fn render(destinations: &[Shown]) -> String {
    let mut html = "<h2>Destinations</h2>\n".to_owned();
    if destinations.is_empty() {
        html.push_str("<p class=quiet>The routes file has none.</p>\n");
    }
    for shown in destinations {
        html.push_str(&place(shown));
    }
    html
}

/// What tickets each tracker holds; nothing where the file has none.
pub(super) fn render_trackers(trackers: &[Shown]) -> String {
    if trackers.is_empty() {
        return String::new();
    }
    "<h2>Trackers</h2>\n".to_owned() + &joined(trackers.iter().map(place))
}

fn place(shown: &Shown) -> String {
    let mut html = format!(
        "<section class=place>\n<header><b>{}</b> <span class=quiet>{}</span> {}",
        Text(&shown.name),
        Text(&shown.kind),
        shown.health.as_ref().map_or_else(String::new, health),
    );
    if let Side::StandIn { condition, .. } = &shown.far_side {
        html.push_str(&switch(&shown.name, *condition));
    }
    html.push_str("</header>\n");
    match &shown.far_side {
        Side::Real => html.push_str("<p class=quiet>The real one: what arrives is seen there.</p>\n"),
        Side::Log => {
            html.push_str("<p class=quiet>It writes a line into the log, where this command was started.</p>\n");
        }
        Side::Tickets => html.push_str("<p class=quiet>Its tickets are in the tracker that it names.</p>\n"),
        Side::StandIn { arrived, .. } if arrived.is_empty() => {
            html.push_str("<p class=quiet>Nothing has arrived yet.</p>\n");
        }
        Side::StandIn { arrived, .. } => html.extend(arrived.iter().map(card)),
    }
    html + "</section>\n"
}

fn health(health: &DestinationHealth) -> String {
    if health.state == Circuit::Open && health.failures == 0 {
        return "<span class=good>open</span>".to_owned();
    }
    let class = if health.state == Circuit::Paused { "bad" } else { "wait" };
    let mut said = health.state.as_str().to_owned();
    if health.state == Circuit::Open {
        let _ = write!(said, ", {} failed in a row", health.failures);
    }
    if let Some(since) = health.since {
        let _ = write!(said, " since {}", time(since));
    }
    if let Some(at) = health.probe_at.filter(|_| health.state == Circuit::Paused) {
        let _ = write!(said, ", next probe {}", time(at));
    }
    if health.state != Circuit::Open {
        let _ = write!(said, ", parked: {}", health.parked);
    }
    if let Some(reason) = health.reason.as_deref().filter(|_| health.state != Circuit::Open) {
        let _ = write!(said, " ({reason})");
    }
    format!("<span class={class}>{}</span>", Text(said))
}

fn switch(name: &str, condition: Condition) -> String {
    let press = |to: &str, label: &str| choice("/condition", label, &[("destination", name), ("to", to)]);
    match condition {
        Condition::Well => press("failing", "Break it") + &press("hanging", "Let it hang"),
        Condition::Failing => format!("<span class=bad>answers 500</span>{}", press("well", "Mend it")),
        Condition::Hanging => format!("<span class=bad>hangs</span>{}", press("well", "Mend it")),
    }
}

fn card(arrived: &Arrived) -> String {
    let colour = arrived.colour.as_deref().filter(|colour| is_colour(colour));
    let style = colour.map_or_else(String::new, |colour| format!(" style=\"border-left-color:{colour}\""));
    let at = arrived.at.map_or_else(String::new, |at| format!("<span class=quiet>{}</span> ", time(at)));
    let marks = joined(arrived.marks.iter().map(|mark| format!(" <span class=mark>{}</span>", Text(mark))));
    let mut html = format!("<div class=card{style}>{at}<b>{}</b>{marks}", Text(&arrived.title));
    if !arrived.text.is_empty() {
        let _ = write!(html, "<div class=text>{}</div>", Text(&arrived.text));
    }
    if !arrived.replies.is_empty() {
        let replies = joined(arrived.replies.iter().map(|reply| format!("<li>{}", Text(reply))));
        let _ = write!(html, "<ol class=quiet>{replies}</ol>");
    }
    if let Some((url, label)) = arrived.link.as_ref().filter(|(url, _)| is_web(url)) {
        let _ = write!(html, "<div><a href=\"{}\" rel=noreferrer>{}</a></div>", Text(url), Text(label));
    }
    html + "</div>\n"
}

/// `#rrggbb`; anything else could be more than a colour.
fn is_colour(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_paused_destination_says_since_when_why_and_what_waits() {
        let paused = DestinationHealth {
            state: Circuit::Paused,
            failures: 5,
            since: Some(Timestamp::UNIX_EPOCH),
            probe_at: Some(Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(30)),
            reason: Some("it answered <500>".to_owned()),
            parked: 3,
            ..DestinationHealth::new("phone".parse().expect("a name"))
        };
        let said = "paused since 00:00:00, next probe 00:00:30, parked: 3 (it answered &lt;500&gt;)";
        assert_eq!(health(&paused), format!("<span class=bad>{said}</span>"));
        let new = DestinationHealth::new("phone".parse().expect("a name"));
        assert_eq!(health(&new), "<span class=good>open</span>");
    }

    #[test]
    fn a_colour_is_nothing_but_a_colour() {
        for (text, expected) in [("#0a1B2c", true), ("#fff", false), ("red", false), ("#000000;x", false)] {
            assert_eq!(is_colour(text), expected, "{text}");
        }
        let card = card(&Arrived { colour: Some("red\" onload=\"x".to_owned()), ..Arrived::default() });
        assert!(card.starts_with("<div class=card><b>"), "{card}");
    }
}
