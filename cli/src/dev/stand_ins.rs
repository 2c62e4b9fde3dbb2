//! What stands in for the destinations and trackers of a routes file, in this process: each is called at a made-up host
//! of its own, and whatever secret it names is made up too. Nothing of it leaves the process.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use serde::Deserialize;
use shared::outgoing::Reqwest;
use shared::ports::{BusError, BusEvent, CallError, Outgoing, Policy};
use simulator::{Discord, Jira, Linear, Mattermost, PagerDuty, Receiver, Simulator, Slack, Teams};
use toml::{Spanned, Value};
use tower::ServiceExt;

/// Standard Webhooks wants 24 to 64 bytes; these are 32.
const WEBHOOK_SECRET: &str = "whsec_c3RhbmQtaW4tc3RhbmQtaW4tc3RhbmQtaW4tMDE=";
/// What a stand-in's host ends with: a name that is never looked up (RFC 6761).
const HOSTS: &str = "stand-in.invalid";
/// The oldest calls beyond this many are dropped.
const CALLS_KEPT: usize = 200;

/// The far side of one destination.
#[derive(Clone)]
pub(crate) enum FarSide {
    Slack {
        workspace: Slack,
        channel: String,
    },
    Discord(Discord),
    Mattermost(Mattermost),
    Teams(Teams),
    PagerDuty(PagerDuty),
    Webhook(Receiver),
    Pushover(Simulator),
    Bus(Arc<Mutex<Vec<BusEvent>>>),
    Jira(Jira),
    Linear(Linear),
    /// A tracker without a stand-in: it answers 404 to everything.
    Nobody,
    /// Tickets: they are opened in a tracker of the file.
    Tickets,
    /// It writes into the log: nothing arrives anywhere else.
    Console,
}

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
    /// Its secrets by name, and its channel: whoever has the same is the same account.
    account: BTreeMap<String, String>,
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

#[derive(Clone)]
pub(crate) struct StandIns {
    state: Arc<Mutex<State>>,
    /// Their addresses are what the made-up secrets hold; each further one of its kind has the same.
    discord: Discord,
    teams: Teams,
}

/// As much of a routes file as is filled in here; it has been compiled before.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    destination: Vec<Block>,
    #[serde(default)]
    tracker: Vec<Block>,
}

type Block = Spanned<BTreeMap<String, Spanned<Value>>>;

