//! One Sentry, one bundle, one clock.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shared::deliver::{Deliver, Ticked};
use shared::dispatch::Dispatch;
use shared::ids::InstallationId;
use shared::installation::Keeper;
use shared::ports::{
    Clock, Consume, Deliveries, DeliveryRecord, DestinationHealth, Installation, Installations, Secret, Settings,
    Written,
};
use shared::refresh::{Refresh, Tick};
use shared::secrets::AppSecrets;
use shared::sentry::BaseUrl;
use shared::setup::Setup;
use shared::webhook::Webhook;
use shared_embedded::Store;
use simulator::{
    Alert, AlertUrls, Answering, Assignee, Config, Direction, Install, Installed, NewIssue, Order, PushoverMessage,
    SendFailure, Simulator, Version,
};

use crate::ports::{Buses, Counted, FaultyQueue, FaultySettings, Ports, Steady, Vault, VirtualClock, Wires};

/// As the functions have it on AWS.
const VISIBILITY: Duration = Duration::from_mins(3);
const DISPATCH_TIME: Duration = Duration::from_secs(58);
const DELIVER_TIME: Duration = Duration::from_secs(28);
const REFRESH_TIME: Duration = Duration::from_secs(230);

/// What rings for issues and alerts in the project *Backend*.
pub(crate) const BACKEND_RINGS: &str = r#"
[[destination]]
name = "phones"
type = "pushover"
user = "secret:pushover-user"
token = "secret:pushover-token"
base_url = "http://pushover.test"

[[route]]
name = "backend"
when = { event = ["issue.*", "event_alert.triggered"], project = "Backend" }
to = ["phones"]
"#;

pub(crate) type Hook = Webhook<Vault, FaultyQueue, VirtualClock>;

pub(crate) struct World {
    pub(crate) sentry: Simulator,
    pub(crate) ports: Arc<Ports>,
    pub(crate) webhook: Arc<Hook>,
    pub(crate) setup: Setup<Ports>,
    pub(crate) dispatch: Dispatch<Ports>,
    pub(crate) deliver: Deliver<Ports>,
    pub(crate) refresh: Refresh<Ports>,
    /// For what no function is asked for directly.
    pub(crate) keeper: Keeper<Ports>,
}

/// Sentry's webhooks, straight into the function.
struct Direct(Arc<Hook>);

impl simulator::Deliver for Direct {
    fn send(&self, request: Request<Bytes>, timeout: Duration) -> Answering {
        let webhook = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let answer = tokio::time::timeout(timeout, webhook.handle(&parts.headers, body, None)).await;
            answer.map(|answer| answer.map(Bytes::from)).map_err(|_| SendFailure::TimedOut)
        })
    }
}

impl World {
    /// A published app on today's Sentry, with routes that ring for *Backend*.
    pub(crate) async fn new() -> Self {
        Self::of(Config::default()).await
    }

