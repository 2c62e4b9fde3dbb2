//! A stand-in for a Teams workflow that posts cards: one flow. It refuses what the flow's trigger refuses; a card that
//! is malformed or too large is accepted and then lost, as the real one does, and said by [`Teams::lost`].
//!
//! <https://learn.microsoft.com/connectors/teams/#when-a-teams-webhook-request-is-received>; cards as in
//! <https://adaptivecards.io/explorer/>, mentions as in
//! <https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format>.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::{Clock, Sleep};
use crate::faults::{Fault, Wait};
use crate::server::{Answer, Call};
use crate::signing::random_hex;
use crate::simulator::locked;
use crate::stand_in::{StandIn, in_own_task};

/// "about 28 KB".
const MESSAGE_LIMIT_BYTES: usize = 28 * 1024;
/// Elements of a card's body that Teams shows.
const ELEMENTS: [&str; 8] =
    ["TextBlock", "RichTextBlock", "FactSet", "Container", "ColumnSet", "Image", "ImageSet", "ActionSet"];

/// Teams with one workflow. Clones are handles to the same one.
#[derive(Clone)]
pub struct Teams(Arc<Inner>);

struct Inner {
    stand_in: StandIn,
    workflow: String,
    signature: String,
    state: Mutex<Flow>,
}

#[derive(Default)]
struct Flow {
    messages: Vec<TeamsMessage>,
    lost: Vec<&'static str>,
    is_off: bool,
    is_gone: bool,
    answers: Vec<u16>,
}

/// A card as it stands in the channel.
#[derive(Clone, Debug, PartialEq)]
pub struct TeamsMessage {
    pub received_at: Timestamp,
    pub card: Value,
    /// Ids of those whom it woke: each has an entity, and that entity's text stands in the card.
    pub woke: Vec<String>,
}

impl Default for Teams {
    fn default() -> Self {
        Self::of(StandIn::in_real_time())
    }
}

impl Teams {
    pub fn new(clock: Clock, sleep: Sleep) -> Self {
        Self::of(StandIn::new(clock, sleep))
    }

    fn of(stand_in: StandIn) -> Self {
        let (workflow, signature) = (random_hex::<16>(), random_hex::<20>());
        Self(Arc::new(Inner { stand_in, workflow, signature, state: Mutex::default() }))
    }

    /// Another, empty channel, in real time, whose flow has the same address.
    #[must_use]
    pub fn another(&self) -> Self {
        let (workflow, signature) = (self.0.workflow.clone(), self.0.signature.clone());
        Self(Arc::new(Inner { stand_in: StandIn::in_real_time(), workflow, signature, state: Mutex::default() }))
    }

    /// The flow's trigger: `POST /workflows/{id}/triggers/manual/paths/invoke?…&sig=…`.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// The trigger's address, as the flow shows it. It is a secret.
    pub fn webhook_url(&self) -> String {
        format!(
            "https://prod-42.westeurope.logic.azure.com:443{}?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={}",
            self.path(),
            self.0.signature
        )
    }

    fn path(&self) -> String {
        format!("/workflows/{}/triggers/manual/paths/invoke", self.0.workflow)
    }

    /// What stands in the channel, oldest first.
    pub fn messages(&self) -> Vec<TeamsMessage> {
        locked(&self.0.state).messages.clone()
    }

    /// Why messages that were accepted never came to the channel.
    pub fn lost(&self) -> Vec<&'static str> {
        locked(&self.0.state).lost.clone()
    }

    /// The status of every answer so far.
    pub fn answers(&self) -> Vec<u16> {
        locked(&self.0.state).answers.clone()
    }

    /// The next `times` calls fail like this.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.0.stand_in.fail_next(times, fault);
    }

    /// Somebody turns the flow off (or on again).
    pub fn set_off(&self, off: bool) {
        locked(&self.0.state).is_off = off;
    }

    /// The flow is deleted, or goes with the account it belonged to.
    pub fn set_gone(&self, gone: bool) {
        locked(&self.0.state).is_gone = gone;
    }

    fn take(&self, call: &Call, query: &str) -> (u16, Value) {
        let mut flow = locked(&self.0.state);
        if call.path != self.path() || flow.is_gone {
            return refusal(404, "WorkflowNotFound", "The workflow could not be found.");
        }
        if call.method != Method::POST {
            return refusal(405, "MethodNotAllowed", "The method is not allowed for this trigger.");
        }
        if !query.split('&').any(|pair| pair.strip_prefix("sig=").is_some_and(|sig| sig == self.0.signature)) {
            let text = "The request must be authenticated only by Shared Access scheme.";
            return refusal(401, "DirectApiAuthorizationRequired", text);
        }
        if flow.is_off {
            let text = "Could not execute workflow trigger 'manual' with state 'Disabled': trigger is not enabled.";
            return refusal(400, "WorkflowTriggerIsNotEnabled", text);
        }
        let Ok(message) = serde_json::from_slice::<Value>(&call.body) else {
            let text = "The request content is not valid and could not be deserialized.";
            return refusal(400, "InvalidRequestContent", text);
        };
        match shown(&message, call.body.len()) {
            Ok(card) => {
                let message =
                    TeamsMessage { received_at: self.0.stand_in.now(), woke: woken(card), card: card.clone() };
                flow.messages.push(message);
            }
            Err(why) => flow.lost.push(why),
        }
        (202, Value::Null)
    }
}

