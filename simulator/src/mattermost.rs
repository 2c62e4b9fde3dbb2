//! A stand-in for a Mattermost server with one incoming webhook: refuses what Mattermost refuses, keeps what it posted,
//! and knows whom that wakes.
//!
//! Answers as in its own source (`app/webhook.go`, `web/webhook.go`), limits as in
//! <https://developers.mattermost.com/integrate/webhooks/incoming/>.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::{Clock, Sleep};
use crate::faults::Fault;
use crate::server::{Answer, Call};
use crate::signing::random_hex;
use crate::simulator::locked;
use crate::stand_in::{StandIn, in_own_task, too_large};

const HOOK_PATH: &str = "/hooks/xr3j5x3p4pfk7kk6ck7b4e6ghh";
/// What is longer is posted in pieces.
const POST_LIMIT_CHARS: usize = 16_383;
/// Of attachments and all else beside the text, as JSON.
const PROPS_LIMIT_CHARS: usize = 800_000;

/// The server. Clones are handles to the same one.
#[derive(Clone)]
pub struct Mattermost(Arc<Inner>);

struct Inner {
    stand_in: StandIn,
    state: Mutex<Server>,
}

#[derive(Default)]
struct Server {
    posts: Vec<MattermostPost>,
    hook_is_deleted: bool,
    hooks_are_disabled: bool,
    channel_is_archived: bool,
}

/// A post in the webhook's channel.
#[derive(Clone, Debug, PartialEq)]
pub struct MattermostPost {
    pub posted_at: Timestamp,
    pub text: String,
    /// As they came.
    pub attachments: Value,
    /// Whom it wakes, without the `@`: `here`, `channel`, `all`, or somebody's name.
    pub wakes: Vec<String>,
}

impl Default for Mattermost {
    fn default() -> Self {
        Self::of(StandIn::in_real_time())
    }
}

impl Mattermost {
    pub fn new(clock: Clock, sleep: Sleep) -> Self {
        Self::of(StandIn::new(clock, sleep))
    }

    fn of(stand_in: StandIn) -> Self {
        Self(Arc::new(Inner { stand_in, state: Mutex::default() }))
    }

    /// `POST` [`Self::hook_path`].
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// Path of the incoming webhook.
    pub fn hook_path(&self) -> &'static str {
        HOOK_PATH
    }

    /// Oldest first.
    pub fn posts(&self) -> Vec<MattermostPost> {
        locked(&self.0.state).posts.clone()
    }

    /// The next `times` calls fail like this.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.0.stand_in.fail_next(times, fault);
    }

    pub fn delete_hook(&self) {
        locked(&self.0.state).hook_is_deleted = true;
    }

    pub fn archive_channel(&self) {
        locked(&self.0.state).channel_is_archived = true;
    }

    /// Switches incoming webhooks off for the whole server.
    pub fn disable_webhooks(&self) {
        locked(&self.0.state).hooks_are_disabled = true;
    }

    fn take(&self, call: &Call) -> Response {
        match self.post(call) {
            Ok(()) => "ok".into_response(),
            Err((status, id, message)) => {
                let request = random_hex::<13>();
                let body = json!({"id": id, "message": message, "detailed_error": "", "request_id": request, "status_code": status.as_u16()});
                Answer::json(status.as_u16(), &body).into_response()
            }
        }
    }

    fn post(&self, call: &Call) -> Result<(), (StatusCode, &'static str, &'static str)> {
        let bad = |id, message| Err((StatusCode::BAD_REQUEST, id, message));
        if !call.path.starts_with("/hooks/") || call.method != Method::POST {
            let message = "Sorry, we could not find the page.";
            return Err((StatusCode::NOT_FOUND, "api.context.404.app_error", message));
        }
        let mut server = locked(&self.0.state);
        if server.hooks_are_disabled {
            let message = "Incoming webhooks have been disabled by the system admin.";
            return Err((StatusCode::NOT_IMPLEMENTED, "web.incoming_webhook.disabled.app_error", message));
        }
        let body = serde_json::from_slice::<Value>(&call.body).ok().filter(Value::is_object);
        let Some(body) = body.filter(is_payload) else {
            let message = "Could not decode the multipart payload of incoming webhook.";
            return bad("web.incoming_webhook.decode.app_error", message);
        };
        let text = body["text"].as_str().unwrap_or_default();
        let attachments = body["attachments"].clone();
        if text.is_empty() && attachments.is_null() {
            return bad("web.incoming_webhook.text.app_error", "No text specified.");
        }
        if call.path != HOOK_PATH || server.hook_is_deleted {
            return bad("web.incoming_webhook.invalid.app_error", "Invalid webhook.");
        }
        if server.channel_is_archived {
            let message = "Can not post to deleted channel.";
            return bad("api.post.create_post.can_not_post_to_deleted.error", message);
        }
        if attachments.to_string().chars().count() > PROPS_LIMIT_CHARS {
            return bad(
                "web.incoming_webhook.split_props_length.app_error",
                "Unable to split webhook props into pieces.",
            );
        }
        let text = translated(text);
        let wakes = woken_by(&text, &attachments);
        let mut pieces: Vec<String> =
            text.chars().collect::<Vec<_>>().chunks(POST_LIMIT_CHARS).map(|piece| piece.iter().collect()).collect();
        // The attachments stand below the last piece.
        let last = pieces.pop().unwrap_or_default();
        let posted_at = self.0.stand_in.now();
        let above = pieces.into_iter().map(|text| (text, Value::Null));
        let posts = above.chain([(last, attachments)]);
        server.posts.extend(posts.map(|(text, attachments)| MattermostPost {
            posted_at,
            wakes: wakes.clone(),
            text,
            attachments,
        }));
        Ok(())
    }
}

