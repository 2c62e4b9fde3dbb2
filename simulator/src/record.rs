//! The record of what went over the wire, in both directions, in the order in which it ended.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

/// The oldest entries beyond this many are dropped.
const LIMIT: usize = 4096;

/// Who began an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Sentry's webhook to the app.
    ToApp,
    /// A call of the app to Sentry.
    ToSentry,
    /// A call of the app to the stand-in for Pushover.
    ToPushover,
}

/// One request and what became of it. No body, no header, no query: nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When it began.
    pub at: Timestamp,
    pub direction: Direction,
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Status of the answer; `None` where there was none.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub failure: Option<String>,
    pub duration: Duration,
    /// What it was about: `issue.created`, `token authorization_code`, `verify`, `issue`, `message`.
    pub subject: String,
    /// 1 for a first attempt, more for Sentry's retries of a webhook.
    pub attempt: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Record(VecDeque<Exchange>);

impl Record {
    pub(crate) fn push(&mut self, exchange: Exchange) {
        if self.0.len() == LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(exchange);
    }

    pub(crate) fn all(&self) -> Vec<Exchange> {
        self.0.iter().cloned().collect()
    }
}

/// How much time passed on the simulator's clock; nothing where the clock was set back.
pub(crate) fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_forgets_the_oldest_and_stays_bounded() {
        let mut record = Record::default();
        for number in 0..LIMIT + 2 {
            record.push(Exchange {
                at: Timestamp::UNIX_EPOCH,
                direction: Direction::ToApp,
                method: "POST".to_owned(),
                path: format!("/{number}"),
                status: None,
                failure: None,
                duration: Duration::ZERO,
                subject: String::new(),
                attempt: 1,
            });
        }
        let all = record.all();
        assert_eq!((all.len(), all[0].path.as_str()), (LIMIT, "/2"));
    }
}
