//! A stand-in for GitHub's REST API: refuses what GitHub refuses, keeps its issues, and knows whom each would mention.
//! Its search lags behind until [`GitHub::index`].
//!
//! Answers as in <https://docs.github.com/en/rest/issues?apiVersion=2022-11-28>.

mod account;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use self::account::{Account, Refusal};
use crate::config::{Clock, Sleep};
use crate::faults::Fault;
use crate::server::{Answer, Call};
use crate::simulator::locked;
use crate::stand_in::{StandIn, in_own_task, too_large};

const TOKEN: &str = "github_pat_11ABCDEFG0abcdefghij";
/// Where none is named.
const REPOSITORY: &str = "acme/backend";

/// The API. Clones are handles to the same one.
#[derive(Clone)]
pub struct GitHub(Arc<Inner>);

struct Inner {
    stand_in: StandIn,
    state: Mutex<Account>,
}

/// An issue, or pull request, as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitHubIssue {
    /// `owner/name`
    pub repository: String,
    /// Within its repository.
    pub number: usize,
    pub title: String,
    pub body: String,
    pub labels: Vec<String>,
    pub assignees: Vec<String>,
    pub is_open: bool,
    pub is_pull_request: bool,
    /// Oldest first.
    pub comments: Vec<String>,
    /// Whom its body and comments mention.
    pub mentions: Vec<String>,
    /// What its body and comments refer to: `#12`.
    pub references: Vec<String>,
}

impl Default for GitHub {
    fn default() -> Self {
        Self::with_repositories([REPOSITORY])
    }
}

impl GitHub {
    /// With the repository `acme/backend`, as by default.
    pub fn new(clock: Clock, sleep: Sleep) -> Self {
        Self::of(StandIn::new(clock, sleep), [REPOSITORY])
    }

    /// With these repositories, `owner/name`, in real time.
    pub fn with_repositories<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of(StandIn::in_real_time(), names)
    }

    fn of<'a>(stand_in: StandIn, names: impl IntoIterator<Item = &'a str>) -> Self {
        let github = Self(Arc::new(Inner { stand_in, state: Mutex::default() }));
        names.into_iter().for_each(|name| github.add_repository(name));
        github
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// Another repository, `owner/name`, unless there is one of this name.
    pub fn add_repository(&self, name: &str) {
        locked(&self.0.state).add_repository(name);
    }

    /// Those of all repositories, oldest first.
    pub fn issues(&self) -> Vec<GitHubIssue> {
        locked(&self.0.state).issues.clone()
    }

    /// The search knows all issues of now.
    pub fn index(&self) {
        let mut state = locked(&self.0.state);
        state.indexed = state.issues.len();
    }

    /// In the first repository; returns its number.
    pub fn open_pull_request(&self, title: &str) -> usize {
        locked(&self.0.state).open_pull_request(title)
    }

    /// The next `times` calls fail like this.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.0.stand_in.fail_next(times, fault);
    }

    pub fn revoke_token(&self) {
        locked(&self.0.state).token_is_revoked = true;
    }

    /// In all repositories.
    pub fn switch_issues_off(&self) {
        locked(&self.0.state).issues_are_off = true;
    }

    /// From now on no call is left of this hour's.
    pub fn use_up_quota(&self) {
        locked(&self.0.state).quota_is_used_up = true;
    }

    fn take(&self, call: &Call, query: &HashMap<String, String>) -> Response {
        let mut state = locked(&self.0.state);
        if state.quota_is_used_up {
            let mut answer =
                Answer::json(403, &json!({"message": "API rate limit exceeded for user ID 1."})).into_response();
            let reset = self.0.stand_in.now().as_second() + 3600;
            answer.headers_mut().insert("x-ratelimit-remaining", 0.into());
            answer.headers_mut().insert("x-ratelimit-reset", reset.into());
            return answer;
        }
        let (status, body) = state.carry_out(call, query).unwrap_or_else(Refusal::shown);
        Answer::json(status, &body).into_response()
    }
}

async fn serve(State(github): State<GitHub>, request: Request) -> Response {
    let query = Query::try_from_uri(request.uri()).map(|Query(query)| query).unwrap_or_default();
    let Some(call) = Call::read(request).await else { return too_large() };
    in_own_task(async move { github.0.stand_in.answered(|| github.take(&call, &query)).await }).await
}
