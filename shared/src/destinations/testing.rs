//! What the tests of destinations share: settings out of a routes file, and notifications of the recorded samples.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use tower::ServiceExt as _;

use super::error::DeliveryError;
use super::kind::{Action, Call, Kind, Learned, Notification, Thread};
use super::settings::Settings;
use crate::ids::{DeliveryId, EventId};
use crate::message::Message;
use crate::normalized::Normalized;
use crate::payload::tests::{sample, sample_names};
use crate::routing::Routes;
use crate::secrets::DestinationSecrets;

/// The settings of a destination `d` of this type; `lines` are its other keys.
pub(super) fn settings<'a>(kind: &str, lines: &str, secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Settings {
    settings_of(super::kind(kind).expect("a type of destination"), lines, secrets)
}

/// [`settings`] of a type that need not stand in [`super::KINDS`].
pub(super) fn settings_of<'a>(
    kind: &'static Kind,
    lines: &str,
    secrets: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Settings {
    let file = format!("[[destination]]\nname = \"d\"\ntype = \"{}\"\n{lines}\n", kind.name);
    let routes = Routes::compile_with(&file, Box::leak(Box::new([kind])));
    let routes = routes.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let destination = routes.destinations().next().expect("one destination");
    Settings::resolve(destination, &DestinationSecrets::from_iter(secrets)).expect("all secrets are there")
}

/// Every recorded webhook as `deliver` sees it, the organization filled in.
pub(super) fn samples() -> Vec<Normalized> {
    let events = sample_names().into_iter().map(|name| Normalized::of(&sample(&name)));
    events
        .map(|event| Normalized {
            organization: Some(event.organization.clone().unwrap_or("acme".to_owned())),
            ..event
        })
        .collect()
}

/// 2023-11-14T22:13:20Z.
pub(super) fn accepted_at() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("an instant")
}

/// What `kind` would do for `message` about `event`, accepted at [`accepted_at`] and tried a minute later.
pub(super) fn rendered(
    kind: &Kind,
    settings: &Settings,
    event: &Normalized,
    message: &Message,
    original: Option<&[u8]>,
) -> Result<Action, DeliveryError> {
    rendered_in(None, kind, settings, event, message, original)
}

/// [`rendered`] where this was learned before.
pub(super) fn rendered_in(
    thread: Option<&Thread>,
    kind: &Kind,
    settings: &Settings,
    event: &Normalized,
    message: &Message,
    original: Option<&[u8]>,
) -> Result<Action, DeliveryError> {
    let delivery =
        DeliveryId::of(&EventId::of_signature("00"), accepted_at(), &"d".parse().expect("a destination's name"));
    let notification = Notification {
        delivery: &delivery,
        event,
        message,
        rule: None,
        thread,
        original,
        accepted_at: accepted_at(),
        now: accepted_at() + std::time::Duration::from_mins(1),
    };
    (kind.render)(settings, &notification)
}

/// What a far side answers.
pub(super) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> http::Response<Bytes> {
    let answer = http::Response::builder().status(status);
    let answer = headers.iter().fold(answer, |answer, (name, value)| answer.header(*name, *value));
    answer.body(Bytes::from(body.to_owned())).expect("an answer")
}

/// The calls that `kind` would make for `event` with its default message.
pub(super) fn calls(kind: &Kind, settings: &Settings, event: &Normalized) -> Vec<Call> {
    let message = Message::of(event, "https://sentry.example");
    calls_of(rendered(kind, settings, event, &message, None).expect("it renders"))
}

pub(super) fn calls_of(action: Action) -> Vec<Call> {
    let Action::Calls(calls) = action else { panic!("it calls") };
    calls
}

/// Makes the calls against a stand-in, in order; the first that fails ends it. What was learned last is returned. Nobody
/// listens on a socket.
pub(super) async fn carried_out(calls: Vec<Call>, stand_in: axum::Router) -> Result<Learned, DeliveryError> {
    let mut learned = None;
    for call in calls {
        let (parts, body) = call.request.into_parts();
        let request = http::Request::from_parts(parts, axum::body::Body::from(body));
        let answer = stand_in.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = answer.into_parts();
        let body: Bytes = body.collect().await.expect("an answer's body").to_bytes();
        let told = (call.judge)(&http::Response::from_parts(parts, body), accepted_at())?;
        learned = told.or(learned);
    }
    Ok(learned)
}