async fn serve(State(mattermost): State<Mattermost>, request: Request) -> Response {
    let Some(call) = Call::read(request).await else { return too_large() };
    in_own_task(async move { mattermost.0.stand_in.answered(|| mattermost.take(&call)).await }).await
}

/// Go decodes into typed fields, and refuses the whole for one of a wrong type.
fn is_payload(body: &Value) -> bool {
    let is_text = |value: &Value| value.is_null() || value.is_string();
    let is_list = |value: &Value| value.is_null() || value.is_array();
    let texts = ["fallback", "color", "pretext", "title", "title_link", "text", "footer"];
    let is_attachment =
        |attachment: &Value| texts.iter().all(|name| is_text(&attachment[*name])) && is_list(&attachment["fields"]);
    is_text(&body["text"])
        && is_list(&body["attachments"])
        && body["attachments"].as_array().is_none_or(|list| list.iter().all(is_attachment))
}

/// Slack's words for everybody become Mattermost's.
fn translated(text: &str) -> String {
    text.replace("<!channel>", "@channel").replace("<!here>", "@here").replace("<!all>", "@all")
}

/// The names behind an `@`, where mentions are looked for: also where a backslash stands before it, or where it is an
/// entity.
fn woken_by(text: &str, attachments: &Value) -> Vec<String> {
    let list = attachments.as_array().map_or(&[][..], Vec::as_slice);
    let of_attachments = list.iter().flat_map(|attachment| {
        let fields = attachment["fields"].as_array().map_or(&[][..], Vec::as_slice);
        [&attachment["pretext"], &attachment["text"]].into_iter().chain(fields.iter().map(|field| &field["value"]))
    });
    let mut names = Vec::new();
    for text in std::iter::once(text).chain(of_attachments.filter_map(Value::as_str)) {
        let text = translated(text).replace("&#64;", "@").replace("&#x40;", "@").replace("&commat;", "@");
        for behind in text.split('@').skip(1) {
            let name: String =
                behind.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
            if !name.is_empty() {
                names.push(name);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn post(mattermost: &Mattermost, path: &str, body: &str) -> (u16, String) {
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = mattermost.router().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_post_is_taken_or_refused_as_mattermost_does() {
        let mattermost = Mattermost::default();
        let hook = mattermost.hook_path();
        let cases = [
            (hook, r#"{"text":"hello"}"#, 200, "ok"),
            (
                hook,
                r#"{"attachments":[{"text":"hello","fields":[{"title":"a","value":"b","short":true}]}]}"#,
                200,
                "ok",
            ),
            (hook, r#"{"text":""}"#, 400, "web.incoming_webhook.text.app_error"),
            (hook, r#"{"text":7}"#, 400, "web.incoming_webhook.decode.app_error"),
            (hook, r#"{"attachments":[{"fields":{}}]}"#, 400, "web.incoming_webhook.decode.app_error"),
            (hook, "text=hello", 400, "web.incoming_webhook.decode.app_error"),
            ("/hooks/unknown", r#"{"text":"hello"}"#, 400, "web.incoming_webhook.invalid.app_error"),
            ("/elsewhere", r#"{"text":"hello"}"#, 404, "api.context.404.app_error"),
        ];
        for (path, body, status, answer) in cases {
            let (answered, text) = post(&mattermost, path, body).await;
            assert_eq!(answered, status, "{body}: {text}");
            assert!(text.contains(answer), "{body}: {text}");
        }
        assert_eq!(mattermost.posts().len(), 2);
        assert_eq!(mattermost.posts()[1].attachments[0]["text"], "hello");
        mattermost.archive_channel();
        assert!(post(&mattermost, hook, r#"{"text":"a"}"#).await.1.contains("can_not_post_to_deleted"));
        mattermost.delete_hook();
        assert!(post(&mattermost, hook, r#"{"text":"a"}"#).await.1.contains("web.incoming_webhook.invalid.app_error"));
        mattermost.disable_webhooks();
        assert_eq!(post(&mattermost, hook, r#"{"text":"a"}"#).await.0, 501);
    }

    #[tokio::test]
    async fn a_longer_text_becomes_several_posts() {
        let mattermost = Mattermost::default();
        let body = json!({"text": "ä".repeat(16_384), "attachments": [{"text": "below"}]}).to_string();
        assert_eq!(post(&mattermost, HOOK_PATH, &body).await.0, 200);
        let posts = mattermost.posts();
        let lengths: Vec<usize> = posts.iter().map(|post| post.text.chars().count()).collect();
        assert_eq!(lengths, [16_383, 1]);
        assert_eq!((&posts[0].attachments, &posts[1].attachments[0]["text"]), (&Value::Null, &json!("below")));
    }

    #[tokio::test]
    async fn backslashes_and_entities_do_not_keep_a_mention_from_waking() {
        let mattermost = Mattermost::default();
        let cases = [
            (json!({"text": "hello @here"}), vec!["here"]),
            (json!({"text": "<!channel> hello"}), vec!["channel"]),
            (json!({"text": r"a \@channel"}), vec!["channel"]),
            (json!({"attachments": [{"text": "&#64;all"}]}), vec!["all"]),
            (json!({"attachments": [{"text": "", "fields": [{"title": "t", "value": "@ada.l"}]}]}), vec!["ada.l"]),
            (json!({"text": "@\u{200b}here &lt;!here>"}), vec![]),
            (json!({"attachments": [{"title": "@here", "fallback": "@here", "text": "a @ b"}]}), vec![]),
        ];
        for (body, wakes) in cases {
            assert_eq!(post(&mattermost, HOOK_PATH, &body.to_string()).await.0, 200);
            assert_eq!(mattermost.posts().last().unwrap().wakes, wakes, "{body}");
        }
    }

    #[tokio::test]
    async fn a_refused_post_is_not_kept_and_a_lost_answer_is() {
        let mattermost = Mattermost::default();
        mattermost.fail_next(2, &Fault::status(503));
        mattermost.fail_next(1, &Fault::lost_answer());
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(post(&mattermost, HOOK_PATH, r#"{"text":"a"}"#).await.0);
        }
        assert_eq!((statuses, mattermost.posts().len()), (vec![503, 503, 504, 200], 2));
    }
}