    pub(crate) async fn of(config: Config) -> Self {
        let clock = VirtualClock::start();
        let sentry = Simulator::new(Config {
            webhook_url: Some("http://app.test/webhook".to_owned()),
            redirect_url: Some("http://app.test/setup".to_owned()),
            base_url: "http://sentry.test".to_owned(),
            clock: Arc::new(move || clock.now()),
            ..config
        });
        let secrets = Vault::default();
        secrets.put(Secret::App, app_secret(&sentry).to_string(), None);
        secrets.put(Secret::TokenKey, "k".repeat(64), None);
        let phones = json!({"pushover-user": "u".repeat(30), "pushover-token": "a".repeat(30)});
        secrets.put(Secret::Destinations, phones.to_string(), None);
        let store = Store::open_in_memory(clock).unwrap();
        let ports = Arc::new(Ports {
            installations: Steady(store.installations().clone()),
            deliveries: Steady(store.deliveries().clone()),
            settings: FaultySettings { inner: store.settings().clone(), down: false.into() },
            events: FaultyQueue::new(store.events().clone()),
            outbox: FaultyQueue::new(store.outbox().clone()),
            secrets,
            clock,
            chance: Counted::default(),
            outgoing: Wires::to(sentry.clone()),
            buses: Buses::default(),
        });
        let base_url = BaseUrl::parse("http://sentry.test").unwrap();
        let webhook = Arc::new(Webhook {
            secrets: AppSecrets::new(ports.secrets.clone(), clock),
            queue: ports.events.clone(),
            clock,
        });
        sentry.set_deliver(Arc::new(Direct(Arc::clone(&webhook))));
        let world = Self {
            setup: Setup::new(Arc::clone(&ports), base_url.clone()),
            dispatch: Dispatch::new(Arc::clone(&ports), base_url.clone()),
            deliver: Deliver::new(Arc::clone(&ports), base_url.clone()),
            refresh: Refresh::new(Arc::clone(&ports), base_url.clone()),
            keeper: Keeper::new(Arc::clone(&ports), base_url),
            sentry,
            ports,
            webhook,
        };
        world.push_routes(BACKEND_RINGS).await;
        world
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    pub(crate) async fn push_routes(&self, text: &str) {
        let version = self.ports.settings.routes_version().await.unwrap().unwrap_or(0);
        assert_eq!(self.ports.settings.put_routes(text, version, self.now()).await.unwrap(), Written::Done);
    }

    /// Works off both queues as far as messages are visible now.
    pub(crate) async fn work(&self) {
        loop {
            let events = self.ports.events.receive(10, VISIBILITY).await.unwrap();
            let deliveries = self.ports.outbox.receive(1, VISIBILITY).await.unwrap();
            if events.is_empty() && deliveries.is_empty() {
                return;
            }
            let receipts = |batch: &[shared::ports::Received]| -> Vec<(String, String)> {
                batch.iter().map(|message| (message.id.clone(), message.receipt.clone())).collect()
            };
            let (of_events, of_deliveries) = (receipts(&events), receipts(&deliveries));
            let undone = self.dispatch.handle(events, self.now() + DISPATCH_TIME).await;
            delete_done(&self.ports.events, of_events, undone).await;
            let undone = self.deliver.handle(deliveries).await;
            delete_done(&self.ports.outbox, of_deliveries, undone).await;
        }
    }

    /// Lets time pass, with both queues worked off whenever something in them becomes visible.
    pub(crate) async fn pass(&self, time: Duration) {
        let end = self.now() + time;
        loop {
            self.work().await;
            let next = [self.ports.events.next_visible_at().await, self.ports.outbox.next_visible_at().await];
            // A message may be visible and still blocked by its group.
            let soonest = self.now() + Duration::from_millis(100);
            match next.into_iter().flatten().min().map(|at| at.max(soonest)).filter(|at| *at <= end) {
                Some(at) => self.sleep_until(at).await,
                None => break,
            }
        }
        self.sleep_until(end).await;
        self.work().await;
    }

    async fn sleep_until(&self, at: Timestamp) {
        let left = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
        tokio::time::sleep(left).await;
    }

    /// One tick of `refresh`.
    pub(crate) async fn tick(&self) -> Tick {
        self.refresh.tick(self.now() + REFRESH_TIME).await.unwrap()
    }

    /// One tick of `deliver`, and what it brought about.
    pub(crate) async fn tick_deliver(&self) -> Ticked {
        let ticked = self.deliver.tick(self.now() + DELIVER_TIME).await.unwrap();
        self.work().await;
        ticked
    }

    /// Lets time pass as it does in service: with a tick of `deliver` every minute (as long as that has anything to do)
    /// and of `refresh` every five.
    pub(crate) async fn live(&self, time: Duration) {
        const REFRESHED_EVERY: Duration = Duration::from_mins(5);
        let end = self.now() + time;
        let mut refreshed = self.now();
        while self.now() < end {
            let is_calm = self.ports.deliveries.not_open().await.unwrap().is_empty()
                && self.ports.events.depth().await == 0
                && self.ports.outbox.depth().await == 0;
            let step = if is_calm { REFRESHED_EVERY } else { Duration::from_mins(1) };
            let left = Duration::try_from(end.duration_since(self.now())).unwrap_or_default();
            self.pass(left.min(step)).await;
            self.tick_deliver().await;
            if self.now() >= refreshed + REFRESHED_EVERY {
                refreshed = self.now();
                self.tick().await;
            }
        }
    }

    /// How a destination does.
    pub(crate) async fn health(&self, destination: &str) -> DestinationHealth {
        self.ports.deliveries.destination(&destination.parse().unwrap()).await.unwrap()
    }

    pub(crate) async fn row(&self, installation: &str) -> Option<Installation> {
        let id: InstallationId = installation.parse().unwrap();
        self.ports.installations.read(id, self.now()).await.unwrap()
    }

    /// The access token as it is stored.
    pub(crate) async fn token(&self, installation: &str) -> Option<String> {
        let token = self.keeper.stored_token(installation.parse().unwrap()).await.unwrap();
        token.map(|token| token.expose_secret().to_owned())
    }

    /// Installs by redirect and webhook, until Sentry says so.
    pub(crate) async fn installed(&self) -> String {
        let installed = self.sentry.install_with(Install { order: Order::Both, ..Install::default() }).await;
        let answer = self.follow(&installed).await;
        assert_eq!(answer.status(), 302, "{}", answer.body());
        installed.webhook.delivery().await.unwrap();
        self.work().await;
        assert_eq!(self.sentry.status_of(&installed.installation), Some("installed"));
        installed.installation
    }

    /// Installs for one organization of many.
    pub(crate) async fn installed_for(&self, organization: &str) -> String {
        let options = Install { organization: Some(organization.to_owned()), ..Install::default() };
        let installed = self.sentry.install_with(options).await;
        self.work().await;
        assert_eq!(self.sentry.status_of(&installed.installation), Some("installed"));
        installed.installation
    }

    /// The browser at the address where Sentry sends it.
    pub(crate) async fn follow(&self, installed: &Installed) -> Response<String> {
        let address = installed.redirect_url.as_deref().unwrap();
        self.setup.handle(address.split_once('?').unwrap().1, None).await
    }

    /// What the log of all deliveries says, oldest first.
    pub(crate) async fn records(&self) -> Vec<DeliveryRecord> {
        let mut records = self.ports.deliveries.recent(Timestamp::UNIX_EPOCH, self.now(), 1000).await.unwrap();
        records.reverse();
        records
    }

    pub(crate) fn rung(&self) -> Vec<PushoverMessage> {
        self.sentry.pushover_messages()
    }

    /// Calls to Sentry about `subject` so far, with status.
    pub(crate) fn calls(&self, subject: &str) -> Vec<u16> {
        let log = self.sentry.log().into_iter();
        log.filter(|call| call.direction == Direction::ToSentry && call.subject.starts_with(subject))
            .filter_map(|call| call.status)
            .collect()
    }
}

/// The text of the secret `app` for this Sentry.
pub(crate) fn app_secret(sentry: &Simulator) -> Value {
    let mut app = json!({"client_id": sentry.client_id(), "client_secret": sentry.client_secret().expose_secret()});
    if let Some(token) = sentry.api_token() {
        app["api_token"] = token.expose_secret().into();
    }
    app
}

/// Headers of a webhook.
pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

async fn delete_done(queue: &FaultyQueue, receipts: Vec<(String, String)>, undone: Vec<String>) {
    let undone: HashSet<String> = undone.into_iter().collect();
    for (_, receipt) in receipts.iter().filter(|(id, _)| !undone.contains(id)) {
        queue.delete(receipt).await.unwrap();
    }
}

/// How to install.
pub(crate) fn order(order: Order) -> Install {
    Install { order, ..Install::default() }
}

/// A published app on this Sentry.
pub(crate) async fn of_version(version: Version) -> World {
    World::of(Config { version, ..Config::default() }).await
}

pub(crate) async fn alert_to_look_up(sentry: &Simulator) {
    let issue = sentry.create_issue(NewIssue::new("Backend", "ValueError: division by zero")).await.unwrap().issue;
    let alert = Alert { urls: AlertUrls::Absent, ..Alert::default() };
    assert!(sentry.trigger_alert(issue, alert).await.unwrap().is_accepted());
}

/// Lets an issue happen; its id.
pub(crate) async fn issue(world: &World, project: &str, title: &str) -> u64 {
    let created = world.sentry.create_issue(NewIssue::new(project, title)).await.unwrap();
    assert!(created.delivery.is_accepted());
    created.issue
}

pub(crate) fn user(name: &str) -> Assignee {
    Assignee::User { id: 7, name: name.to_owned(), email: format!("{name}@example.com") }
}
