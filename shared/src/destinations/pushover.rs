//! `pushover`: to a phone. <https://pushover.net/api>

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::kind::{Action, DeliveryError, Key, Kind, Notification, Settings, judge_by_status};
use super::text::{cut, one_line};

/// "title is limited to 250 characters, message to 1024 4-byte UTF-8 characters, url to 512, `url_title` to 100".
const TITLE_MAX: usize = 250;
const MESSAGE_MAX: usize = 1024;
const URL_MAX: usize = 512;

pub(super) static KIND: Kind = Kind {
    name: "pushover",
    keys: &[Key { name: "user", required: true, secret: true }, Key { name: "token", required: true, secret: true }],
    render,
    judge,
};

#[derive(Serialize)]
struct Form<'a> {
    token: &'a str,
    user: &'a str,
    title: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_title: Option<&'static str>,
    priority: i8,
}

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    // A cut address leads nowhere: one that is too long is left out.
    let url = notification.event.link(notification.sentry_base_url).filter(|url| url.chars().count() <= URL_MAX);
    let form = Form {
        token: settings.required("token")?,
        user: settings.required("user")?,
        title: one_line(notification.event.headline(), TITLE_MAX),
        message: cut(notification.event.message(), MESSAGE_MAX),
        url_title: url.is_some().then_some("Issue Details"),
        url,
        priority: 0,
    };
    let body = serde_urlencoded::to_string(&form).map_err(|_| DeliveryError::BadAddress)?;
    let address = format!("{}/1/messages.json", settings.base_url("https://api.pushover.net"));
    http::Request::post(address)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body))
        .map(|request| Action::Call(Box::new(request)))
        .map_err(|_| DeliveryError::BadAddress)
}

/// 429 is no rate limit here but the month's quota: a back-off of seconds is useless.
fn judge(answer: &http::Response<Bytes>, now: Timestamp) -> Result<(), DeliveryError> {
    if answer.status() == http::StatusCode::TOO_MANY_REQUESTS {
        let reset = answer.headers().get("x-limit-app-reset").and_then(|value| value.to_str().ok()?.parse().ok());
        let until = reset.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let until = until.map_or_else(|| "the first of next month".to_owned(), |until| until.to_string());
        return Err(DeliveryError::QuotaUsedUp { until });
    }
    judge_by_status(answer, now, || reason(answer.body()))
}

/// `{"status":0,"errors":["user identifier is invalid"]}`
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        errors: Vec<String>,
    }
    match serde_json::from_slice::<Answer>(body) {
        Ok(answer) if !answer.errors.is_empty() => one_line(&answer.errors.join("; "), 500),
        _ => "no reason given".to_owned(),
    }
}
