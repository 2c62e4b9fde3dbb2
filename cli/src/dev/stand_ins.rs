//! What stands in for the destinations and trackers of a routes file, in this process: each is called at a made-up host
//! of its own, and whatever secret it names is made up too. Nothing of it leaves the process.

mod far_side;
mod fill_in;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use serde::Deserialize;
use shared::outgoing::{Reqwest, USER_AGENT};
use shared::ports::{BusError, BusEvent, CallError, Outgoing, Policy};
use tower::ServiceExt;

pub(crate) use self::far_side::FarSide;
use self::far_side::Models;
use self::fill_in::{Account, Entry, filled_in};

/// What a stand-in's host ends with: a name that is never looked up (RFC 6761).
const HOSTS: &str = "stand-in.invalid";
/// The oldest calls beyond this many are dropped.
const CALLS_KEPT: usize = 200;

/// How a destination answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Condition {
    #[default]
    Well,
    /// 500 to everything.
    Failing,
    /// No answer in time.
    Hanging,
}

/// A destination of the file, with its far side.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) far_side: FarSide,
    pub(crate) condition: Condition,
    account: Account,
}

/// A call to a stand-in, and what became of it.
#[derive(Clone)]
pub(crate) struct StandInCall {
    pub(crate) at: Timestamp,
    pub(crate) destination: String,
    pub(crate) method: Method,
    pub(crate) status: Option<StatusCode>,
    pub(crate) failure: Option<String>,
    pub(crate) duration: Duration,
}

#[derive(Default)]
struct State {
    /// The file in force, as it was written.
    text: String,
    /// All that ever were; the number of each is in its host. One that leaves the file and comes back is the same.
    places: Vec<Place>,
    /// Those of the file, in its order.
    in_force: Vec<usize>,
    /// Its trackers.
    trackers: Vec<usize>,
    calls: VecDeque<StandInCall>,
}

#[derive(Clone, Default)]
pub(crate) struct StandIns {
    state: Arc<Mutex<State>>,
    models: Models,
}

impl StandIns {
    /// The made-up secrets as a flat TOML table, by the names that [`Self::fill_in`] uses. They open nothing.
    pub(crate) fn secrets(&self) -> String {
        self.models.secrets()
    }

    /// The text with an address and made-up secrets for each destination and tracker; these are the ones in force from
    /// now on.
    pub(crate) fn fill_in(&self, text: &str) -> anyhow::Result<String> {
        let mut state = self.state();
        let (mut in_force, mut trackers) = (Vec::new(), Vec::new());
        let filled = filled_in(text, |entry| {
            let of_its_kind = if entry.is_tracker { &mut trackers } else { &mut in_force };
            let number = self.number(&mut state.places, entry);
            of_its_kind.push(number);
            state.places[number].far_side.is_called().then(|| format!("http://{number}.{HOSTS}"))
        })?;
        text.clone_into(&mut state.text);
        (state.in_force, state.trackers) = (in_force, trackers);
        Ok(filled)
    }

    /// The number of the entry's place.
    fn number(&self, places: &mut Vec<Place>, entry: Entry) -> usize {
        let same = |place: &&Place| place.kind == entry.kind && place.account == entry.account;
        let known = places.iter().position(|place| place.name == entry.name && same(&place));
        let shared = places.iter().find(|place| same(place) && entry.kind != "eventbridge");
        let far_side = match known.map(|number| &places[number]).or(shared) {
            Some(place) => place.far_side.clone(),
            None => FarSide::new(&entry, &self.models, places),
        };
        far_side.hold(&entry);
        known.unwrap_or_else(|| {
            let Entry { name, kind, account, .. } = entry;
            places.push(Place { name, kind, far_side, condition: Condition::Well, account });
            places.len() - 1
        })
    }

    /// Those of the file in force, in its order.
    pub(crate) fn places(&self) -> Vec<Place> {
        let state = self.state();
        state.in_force.iter().map(|number| state.places[*number].clone()).collect()
    }

    /// Its trackers.
    pub(crate) fn trackers(&self) -> Vec<Place> {
        let state = self.state();
        state.trackers.iter().map(|number| state.places[*number].clone()).collect()
    }

    /// The file in force, as it was written.
    pub(crate) fn text(&self) -> String {
        self.state().text.clone()
    }

