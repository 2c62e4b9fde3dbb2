//! Which answers of the app Sentry takes, and what its user reads of the others.

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::{ExternalIssue, Options, UserSees};
use crate::config::{Config, Version};
use crate::deliver::SendFailure;
use crate::ordered::Json;

type Answer = Result<Response<Bytes>, SendFailure>;

/// Of 23.7.1, for all that goes wrong with a select or a link.
pub(super) fn not_communicating() -> UserSees {
    UserSees::new(400, "Error communicating with Sentry App service")
}

/// A list of options, or nothing where the answer is none.
pub(super) fn options(answer: Answer) -> Option<Options> {
    let answer = answer.ok().filter(|answer| answer.status().is_success())?;
    let list: Vec<Value> = serde_json::from_slice(answer.body()).ok()?;
    let mut options = Options::default();
    for option in list {
        let label = option.get("label")?.as_str()?.to_owned();
        let value = match option.get("value")? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        if option["default"] == true {
            options.default = Some(value.clone());
        }
        options.choices.push((value, label));
    }
    Some(options)
}

/// The link that an answer gives, or what the user reads in its place.
pub(super) fn link(config: &Config, issue: u64, answer: Answer) -> Result<ExternalIssue, UserSees> {
    let answer = answer.map_err(|_| link_failed(config))?;
    let body: Option<Value> = serde_json::from_slice(answer.body()).ok();
    let text = |key: &str| body.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let status = answer.status().as_u16();
    if status >= 400 {
        return Err(match (config.version, text("message")) {
            (Version::Today, Some(message)) => UserSees::new(status, message),
            _ => link_failed(config),
        });
    }
    let (Some(web_url), Some(project), Some(identifier)) = (text("webUrl"), text("project"), text("identifier")) else {
        return Err(link_failed(config));
    };
    if !answer.status().is_success() {
        return Err(link_failed(config));
    }
    Ok(ExternalIssue { issue, web_url, project, identifier })
}

/// What the user reads of a link that failed without a message of the app's.
pub(super) fn link_failed(config: &Config) -> UserSees {
    match config.version {
        Version::V23_7_1 => not_communicating(),
        Version::Today => {
            UserSees::new(500, format!("Issue occurred while trying to contact {} to link issue", config.app_slug))
        }
    }
}

/// Any status below 400 saves the rule. Else the user reads the app's `message`, in Python's notation where that is no
/// text.
pub(super) fn rule(config: &Config, answer: Answer) -> Result<(), UserSees> {
    let said = match answer {
        Ok(answer) if answer.status().as_u16() < 400 => return Ok(()),
        Ok(answer) => match serde_json::from_slice(answer.body()) {
            Ok(Json::Object(members)) => members.into_iter().rev().find(|(name, _)| name == "message"),
            _ => None,
        },
        Err(_) => None,
    };
    let message = match said {
        Some((_, Json::Text(text))) => text,
        Some((_, other)) => python(&other),
        None => "Something went wrong!".to_owned(),
    };
    Err(UserSees::new(400, format!("{}: {message}", config.app_name)))
}

fn python(value: &Json) -> String {
    let listed = |items: Vec<String>| items.join(", ");
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) => number.to_string(),
        Json::Text(text) => quoted(text),
        Json::Array(items) => format!("[{}]", listed(items.iter().map(python).collect())),
        Json::Object(members) => {
            let pair = |(name, value): &(String, Json)| format!("{}: {}", quoted(name), python(value));
            format!("{{{}}}", listed(members.iter().map(pair).collect()))
        }
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            c if c == quote => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}
