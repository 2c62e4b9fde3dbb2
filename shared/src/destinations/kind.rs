//! What a type of destination is: what the routes file may say about it, how a notification becomes calls, and what
//! the far side's answers mean. Pure: the calls themselves are `deliver`'s.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::error::DeliveryError;
use super::retry;
use super::settings::Settings;
use crate::alert_rule::RuleSettings;
use crate::ids::DeliveryId;
use crate::message::Message;
use crate::normalized::Normalized;
use crate::ports::BusEvent;
use crate::routing::Destination;

/// A type of destination, as `type = "…"` names it. Made by [`Kind::new`] and what follows it.
pub struct Kind {
    pub name: &'static str,
    /// Its own keys, besides those that every destination takes.
    pub keys: &'static [Key],
    /// Sets of keys; of one of them, all must be given. None: no key is required.
    pub needs: &'static [&'static [&'static str]],
    /// One conversation or incident an issue: its deliveries are kept in order for an issue, whatever the resource of
    /// their events, and [`Notification::thread`] says what was learned before.
    pub threads: bool,
    /// The type of the `[[tracker]]` that its key `tracker` names. Then [`Notification::thread`] is that tracker's ticket.
    pub tracker: Option<&'static str>,
    /// Whether its deliveries carry Sentry's own bytes.
    pub forwards: fn(&Destination) -> bool,
    /// Waits after the first, second, … failed try, unless the routes file says others.
    pub waits: &'static [Duration],
    /// Calls at once, unless the routes file says another number.
    pub concurrency: u16,
    pub render: Render,
}

/// What is to be done for a notification. An error here is final: nothing was sent.
pub type Render = fn(&Settings, &Notification<'_>) -> Result<Action, DeliveryError>;

/// What an answer means, at the instant it came.
pub type Judge = fn(&http::Response<Bytes>, Timestamp) -> Result<Learned, DeliveryError>;

/// What a later notification of the same issue must know, if the answer told anything.
pub type Learned = Option<Thread>;

impl Kind {
    pub const fn new(name: &'static str, render: Render) -> Self {
        Self {
            name,
            keys: &[],
            needs: &[],
            threads: false,
            tracker: None,
            forwards: |_| false,
            waits: &retry::WAITS,
            concurrency: CONCURRENCY,
            render,
        }
    }

    pub(super) const fn keys(self, keys: &'static [Key]) -> Self {
        Self { keys, ..self }
    }

    pub(super) const fn needs(self, needs: &'static [&'static [&'static str]]) -> Self {
        Self { needs, ..self }
    }

    pub(super) const fn threads(self) -> Self {
        Self { threads: true, ..self }
    }

    pub(super) const fn tracker(self, kind: &'static str) -> Self {
        Self { tracker: Some(kind), ..self }
    }

    pub(super) const fn forwards(self, forwards: fn(&Destination) -> bool) -> Self {
        Self { forwards, ..self }
    }

    pub(super) const fn waits(self, waits: &'static [Duration]) -> Self {
        Self { waits, ..self }
    }

    pub(super) const fn concurrency(self, concurrency: u16) -> Self {
        Self { concurrency, ..self }
    }
}

/// One key of a destination.
pub struct Key {
    pub name: &'static str,
    pub takes: Takes,
}

impl Key {
    pub const fn new(name: &'static str, takes: Takes) -> Self {
        Self { name, takes }
    }
}

/// What stands at a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// An address or a key of other people's systems, which the file must not hold: `secret:NAME`.
    Secret,
    /// Text, or `secret:NAME`.
    Text,
    OneOf(&'static [&'static str]),
    /// A whole number, both ends included.
    Number {
        min: i64,
        max: i64,
    },
    /// Such a number, or a table of level = number.
    NumberByLevel {
        min: i64,
        max: i64,
    },
}

/// What a destination is told of.
pub struct Notification<'a> {
    /// The same for every try of this delivery: the key that makes a repeat safe, where the API has one.
    pub delivery: &'a DeliveryId,
    pub event: &'a Normalized,
    /// Title, text, fields and link in plain text: the default's or the templates'. Escaping is the destination's.
    pub message: &'a Message,
    /// What the alert rule says that asked for it: its note, mention and priority are in the message already.
    pub rule: Option<&'a RuleSettings>,
    /// What was learned from an earlier notification of the same issue, for a kind that [`Kind::threads`].
    pub thread: Option<&'a Thread>,
    /// Sentry's own bytes, for a kind that [`Kind::forwards`].
    pub original: Option<&'a [u8]>,
    pub accepted_at: Timestamp,
    /// The instant of this try.
    pub now: Timestamp,
}

/// What there is to do for a notification.
pub enum Action {
    /// In order; the first that fails ends the try, and the next try begins with the first again. So what must not be
    /// done twice stands last.
    Calls(Vec<Call>),
    /// Put onto an event bus of AWS.
    Put(BusEvent),
    /// Done in the ticket, in the tracker that the destination names.
    Ticket(TicketWork),
    /// A line for the log; nothing leaves.
    Log(String),
}

/// What there is to do with an issue's ticket. Text is plain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketWork {
    /// There is none yet. Without a `project` it is the only one that the tracker lists.
    Open { project: Option<String>, title: String, text: String, link: Option<String> },
    /// There is one, and this says nothing new of it.
    Known,
    /// Says this in it.
    Comment(String),
    /// Closes it, and says why.
    Close(String),
    /// Opens it again, and says why.
    Reopen(String),
}

impl Action {
    pub fn call(request: http::Request<Bytes>, judge: Judge) -> Self {
        Self::Calls(vec![Call { request, judge }])
    }
}

pub struct Call {
    pub request: http::Request<Bytes>,
    pub judge: Judge,
}

/// What the far side calls the message or incident of an issue: a few words under names of the kind's own (`channel`,
/// `ts`). No secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Thread(pub BTreeMap<String, String>);

impl Thread {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Thread {
    fn from(words: [(&str, &str); N]) -> Self {
        Self(words.into_iter().map(|(name, word)| (name.to_owned(), word.to_owned())).collect())
    }
}

/// Calls at once of a kind that says nothing else.
pub const CONCURRENCY: u16 = 10;
/// One call to a destination.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Of an answer, this much is read.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