fn refusal(status: u16, code: &str, message: &str) -> (u16, Value) {
    (status, json!({"error": {"code": code, "message": message}}))
}

/// The card, if the flow can show it.
fn shown(message: &Value, bytes: usize) -> Result<&Value, &'static str> {
    if bytes > MESSAGE_LIMIT_BYTES {
        return Err("the message is too large");
    }
    let attachment = &message["attachments"][0];
    if message["type"] != "message" || attachment["contentType"] != "application/vnd.microsoft.card.adaptive" {
        return Err("there is no card in the message");
    }
    let card = &attachment["content"];
    let version = card["version"].as_str().and_then(|version| version.strip_prefix("1.")?.parse::<u8>().ok());
    if card["type"] != "AdaptiveCard" || version.is_none_or(|minor| minor > 5) {
        return Err("the card is of an unknown version");
    }
    let body = card["body"].as_array().filter(|body| !body.is_empty()).ok_or("the card is empty")?;
    let mut texts = Vec::new();
    for element in body {
        if !element["type"].as_str().is_some_and(|kind| ELEMENTS.contains(&kind)) {
            return Err("the card has an element of an unknown type");
        }
        collect(element, &mut texts);
    }
    if texts.iter().all(|text| text.trim().is_empty()) {
        return Err("the card is empty");
    }
    let is_link =
        |url: &Value| url.as_str().is_some_and(|url| url.starts_with("https://") || url.starts_with("http://"));
    let actions = card["actions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if actions.iter().any(|action| action["type"] == "Action.OpenUrl" && !is_link(&action["url"])) {
        return Err("the card has an action that opens no page");
    }
    let entities = card["msteams"]["entities"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !entities.iter().all(|entity| entity["text"].as_str().is_some_and(|text| texts.iter().any(|t| t.contains(text))))
    {
        return Err("the card has a mention whose text is not in it");
    }
    Ok(card)
}

/// All texts that stand under `element`.
fn collect<'a>(element: &'a Value, texts: &mut Vec<&'a str>) {
    match element {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if matches!(name.as_str(), "text" | "title" | "value") => texts.push(text),
                    Value::Object(_) | Value::Array(_) => collect(member, texts),
                    _ => {}
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        _ => {}
    }
}

fn woken(card: &Value) -> Vec<String> {
    let entities = card["msteams"]["entities"].as_array().map(Vec::as_slice).unwrap_or_default();
    entities.iter().filter_map(|entity| entity["mentioned"]["id"].as_str().map(str::to_owned)).collect()
}

async fn serve(State(teams): State<Teams>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let Some(call) = Call::read(request).await else {
        let (status, body) = refusal(413, "RequestEntityTooLarge", "The request entity is too large.");
        return Answer::json(status, &body).into_response();
    };
    in_own_task(async move { answered(&teams, &call, &query).await }).await
}

async fn answered(teams: &Teams, call: &Call, query: &str) -> Response {
    let carry_out = || match teams.take(call, query) {
        (202, _) => StatusCode::ACCEPTED.into_response(),
        (status, body) => Answer::json(status, &body).into_response(),
    };
    let response = teams.0.stand_in.answered_or(carry_out, refused).await;
    locked(&teams.0.state).answers.push(response.status().as_u16());
    response
}