    /// Newest first.
    pub(crate) fn calls(&self) -> Vec<StandInCall> {
        self.state().calls.iter().rev().cloned().collect()
    }

    /// Whether there is a destination or tracker of that name.
    pub(crate) fn set_condition(&self, name: &str, condition: Condition) -> bool {
        let mut state = self.state();
        let State { places, in_force, trackers, .. } = &mut *state;
        let found = in_force.iter().chain(&*trackers).copied().find(|number| places[*number].name == name);
        found.map(|number| places[number].condition = condition).is_some()
    }

    /// Puts an entry onto the bus that its address names.
    pub(crate) async fn put(&self, event: BusEvent) -> Result<(), BusError> {
        // As its client would have it.
        const TIMEOUT: Duration = Duration::from_secs(10);
        let place = event.base_url.as_deref().and_then(|url| url.parse().ok()).and_then(|url| self.place_at(&url));
        let Some(Place { name, far_side: FarSide::Bus(kept), condition, .. }) = place else {
            return Err(BusError::NotInThisBuild);
        };
        let (at, began) = (Timestamp::now(), Instant::now());
        let put = match condition {
            Condition::Well => {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                Ok(StatusCode::OK)
            }
            Condition::Failing => Ok(StatusCode::INTERNAL_SERVER_ERROR),
            Condition::Hanging => {
                tokio::time::sleep(TIMEOUT).await;
                Err(CallError::TimedOut(TIMEOUT))
            }
        };
        self.note(at, began, name, Method::POST, put.as_ref().copied());
        match put {
            Ok(StatusCode::OK) => Ok(()),
            Ok(status) => Err(BusError::Unavailable(format!("it answered {status}").into())),
            Err(error) => Err(BusError::Unavailable(error.into())),
        }
    }

    async fn call(
        &self,
        place: Place,
        mut request: Request<Bytes>,
        policy: Policy,
    ) -> Result<Response<Bytes>, CallError> {
        // As the client gives it to those calls that leave: some ask for one.
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        let (at, began, method) = (Timestamp::now(), Instant::now(), request.method().clone());
        let answered = match place.condition {
            Condition::Well => tokio::time::timeout(policy.timeout, answer(place.far_side.router(), request, policy))
                .await
                .unwrap_or(Err(CallError::TimedOut(policy.timeout))),
            Condition::Failing => {
                let mut broken = Response::new(Bytes::from_static(b"broken on the page of dev"));
                *broken.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                Ok(broken)
            }
            Condition::Hanging => {
                tokio::time::sleep(policy.timeout).await;
                Err(CallError::TimedOut(policy.timeout))
            }
        };
        self.note(at, began, place.name, method, answered.as_ref().map(Response::status));
        answered
    }

