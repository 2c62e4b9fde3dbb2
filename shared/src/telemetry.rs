//! Logs and counters. On Lambda JSON lines and CloudWatch's embedded metric format, elsewhere readable text.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Text,
}

static FORMAT: OnceLock<Format> = OnceLock::new();

/// Starts logging at `LOG_LEVEL` (`level` unless set; also `switchboard`-style directives such as `warn,shared=debug`).
/// A second call does nothing.
pub fn init(format: Format, level: &str) {
    if FORMAT.set(format).is_err() {
        return;
    }
    let wanted = std::env::var("LOG_LEVEL").unwrap_or_default();
    let targets = targets(if wanted.is_empty() { level } else { &wanted });
    let builder = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    // A logger that somebody else has set already stays.
    let _ = match format {
        Format::Json => {
            let builder = builder.json().flatten_event(true).with_current_span(false).with_ansi(false);
            builder.finish().with(targets).try_init()
        }
        Format::Text => {
            let builder = builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).compact();
            builder.finish().with(targets).try_init()
        }
    };
}

/// What is logged, by level and module. Not an `EnvFilter`, which also takes fields of spans, but brings a regular
/// expression engine for them into every function.
fn targets(directives: &str) -> Targets {
    directives.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO))
}

/// For a function: JSON where Lambda runs it, text under `cargo lambda watch` in a terminal.
pub fn init_function() {
    let format = if std::env::var_os("AWS_LAMBDA_FUNCTION_NAME").is_some() { Format::Json } else { Format::Text };
    init(format, "info");
}

/// What is counted, each by its CloudWatch name in the namespace `Switchboard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// A webhook whose signature does not fit.
    WebhooksRefused,
    /// A webhook over the size limit: Sentry never repeats it.
    WebhooksTooLarge,
    /// Sentry said the same again within 30 minutes.
    RepeatsDropped,
    /// A delivery became a dead letter.
    DeliveriesFailed,
    /// A person in Sentry was refused for what is not their doing: a tracker's token, the routes, a secret.
    ComponentsFailed,
}

impl Counter {
    pub fn name(self) -> &'static str {
        match self {
            Self::WebhooksRefused => "WebhooksRefused",
            Self::WebhooksTooLarge => "WebhooksTooLarge",
            Self::RepeatsDropped => "RepeatsDropped",
            Self::DeliveriesFailed => "DeliveriesFailed",
            Self::ComponentsFailed => "ComponentsFailed",
        }
    }
}

/// Counts one.
pub fn count(counter: Counter, now: jiff::Timestamp) {
    if FORMAT.get() == Some(&Format::Json) {
        println!("{}", embedded_metric(counter, now));
    }
}

/// A line that CloudWatch Logs turns into a metric: the "embedded metric format" specification.
fn embedded_metric(counter: Counter, now: jiff::Timestamp) -> serde_json::Value {
    serde_json::json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": "Switchboard",
                "Dimensions": [[]],
                "Metrics": [{ "Name": counter.name(), "Unit": "Count" }],
            }],
        },
        counter.name(): 1,
    })
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_counts_for_all_modules_or_for_one() {
        let cases = [
            ("info", "shared", Level::INFO, true),
            ("info", "shared", Level::DEBUG, false),
            ("warn,shared=debug", "shared::webhook", Level::DEBUG, true),
            ("warn,shared=debug", "hyper", Level::INFO, false),
            ("OFF", "shared", Level::ERROR, false),
            ("shared=loud", "elsewhere", Level::INFO, true),
        ];
        for (directives, target, level, expected) in cases {
            assert_eq!(targets(directives).would_enable(target, &level), expected, "{directives}: {target} {level}");
        }
    }

    #[test]
    fn a_counter_is_a_line_that_cloudwatch_reads() {
        let line = embedded_metric(Counter::DeliveriesFailed, jiff::Timestamp::from_millisecond(5).unwrap());
        assert_eq!(line["DeliveriesFailed"], 1);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"], "DeliveriesFailed");
        assert_eq!(line["_aws"]["Timestamp"], 5);
    }
}
