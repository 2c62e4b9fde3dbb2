//! GitHub.

use async_trait::async_trait;

use super::{Api, Choice, NewTicket, Ticket, Tracker, TrackerError, TrackerKind};
use crate::destinations::kind::{Key, Takes};

pub(super) static KIND: TrackerKind = TrackerKind {
    name: "github",
    keys: &[Key::new("token", Takes::Secret)],
    needs: &["token"],
    projects_key: "repositories",
    max_title: 256,
    max_text: 65536,
    tracker: &GitHub,
};

struct GitHub;

#[async_trait]
impl Tracker for GitHub {
    async fn projects(&self, _api: &Api<'_>, _query: &str) -> Result<Vec<Choice>, TrackerError> {
        todo!()
    }

    async fn labels(&self, _api: &Api<'_>, _project: &str, _query: &str) -> Result<Vec<Choice>, TrackerError> {
        todo!()
    }

    async fn assignees(&self, _api: &Api<'_>, _project: &str, _query: &str) -> Result<Vec<Choice>, TrackerError> {
        todo!()
    }

    async fn tickets(&self, _api: &Api<'_>, _project: &str, _query: &str) -> Result<Vec<Choice>, TrackerError> {
        todo!()
    }

    async fn read(&self, _api: &Api<'_>, _project: &str, _id: &str) -> Result<Ticket, TrackerError> {
        todo!()
    }

    async fn find(&self, _api: &Api<'_>, _project: &str, _marker: &str) -> Result<Option<Ticket>, TrackerError> {
        todo!()
    }

    async fn open(&self, _api: &Api<'_>, _new: &NewTicket) -> Result<Ticket, TrackerError> {
        todo!()
    }

    async fn comment(&self, _api: &Api<'_>, _ticket: &Ticket, _text: &str) -> Result<(), TrackerError> {
        todo!()
    }

    async fn close(&self, _api: &Api<'_>, _ticket: &Ticket) -> Result<(), TrackerError> {
        todo!()
    }

    async fn reopen(&self, _api: &Api<'_>, _ticket: &Ticket) -> Result<(), TrackerError> {
        todo!()
    }
}
