//! What a destination would be called with: to look at, and not to send.

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;
use shared::alert_rule::Going;
use shared::destinations;
use shared::destinations::kind::{Action, Call, Notification, TicketWork};
use shared::destinations::settings::Settings;
use shared::ids::{DeliveryId, EventId};
use shared::message::Message;
use shared::routing::{Destination, Routes};
use shared::secrets::DestinationSecrets;
use shared::templates::Form;

use super::event::Event;

/// For links that the payload does not give; which Sentry it is, only the installed app knows.
const SENTRY: &str = "https://sentry.io";

/// The calls for a planned delivery, with `‹secret:NAME›` where a secret stands.
pub(super) fn rendered(routes: &Routes, going: &Going, event: &Event) -> anyhow::Result<String> {
    let (planned, rule) = (&going.planned, going.rule.as_ref());
    let destination = routes.destination(&planned.destination).context("the routes have no such destination")?;
    let kind = destinations::kind(&destination.kind).context("nobody knows its type")?;
    let stand_ins = StandIns::of(destination);
    let secrets: DestinationSecrets = stand_ins.values().collect();
    let Ok(settings) = Settings::resolve(destination, &secrets) else { bail!("a secret has no stand-in") };
    let now = Timestamp::now();
    let Ok(id) = shared::ids::hash([planned.route.as_str()]).parse::<EventId>() else { bail!("no id") };
    let default = Message::of(&event.normalized, SENTRY);
    let (message, warning) = Form::of(routes, &planned.route, destination).message(&event.normalized, default, rule);
    let notification = Notification {
        delivery: &DeliveryId::of(&id, now, &planned.destination),
        event: &event.normalized,
        message: &message,
        rule,
        thread: None,
        original: (kind.forwards)(destination).then_some(&event.body),
        accepted_at: now,
        now,
    };
    let text = shown(&(kind.render)(&settings, &notification)?);
    let warning = warning.map(|warning| format!("    warning: {warning}\n")).unwrap_or_default();
    Ok(stand_ins.named(&(text + &warning)))
}

fn shown(action: &Action) -> String {
    let lines = match action {
        Action::Log(said) => vec![format!("log: {said}")],
        Action::Ticket(work) => ticket(work),
        Action::Put(event) => {
            let mut lines = vec![format!("put onto {} from {}: {}", event.bus, event.source, event.detail_type)];
            lines.extend(pretty(event.detail.as_bytes()));
            lines
        }
        Action::Calls(calls) => {
            let of_call = |call: &Call| {
                let mut lines = vec![format!("{} {}", call.request.method(), call.request.uri())];
                lines.extend(pretty(call.request.body()));
                lines
            };
            calls.iter().flat_map(of_call).collect()
        }
    };
    lines.iter().map(|line| format!("    {line}\n")).collect::<Vec<_>>().concat()
}

/// Whether the issue has a ticket already, only the installed app knows: then nothing is opened.
fn ticket(work: &TicketWork) -> Vec<String> {
    let (done, text) = match work {
        TicketWork::Open { project, title, text, link } => {
            let place = project.as_ref().map_or_else(String::new, |project| format!(" in {project}"));
            let text = link.iter().fold(text.clone(), |text, link| format!("{text}\n\n{link}"));
            (format!("open a ticket{place}: {title}"), text)
        }
        TicketWork::Known => ("nothing: there is a ticket".to_owned(), String::new()),
        TicketWork::Comment(text) => ("say in the ticket:".to_owned(), text.clone()),
        TicketWork::Close(text) => ("close the ticket, and say:".to_owned(), text.clone()),
        TicketWork::Reopen(text) => ("open the ticket again, and say:".to_owned(), text.clone()),
    };
    std::iter::once(done).chain(text.lines().map(str::to_owned)).collect()
}

/// JSON as a person reads it, a form line by line, else the text itself.
fn pretty(body: &[u8]) -> Vec<String> {
    if let Ok(json) = serde_json::from_slice::<Value>(body) {
        return format!("{json:#}").lines().map(str::to_owned).collect();
    }
    let text = String::from_utf8_lossy(body);
    match serde_urlencoded::from_bytes::<Vec<(String, String)>>(body) {
        Ok(pairs) if text.contains('=') && !text.contains(['\n', ' ']) => {
            pairs.into_iter().map(|(key, value)| format!("{key} = {value}")).collect()
        }
        _ => text.lines().map(str::to_owned).collect(),
    }
}

/// Made-up secrets: each of the form that its key needs, none of which could be sent anywhere.
struct StandIns(Vec<(String, String)>);

impl StandIns {
    fn of(destination: &Destination) -> Self {
        let secrets = destination.values.iter().filter_map(|(key, value)| Some((key, value.secret_name()?)));
        let stand_in = |(number, (key, name)): (usize, (&String, &str))| {
            let value = match key.as_str() {
                "url" => format!("https://secret-{number}-.invalid"),
                // A key of Standard Webhooks is bytes in base64.
                "secret" => format!("whsec_{}", STANDARD.encode(format!("a key that nobody has, number {number}"))),
                _ => format!("secret-{number}-"),
            };
            (name.to_owned(), value)
        };
        Self(secrets.enumerate().map(stand_in).collect())
    }

    fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn named(&self, text: &str) -> String {
        self.values().fold(text.to_owned(), |text, (name, value)| text.replace(value, &format!("‹secret:{name}›")))
    }
}