fn refused(status: u16, wait: Option<Wait>) -> Response {
    let (_, body) = match status {
        429 => refusal(status, "WorkflowTriggerRequestThrottled", "The rate of requests is too high."),
        _ => refusal(status, "InternalServerError", "Encountered internal server error."),
    };
    let mut response = Answer::json(status, &body).into_response();
    if let Some(Wait::RetryAfter(wait) | Wait::Reset(wait)) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;
    use crate::Config;

    fn teams() -> Teams {
        Teams::new(Arc::new(|| "2026-11-24T10:00:00Z".parse().unwrap()), Config::default().sleep)
    }

    async fn post(teams: &Teams, address: &str, body: String) -> (u16, http::HeaderMap) {
        let request = http::Request::post(address).header("content-type", "application/json").body(Body::from(body));
        let response = teams.router().oneshot(request.unwrap()).await.unwrap();
        (response.status().as_u16(), response.headers().clone())
    }

    fn message(card: &Value) -> String {
        let kind = "application/vnd.microsoft.card.adaptive";
        json!({"type": "message", "attachments": [{"contentType": kind, "content": card}]}).to_string()
    }

    fn card(body: &Value) -> Value {
        json!({"type": "AdaptiveCard", "version": "1.4", "body": body})
    }

    #[tokio::test]
    async fn what_cannot_be_shown_is_accepted_and_lost() {
        let teams = teams();
        let text = |text: &str| json!({"type": "TextBlock", "text": text});
        let at = "<at>Ada</at>";
        let with_mention = |said: &str| {
            let mut card = card(&json!([text(said)]));
            let mentioned = json!({"id": "ada@example.com", "name": "Ada"});
            card["msteams"] = json!({"entities": [{"type": "mention", "text": at, "mentioned": mentioned}]});
            card
        };
        let with_link = |url: &str| {
            let mut card = card(&json!([text("a")]));
            card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open", "url": url}]);
            card
        };
        let cases = [
            ("good", message(&card(&json!([text("a")]))), None),
            ("a run", message(&card(&json!([{"type": "RichTextBlock", "inlines": [{"text": "a"}]}]))), None),
            ("a mention", message(&with_mention(at)), None),
            ("a link", message(&with_link("https://a.test")), None),
            ("too large", message(&card(&json!([text(&"a".repeat(29_000))]))), Some("the message is too large")),
            ("an old card", json!({"text": "a"}).to_string(), Some("there is no card in the message")),
            ("empty", message(&card(&json!([]))), Some("the card is empty")),
            ("blank", message(&card(&json!([text(" ")]))), Some("the card is empty")),
            ("odd", message(&card(&json!([{"type": "Marquee"}]))), Some("the card has an element of an unknown type")),
            ("no page", message(&with_link("javascript:1")), Some("the card has an action that opens no page")),
            ("no place", message(&with_mention("Ada")), Some("the card has a mention whose text is not in it")),
        ];
        for (name, body, why) in cases {
            let before = teams.messages().len();
            assert_eq!(post(&teams, &teams.webhook_url(), body).await.0, 202, "{name}");
            assert_eq!(teams.messages().len() - before, usize::from(why.is_none()), "{name}");
            if let Some(why) = why {
                assert_eq!(teams.lost().last(), Some(&why), "{name}");
            }
        }
        assert_eq!(teams.messages()[2].woke, ["ada@example.com"]);
    }

    #[tokio::test]
    async fn the_trigger_refuses_what_it_is_not_for() {
        let teams = teams();
        let good = message(&card(&json!([{"type": "TextBlock", "text": "a"}])));
        let url = teams.webhook_url();
        assert_eq!(post(&teams, &url.replace("sig=", "sig=0"), good.clone()).await.0, 401);
        assert_eq!(post(&teams, "/workflows/0/triggers/manual/paths/invoke", good.clone()).await.0, 404);
        assert_eq!(post(&teams, &url, "{".to_owned()).await.0, 400);
        teams.fail_next(1, &Fault::retry_after(429, Duration::from_secs(9)));
        let (status, headers) = post(&teams, &url, good.clone()).await;
        assert_eq!((status, &headers["retry-after"]), (429, &"9".parse().unwrap()));
        teams.set_off(true);
        assert_eq!(post(&teams, &url, good.clone()).await.0, 400);
        teams.set_off(false);
        teams.set_gone(true);
        assert_eq!(post(&teams, &url, good.clone()).await.0, 404);
        teams.set_gone(false);
        teams.fail_next(1, &Fault::lost_answer());
        assert_eq!(post(&teams, &url, good).await.0, 504);
        assert_eq!(teams.messages().len(), 1);
        assert_eq!(teams.answers(), [401, 404, 400, 429, 400, 404, 504]);
    }
}