impl StandIns {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), discord: Discord::default(), teams: Teams::default() }
    }

    /// The made-up secrets as a flat TOML table, by the names that [`Self::fill_in`] uses. They open nothing.
    pub(crate) fn secrets(&self) -> String {
        let slack = Slack::default();
        let values = [
            ("pushover-user", "u".repeat(30)),
            ("pushover-token", "a".repeat(30)),
            ("slack-url", format!("https://hooks.slack.com{}", slack.webhook_path())),
            ("slack-bot_token", slack.bot_token().to_owned()),
            ("discord-url", self.discord.webhook_url()),
            ("mattermost-url", format!("https://{HOSTS}{}", Mattermost::default().hook_path())),
            ("teams-url", self.teams.webhook_url()),
            ("pagerduty-routing_key", "0".repeat(32)),
            ("webhook-url", format!("https://{HOSTS}/hook")),
            ("webhook-secret", WEBHOOK_SECRET.to_owned()),
            ("github-token", "made-up".to_owned()),
            ("gitlab-token", "made-up".to_owned()),
            ("linear-token", Linear::default().api_key().to_owned()),
            ("jira-token", Jira::cloud().token().to_owned()),
        ];
        values.map(|(name, value)| format!("{name} = {}\n", Value::String(value))).concat()
    }

    /// The text with an address and made-up secrets for each destination; its destinations are the ones in force from
    /// now on.
    pub(crate) fn fill_in(&self, text: &str) -> anyhow::Result<String> {
        let file: File = toml::from_str(text)?;
        let mut state = self.state();
        let mut edits = Vec::new();
        let mut fill = |blocks: &[Block], places: &mut Vec<Place>| -> Vec<usize> {
            blocks.iter().map(|block| self.fill_in_block(text, block, places, &mut edits)).collect()
        };
        let in_force = fill(&file.destination, &mut state.places);
        let trackers = fill(&file.tracker, &mut state.places);
        text.clone_into(&mut state.text);
        (state.in_force, state.trackers) = (in_force, trackers);
        Ok(edited(text, edits))
    }

    /// The number of the block's place.
    fn fill_in_block(&self, text: &str, block: &Block, places: &mut Vec<Place>, edits: &mut Edits) -> usize {
        let keys = block.get_ref();
        let word = |key: &str| keys.get(key).and_then(|value| value.get_ref().as_str()).unwrap_or_default();
        let (name, kind) = (word("name").to_owned(), word("type").to_owned());
        let mut account: BTreeMap<String, String> = BTreeMap::new();
        for (key, value) in keys {
            let Some(secret) = value.get_ref().as_str().and_then(|text| text.strip_prefix("secret:")) else {
                continue;
            };
            account.insert(key.clone(), secret.to_owned());
            edits.push((value.span(), made_up(&kind, key)));
        }
        let channel = word("channel").strip_prefix("secret:").map_or(word("channel"), |_| "alerts");
        account.insert("#".to_owned(), channel.trim_start_matches('#').to_owned());
        if let Some(email) = keys.get("email").filter(|_| kind == "jira") {
            account.insert("email".to_owned(), word("email").to_owned());
            edits.push((email.span(), format!("\"{}\"", Jira::cloud().email())));
        }
        let number = self.number(places, name, kind.clone(), account);
        if !matches!(places[number].far_side, FarSide::Console | FarSide::Tickets) {
            let address = format!("\"http://{number}.{HOSTS}\"");
            match (keys.get("base_url"), keys.get("type")) {
                (Some(given), _) => edits.push((given.span(), address)),
                (None, Some(of_type)) => {
                    let is_inline = text[block.span()].starts_with('{');
                    let parted = if is_inline { "," } else { "\n" };
                    edits.push((of_type.span(), format!("\"{kind}\"{parted} base_url = {address}")));
                }
                (None, None) => {}
            }
        }
        number
    }

    fn number(&self, places: &mut Vec<Place>, name: String, kind: String, account: BTreeMap<String, String>) -> usize {
        let same = |place: &Place| place.kind == kind && place.account == account;
        if let Some(known) = places.iter().position(|place| place.name == name && same(place)) {
            return known;
        }
        let shared = places.iter().find(|place| same(place) && kind != "eventbridge");
        let far_side = match shared {
            Some(place) => place.far_side.clone(),
            None => self.far_side(places, &kind, &account),
        };
        places.push(Place { name, kind, far_side, condition: Condition::Well, account });
        places.len() - 1
    }

    fn far_side(&self, places: &[Place], kind: &str, account: &BTreeMap<String, String>) -> FarSide {
        match kind {
            "slack" => {
                // One bot has one workspace, with as many channels as are named.
                let token = account.get("bot_token");
                let of_bot = places.iter().find_map(|place| match &place.far_side {
                    FarSide::Slack { workspace, .. } if token.is_some() && place.account.get("bot_token") == token => {
                        Some(workspace.clone())
                    }
                    _ => None,
                });
                let workspace = of_bot.unwrap_or_default();
                let named = account.get("#").filter(|channel| !channel.is_empty() && token.is_some());
                let channel = named.map_or("alerts", String::as_str).to_owned();
                if channel != "alerts" {
                    workspace.add_channel(&channel);
                }
                FarSide::Slack { workspace, channel }
            }
            "discord" => FarSide::Discord(self.discord.another()),
            "mattermost" => FarSide::Mattermost(Mattermost::default()),
            "teams" => FarSide::Teams(self.teams.another()),
            "pagerduty" => FarSide::PagerDuty(PagerDuty::default()),
            "webhook" => FarSide::Webhook(Receiver::in_real_time(WEBHOOK_SECRET)),
            "pushover" => FarSide::Pushover(Simulator::new(simulator::Config::default())),
            "eventbridge" => FarSide::Bus(Arc::default()),
            "jira" if account.contains_key("email") => FarSide::Jira(Jira::cloud()),
            "jira" => FarSide::Jira(Jira::data_center()),
            "linear" => FarSide::Linear(Linear::default()),
            "github" | "gitlab" => FarSide::Nobody,
            kind if kind.ends_with("-issue") => FarSide::Tickets,
            _ => FarSide::Console,
        }
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

    async fn call(&self, place: Place, request: Request<Bytes>, policy: Policy) -> Result<Response<Bytes>, CallError> {
        let (at, began, method) = (Timestamp::now(), Instant::now(), request.method().clone());
        let answered = match place.condition {
            Condition::Well => tokio::time::timeout(policy.timeout, answer(&place.far_side, request, policy))
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

async fn answer(far_side: &FarSide, request: Request<Bytes>, policy: Policy) -> Result<Response<Bytes>, CallError> {
    let router = match far_side {
        FarSide::Slack { workspace, .. } => workspace.router(),
        FarSide::Discord(discord) => discord.router(),
        FarSide::Mattermost(mattermost) => mattermost.router(),
        FarSide::Teams(teams) => teams.router(),
        FarSide::PagerDuty(pagerduty) => pagerduty.router(),
        FarSide::Webhook(receiver) => receiver.router(),
        FarSide::Pushover(pushover) => pushover.pushover_router(),
        FarSide::Jira(jira) => jira.router(),
        FarSide::Linear(linear) => linear.router(),
        FarSide::Bus(_) | FarSide::Console | FarSide::Tickets | FarSide::Nobody => axum::Router::new(),
    };
    let response = router.oneshot(request.map(axum::body::Body::from)).await.unwrap_or_else(|never| match never {});
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, policy.max_body_bytes).collect().await.map_err(CallError::BrokenOff)?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// What stands in the file instead of a secret of its own: one of [`StandIns::secrets`], or where any text may stand, a
/// text.
fn made_up(kind: &str, key: &str) -> String {
    match (kind, key) {
        ("slack", "channel") => "\"#alerts\"".to_owned(),
        ("pushover", "user" | "token")
        | ("slack", "url" | "bot_token")
        | ("discord" | "mattermost" | "teams", "url")
        | ("pagerduty", "routing_key")
        | ("webhook", "url" | "secret")
        | ("github" | "gitlab" | "jira" | "linear", "token") => format!("\"secret:{kind}-{key}\""),
        _ => "\"made-up\"".to_owned(),
    }
}

/// Places of the text, and what stands there instead.
type Edits = Vec<(Range<usize>, String)>;

fn edited(text: &str, mut edits: Edits) -> String {
    edits.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    let mut text = text.to_owned();
    for (place, instead) in edits {
        text.replace_range(place, &instead);
    }
    text
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
        let stand_ins = StandIns::new();
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
        let stand_ins = StandIns::new();
        let first = stand_ins.fill_in(&one("a", "x")).expect("a file");
        stand_ins.fill_in(&one("b", "y")).expect("a file");
        assert_eq!(stand_ins.fill_in(&one("a", "x")).expect("a file"), first);
        let both = stand_ins.fill_in(&(one("a", "x") + &one("c", "x"))).expect("a file");
        assert!(both.contains("//0.") && both.contains("//2."), "each has its own switch: {both}");
        assert!(stand_ins.set_condition("c", Condition::Failing) && !stand_ins.set_condition("b", Condition::Failing));
        let conditions: Vec<Condition> = stand_ins.places().iter().map(|place| place.condition).collect();
        assert_eq!(conditions, [Condition::Well, Condition::Failing]);
    }
}
