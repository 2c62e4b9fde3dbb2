//! Where deliveries lie: `serve`'s file, or a table and a queue on AWS.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use jiff::{Span, SpanRelativeTo, Timestamp};
use shared::ports::{Deliveries, Queue, SystemClock};
use shared_embedded::{Store, is_served};

#[derive(Args)]
pub(crate) struct Place {
    /// Where `serve` keeps its file
    #[arg(long, value_name = "DIR", default_value = "./switchboard-data")]
    data_dir: PathBuf,
    /// Instead, those on AWS: `DELIVERIES_TABLE` and `DELIVERIES_QUEUE_URL` say which
    #[arg(long, conflicts_with = "data_dir")]
    aws: bool,
}

/// What a command does with them, wherever they lie.
pub(crate) trait Work {
    /// What [`Place::work`] gives back.
    type Done;

    async fn on<D: Deliveries, Q: Queue>(self, deliveries: &D, outbox: &Q) -> anyhow::Result<Self::Done>;
}

impl Place {
    pub(crate) async fn work<W: Work>(&self, work: W) -> anyhow::Result<W::Done> {
        if self.aws {
            return on_aws(work).await;
        }
        if !Store::<SystemClock>::exists(&self.data_dir) {
            bail!("{} holds no deliveries: say with --data-dir where `serve` keeps its file", self.data_dir.display());
        }
        let store = Store::open(&self.data_dir, SystemClock)?;
        work.on(store.deliveries(), store.outbox()).await
    }

    /// When what lies on the queue now is sent.
    pub(crate) fn when(&self) -> anyhow::Result<&'static str> {
        let sent_at_once = self.aws || is_served(&self.data_dir)?;
        Ok(if sent_at_once {
            "it is sent within a few seconds"
        } else {
            "`serve` is not running: it is sent when that starts"
        })
    }
}

#[cfg(not(feature = "aws"))]
async fn on_aws<W: Work>(_work: W) -> anyhow::Result<W::Done> {
    std::future::ready(()).await;
    bail!("this build cannot reach AWS: build it with `cargo build --release -p cli --features aws`")
}

#[cfg(feature = "aws")]
async fn on_aws<W: Work>(work: W) -> anyhow::Result<W::Done> {
    let config = shared_aws::sdk_config().await?;
    let deliveries = shared_aws::DynamoDeliveries::from_env(&config)?;
    let outbox = shared_aws::Sqs::deliveries_from_env(&config)?;
    work.on(&deliveries, &outbox).await
}

/// From when on: an instant, or how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since(pub(crate) Timestamp);

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::at(text, Timestamp::now())
    }
}

impl Since {
    fn at(text: &str, now: Timestamp) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self(at));
        }
        let wrong = || "not an instant like 2026-11-24T10:00:00Z, nor an age like 2h or 3d".to_owned();
        let age = text.parse::<Span>().map_err(|_| wrong())?;
        let age = age.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
        if age.is_negative() {
            return Err(wrong());
        }
        // What is older than time itself is all there is.
        Ok(Self(now.checked_sub(age).unwrap_or(Timestamp::MIN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_instant_or_an_age() {
        let now = "2026-11-24T10:00:00Z".parse().expect("an instant");
        let cases = [
            ("2026-11-01T00:00:00+01:00", Some("2026-10-31T23:00:00Z")),
            ("2h", Some("2026-11-24T08:00:00Z")),
            ("3d", Some("2026-11-21T10:00:00Z")),
            ("1d 30m", Some("2026-11-23T09:30:00Z")),
            ("2w", Some("2026-11-10T10:00:00Z")),
            ("-2h", None),
            ("2h ago", None),
            ("yesterday", None),
            ("2026-11-01", None),
            ("1mo", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = Since::at(text, now).ok().map(|since| since.0.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