    fn note(
        &self,
        at: Timestamp,
        began: Instant,
        destination: String,
        method: Method,
        answered: Result<StatusCode, &CallError>,
    ) {
        let (status, failure) = match answered {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut state = self.state();
        if state.calls.len() == CALLS_KEPT {
            state.calls.pop_front();
        }
        state.calls.push_back(StandInCall { at, destination, method, status, failure, duration: began.elapsed() });
    }

    fn place_at(&self, address: &http::Uri) -> Option<Place> {
        let number: usize = address.host()?.strip_suffix(HOSTS)?.strip_suffix('.')?.parse().ok()?;
        self.state().places.get(number).cloned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(router: Router, request: Request<Bytes>, policy: Policy) -> Result<Response<Bytes>, CallError> {
    let response = router.oneshot(request.map(axum::body::Body::from)).await.unwrap_or_else(|never| match never {});
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, policy.max_body_bytes).collect().await.map_err(CallError::BrokenOff)?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// Calls that leave the house, and those to stand-ins, which do not.
pub(crate) struct Outside {
    real: Reqwest,
    stand_ins: Option<StandIns>,
}

impl Outside {
    pub(crate) fn new(real: Reqwest, stand_ins: Option<StandIns>) -> Self {
        Self { real, stand_ins }
    }
}

impl Outgoing for Outside {
    async fn call(&self, request: Request<Bytes>, policy: Policy) -> Result<Response<Bytes>, CallError> {
        let place = self.stand_ins.as_ref().and_then(|all| Some((all, all.place_at(request.uri())?)));
        match place {
            Some((stand_ins, place)) => stand_ins.call(place, request, policy).await,
            None => self.real.call(request, policy).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shared::routing::Routes;

    use super::*;

    #[test]
    fn whatever_the_file_names_is_filled_in() {
        let text = r#"
destination = [{ name = "inline", type = "discord", url = "secret:a" }, { name = "log", type = "console" }]
route = [{ name = "all", when = { event = "*", tag.browser = "x" }, to = ["inline", "log"] }]
"#;
        let blocks = r##"
[[destination]]
name = "on-call"
type = "pagerduty" # a remark
routing_key = "secret:anything"

[[destination]]
base_url = "https://slack.example"
name = "team"
type = "slack"
bot_token = 'secret:bot'
channel = "#backend"

[[route]]
name = "all"
when = { event = "*" }
to = ["on-call", "team"]
"##;
        let stand_ins = StandIns::default();
        let secrets: BTreeMap<String, String> = toml::from_str(&stand_ins.secrets()).expect("secrets");
        let known = secrets.keys().cloned().collect();
        for (text, names) in [(text, ["inline", "log"]), (blocks, ["on-call", "team"])] {
            let filled = stand_ins.fill_in(text).expect("a file");
            let routes = Routes::compile(&filled).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{filled}"));
            assert!(routes.missing_secrets(&known).is_empty(), "{filled}");
            for destination in routes.destinations() {
                let is_called = destination.kind != "console";
                let base_url = destination.base_url.as_deref().unwrap_or_default();
                assert_eq!(base_url.ends_with(HOSTS), is_called, "{filled}");
            }
            let places: Vec<String> = stand_ins.places().into_iter().map(|place| place.name).collect();
            assert_eq!(places, names);
            assert_eq!(stand_ins.text(), text);
        }
    }

    #[test]
    fn a_destination_that_comes_back_is_the_same_and_the_same_account_is_shared() {
        let one = |name: &str, secret: &str| {
            format!("[[destination]]\nname = \"{name}\"\ntype = \"discord\"\nurl = \"secret:{secret}\"\n")
        };
        let stand_ins = StandIns::default();
        let first = stand_ins.fill_in(&one("a", "x")).expect("a file");
        stand_ins.fill_in(&one("b", "y")).expect("a file");
        assert_eq!(stand_ins.fill_in(&one("a", "x")).expect("a file"), first);
        let both = stand_ins.fill_in(&(one("a", "x") + &one("c", "x"))).expect("a file");
        assert!(both.contains("//0.") && both.contains("//2."), "each has its own switch: {both}");
        assert!(stand_ins.set_condition("c", Condition::Failing) && !stand_ins.set_condition("b", Condition::Failing));
        let conditions: Vec<Condition> = stand_ins.places().iter().map(|place| place.condition).collect();
        assert_eq!(conditions, [Condition::Well, Condition::Failing]);
    }

    #[tokio::test]
    async fn a_tracker_has_one_repository_of_its_own_only_until_the_file_names_some() {
        let tracker = |name: &str, repositories: &str| {
            format!("[[tracker]]\nname = \"{name}\"\ntype = \"github\"\ntoken = \"secret:{name}\"\n{repositories}\n")
        };
        let cases = [
            (&["repositories = [\"me/shop\"]"][..], "me/shop"),
            (&[""], "acme/backend"),
            // What was there once is not deleted by the file.
            (&["repositories = [\"me/shop\"]", "repositories = [\"me/site\", \"Me/Shop\"]", ""], "me/shop me/site"),
        ];
        for (texts, expected) in cases {
            let stand_ins = StandIns::default();
            for text in texts {
                stand_ins.fill_in(&tracker("hub", text)).expect("a file");
            }
            let place = stand_ins.trackers().remove(0);
            let request = Request::get("/user/repos")
                .header("authorization", format!("Bearer {}", simulator::GitHub::default().token()))
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28");
            let policy = Policy { guarded: true, timeout: Duration::from_secs(5), max_body_bytes: 100_000 };
            let listed = stand_ins.call(place, request.body(Bytes::new()).expect("a request"), policy).await;
            let listed: Vec<serde_json::Value> =
                serde_json::from_slice(listed.expect("an answer").body()).expect("JSON");
            let usable = listed.iter().filter(|one| one["archived"] == false);
            assert_eq!(usable.filter_map(|one| one["full_name"].as_str()).collect::<Vec<_>>().join(" "), expected);
        }
    }
}
