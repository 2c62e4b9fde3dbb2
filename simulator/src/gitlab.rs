//! A stand-in for GitLab's REST API: refuses what GitLab refuses, keeps its issues, and knows whom each would mention and
//! which quick actions it would carry out.
//!
//! Answers as in <https://docs.gitlab.com/api/issues/>.

mod account;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Response};

use self::account::Account;
use crate::config::{Clock, Sleep};
use crate::faults::Fault;
use crate::server::{Answer, Call};
use crate::simulator::locked;
use crate::stand_in::{StandIn, in_own_task, too_large};

const TOKEN: &str = "glpat-0abcdefghijklmnopqrs";
/// Where none is named.
const PROJECT: &str = "acme/shop/backend";
/// A description of a megabyte is more as JSON.
const BODY_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// The API. Clones are handles to the same one.
#[derive(Clone)]
pub struct GitLab(Arc<Inner>);

struct Inner {
    stand_in: StandIn,
    state: Mutex<Account>,
}

/// An issue as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitLabIssue {
    /// `group/sub/name`
    pub project: String,
    /// Within its project.
    pub number: usize,
    pub title: String,
    pub description: String,
    pub labels: Vec<String>,
    /// Names of users; whoever is no member is left out, as GitLab does.
    pub assignees: Vec<String>,
    pub is_open: bool,
    /// Oldest first.
    pub comments: Vec<String>,
    /// Whom its title, description and comments mention.
    pub mentions: Vec<String>,
    /// What they refer to: `#12`, `!12`, `~label`.
    pub references: Vec<String>,
    /// Quick actions in them: `/close`.
    pub commands: Vec<String>,
}

impl Default for GitLab {
    fn default() -> Self {
        Self::with_projects([PROJECT])
    }
}

impl GitLab {
    /// With the project `acme/shop/backend`, as by default.
    pub fn new(clock: Clock, sleep: Sleep) -> Self {
        Self::of(StandIn::new(clock, sleep), [PROJECT])
    }

    /// With these projects, `group/sub/name`, in real time.
    pub fn with_projects<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of(StandIn::in_real_time(), paths)
    }

    fn of<'a>(stand_in: StandIn, paths: impl IntoIterator<Item = &'a str>) -> Self {
        let gitlab = Self(Arc::new(Inner { stand_in, state: Mutex::default() }));
        paths.into_iter().for_each(|path| gitlab.add_project(path));
        gitlab
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// Another project, `group/sub/name`, unless there is one of this path.
    pub fn add_project(&self, path: &str) {
        locked(&self.0.state).add_project(path);
    }

    /// Those of all projects, oldest first.
    pub fn issues(&self) -> Vec<GitLabIssue> {
        locked(&self.0.state).issues.clone()
    }

    /// The next `times` calls fail like this.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.0.stand_in.fail_next(times, fault);
    }

    pub fn revoke_token(&self) {
        locked(&self.0.state).token_is_revoked = true;
    }

    /// In all projects.
    pub fn switch_issues_off(&self) {
        locked(&self.0.state).issues_are_off = true;
    }
}

async fn serve(State(gitlab): State<GitLab>, request: Request) -> Response {
    let query = Query::try_from_uri(request.uri()).map(|Query(query)| query).unwrap_or_default();
    let Some(call) = Call::read_up_to(BODY_LIMIT_BYTES, request).await else { return too_large() };
    in_own_task(async move {
        let carry_out = || {
            let (status, body) = locked(&gitlab.0.state).carry_out(&call, &query).unwrap_or_else(|refused| refused);
            Answer::json(status, &body).into_response()
        };
        gitlab.0.stand_in.answered(carry_out).await
    })
    .await
}
