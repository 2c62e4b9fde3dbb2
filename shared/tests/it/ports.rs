//! The ports of a world: the embedded store made fit for virtual time, secrets and queue faults at will, and the way
//! out, which ends in the simulator's routers.
//!
//! The paused clock jumps to the next timer as soon as nothing is left to run. It knows nothing of the store's own
//! threads, so a call of the store holds it back: a blocking task that ends with the call.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use secrecy::SecretString;
use shared::destinations::kind::Thread;
use shared::ids::{DeliveryId, DestinationName, InstallationId};
use shared::ports::{
    BusError, BusEvent, CallError, Chance, Claim, Clock, Consume, Deliveries, DeliveryRecord, DeliveryState,
    DestinationHealth, EventBus, Installation, Installations, Mark, Message, Outcome, Outgoing, Platform, Policy,
    Queue, QueueError, Received, Secret, SecretVersion, Secrets, SecretsError, Settings, Stage, StoreError,
    StoredRoutes, Stuck, ThreadKey, Written,
};
use shared_embedded::{SqliteDeliveries, SqliteInstallations, SqliteQueue, SqliteSettings};
use simulator::Simulator;
use tokio::time::Instant;
use tower::ServiceExt as _;

/// Tokio's paused clock, counted from a fixed instant.
#[derive(Clone, Copy)]
pub(crate) struct VirtualClock {
    base: Timestamp,
    start: Instant,
}

impl VirtualClock {
    pub(crate) fn start() -> Self {
        Self { base: "2026-11-24T10:00:00Z".parse().unwrap(), start: Instant::now() }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.base + self.start.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The same numbers every time.
#[derive(Default)]
pub(crate) struct Counted(AtomicU64);

impl Chance for Counted {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        std::array::from_fn(|_| {
            let mut x = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            (x ^ (x >> 27)).to_be_bytes()[0]
        })
    }
}

thread_local! {
    static MEANWHILE: Cell<Option<DestinationHealth>> = const { Cell::new(None) };
    static FORGOTTEN: Cell<u32> = const { Cell::new(0) };
}

/// The next `times` writes of a thread fail.
pub(crate) fn forget_threads(times: u32) {
    FORGOTTEN.set(times);
}

/// Somebody else writes this row just before the next delivery is settled.
pub(crate) fn written_meanwhile(row: DestinationHealth) {
    MEANWHILE.set(Some(row));
}

/// Holds the paused clock back while `work` waits for another thread.
async fn held<T>(work: impl Future<Output = T>) -> T {
    let (done, waits) = mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || waits.recv().is_ok());
    let result = work.await;
    drop(done);
    result
}

/// A port of the store that holds the clock back.
#[derive(Clone)]
pub(crate) struct Steady<T>(pub(crate) T);

impl Installations for Steady<SqliteInstallations> {
    async fn read(&self, id: InstallationId, now: Timestamp) -> Result<Option<Installation>, StoreError> {
        held(self.0.read(id, now)).await
    }
    async fn write(&self, row: &Installation, now: Timestamp) -> Result<Written, StoreError> {
        held(self.0.write(row, now)).await
    }
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<InstallationId>, StoreError> {
        held(self.0.due(now, limit)).await
    }
}

impl Deliveries for Steady<SqliteDeliveries> {
    async fn create(&self, record: &DeliveryRecord) -> Result<Written, StoreError> {
        held(self.0.create(record)).await
    }
    async fn read(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        held(self.0.read(id)).await
    }
    async fn claim(&self, id: &DeliveryId, resend: Option<Timestamp>, now: Timestamp) -> Result<Claim, StoreError> {
        held(self.0.claim(id, resend, now)).await
    }
    async fn claim_parked(&self, id: &DeliveryId, probe: bool, now: Timestamp) -> Result<Claim, StoreError> {
        held(self.0.claim_parked(id, probe, now)).await
    }
    async fn settle(&self, id: &DeliveryId, tries: u32, end: Outcome, now: Timestamp) -> Result<Written, StoreError> {
        if let Some(row) = MEANWHILE.take() {
            assert_eq!(held(self.0.write_destination(&row)).await?, Written::Done);
        }
        held(self.0.settle(id, tries, end, now)).await
    }
    async fn destination(&self, name: &DestinationName) -> Result<DestinationHealth, StoreError> {
        held(self.0.destination(name)).await
    }
    async fn write_destination(&self, row: &DestinationHealth) -> Result<Written, StoreError> {
        held(self.0.write_destination(row)).await
    }
    async fn not_open(&self) -> Result<Vec<DestinationName>, StoreError> {
        held(self.0.not_open()).await
    }
    async fn thread(&self, key: &ThreadKey, now: Timestamp) -> Result<Option<Thread>, StoreError> {
        held(self.0.thread(key, now)).await
    }
    async fn put_thread(&self, key: &ThreadKey, what: Option<&Thread>, until: Timestamp) -> Result<(), StoreError> {
        if let Some(left) = FORGOTTEN.get().checked_sub(1) {
            FORGOTTEN.set(left);
            return Err(StoreError::Unavailable { store: "deliveries", source: "down".into() });
        }
        held(self.0.put_thread(key, what, until)).await
    }
    async fn recent(&self, since: Timestamp, now: Timestamp, max: usize) -> Result<Vec<DeliveryRecord>, StoreError> {
        held(self.0.recent(since, now, max)).await
    }
    async fn stuck(
        &self,
        destination: &DestinationName,
        state: DeliveryState,
        after: Option<&Stuck>,
        limit: usize,
    ) -> Result<Vec<Stuck>, StoreError> {
        held(self.0.stuck(destination, state, after, limit)).await
    }
    async fn with_failed(&self) -> Result<Vec<DestinationName>, StoreError> {
        held(self.0.with_failed()).await
    }
    async fn recall(&self, key: &str, now: Timestamp) -> Result<Option<Mark>, StoreError> {
        held(self.0.recall(key, now)).await
    }
    async fn mark(
        &self,
        key: &str,
        mark: &Mark,
        expected: Option<&Mark>,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        held(self.0.mark(key, mark, expected, expires, now)).await
    }
}

/// The settings, which can be out of reach.
pub(crate) struct FaultySettings {
    pub(crate) inner: SqliteSettings,
    pub(crate) down: AtomicBool,
}

impl FaultySettings {
    fn reach(&self) -> Result<&SqliteSettings, StoreError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { store: "settings", source: "down".into() });
        }
        Ok(&self.inner)
    }
}

impl Settings for FaultySettings {
    fn ask_again_after(&self) -> Duration {
        self.inner.ask_again_after()
    }
    async fn routes_version(&self) -> Result<Option<u64>, StoreError> {
        held(self.reach()?.routes_version()).await
    }
    async fn routes(&self) -> Result<Option<StoredRoutes>, StoreError> {
        held(self.reach()?.routes()).await
    }
    async fn put_routes(&self, text: &str, expected: u64, now: Timestamp) -> Result<Written, StoreError> {
        held(self.reach()?.put_routes(text, expected, now)).await
    }
}

/// What goes wrong with the next send.
#[derive(Clone, Copy)]
pub(crate) enum QueueFault {
    Down,
    /// Nothing is sent, and the answer never comes.
    Hangs,
    /// It is sent, and the answer never comes.
    SentAndHangs,
    /// It is sent, and the answer says otherwise.
    SentAndDown,
}

/// A queue with faults on demand, for sends alone.
#[derive(Clone)]
pub(crate) struct FaultyQueue {
    pub(crate) inner: SqliteQueue<VirtualClock>,
    pub(crate) faults: Arc<Mutex<VecDeque<QueueFault>>>,
    /// What [`Queue::max_bytes`] says; SQS's 1 MiB where a test wants it.
    pub(crate) max_bytes: Arc<Mutex<Option<usize>>>,
}

impl FaultyQueue {
    pub(crate) fn new(inner: SqliteQueue<VirtualClock>) -> Self {
        Self { inner, faults: Arc::default(), max_bytes: Arc::default() }
    }

    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = QueueFault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    pub(crate) async fn depth(&self) -> u64 {
        held(self.inner.depth()).await.unwrap()
    }

    pub(crate) async fn next_visible_at(&self) -> Option<Timestamp> {
        held(self.inner.next_visible_at()).await.unwrap()
    }
}

impl Queue for FaultyQueue {
    fn max_bytes(&self) -> usize {
        self.max_bytes.lock().unwrap().unwrap_or_else(|| self.inner.max_bytes())
    }

    async fn send(&self, message: &Message) -> Result<(), QueueError> {
        let fault = self.faults.lock().unwrap().pop_front();
        let down = || Err(QueueError::Unavailable("down".into()));
        match fault {
            None => held(self.inner.send(message)).await,
            Some(QueueFault::Down) => down(),
            Some(QueueFault::Hangs) => std::future::pending().await,
            Some(QueueFault::SentAndHangs) => {
                held(self.inner.send(message)).await?;
                std::future::pending().await
            }
            Some(QueueFault::SentAndDown) => {
                held(self.inner.send(message)).await?;
                down()
            }
        }
    }

    async fn hide(&self, receipt: &str, duration: Duration) -> Result<(), QueueError> {
        held(self.inner.hide(receipt, duration)).await
    }
}

impl Consume for FaultyQueue {
    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<Received>, QueueError> {
        held(self.inner.receive(max, visibility)).await
    }
    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        held(self.inner.delete(receipt)).await
    }
}

/// How secrets cannot be read.
#[derive(Clone, Copy)]
pub(crate) enum Broken {
    Down,
    Hangs,
}

/// Secrets as texts, to be changed while the world runs.
#[derive(Clone, Default)]
pub(crate) struct Vault {
    versions: Arc<Mutex<BTreeMap<(&'static str, bool), SecretVersion>>>,
    /// Every reading so far, by secret.
    pub(crate) readings: Arc<Mutex<Vec<Secret>>>,
    pub(crate) broken: Arc<Mutex<Option<Broken>>>,
}

impl Vault {
    /// Makes `text` the current version and the one before it the previous.
    pub(crate) fn put(&self, secret: Secret, text: impl Into<String>, since: Option<Timestamp>) {
        let mut versions = self.versions.lock().unwrap();
        let version = SecretVersion { text: SecretString::from(text.into()), since };
        if let Some(before) = versions.insert((secret.as_str(), true), version) {
            versions.insert((secret.as_str(), false), before);
        }
    }
}

impl Secrets for Vault {
    async fn read(&self, secret: Secret, stage: Stage) -> Result<Option<SecretVersion>, SecretsError> {
        self.readings.lock().unwrap().push(secret);
        let broken = *self.broken.lock().unwrap();
        match broken {
            None => {}
            Some(Broken::Down) => {
                return Err(SecretsError::Unavailable { secret: secret.as_str(), source: "down".into() });
            }
            Some(Broken::Hangs) => std::future::pending().await,
        }
        Ok(self.versions.lock().unwrap().get(&(secret.as_str(), stage == Stage::Current)).cloned())
    }
}

/// The way out: the host of a request says whose router answers it.
#[derive(Clone)]
pub(crate) struct Wires {
    pub(crate) sentry: Simulator,
    /// Hosts that cannot be reached.
    pub(crate) cut: Arc<Mutex<BTreeSet<String>>>,
    /// What stands behind other hosts.
    others: Arc<Mutex<BTreeMap<String, Router>>>,
}

impl Wires {
    pub(crate) fn to(sentry: Simulator) -> Self {
        Self { sentry, cut: Arc::default(), others: Arc::default() }
    }

    /// Puts `router` behind `host`.
    pub(crate) fn plug(&self, host: &str, router: Router) {
        self.others.lock().unwrap().insert(host.to_owned(), router);
    }
}

impl Outgoing for Wires {
    async fn call(
        &self,
        mut request: http::Request<Bytes>,
        policy: Policy,
    ) -> Result<http::Response<Bytes>, CallError> {
        // As the real client does.
        request.headers_mut().insert(http::header::USER_AGENT, http::HeaderValue::from_static("sentry-switchboard/0"));
        let host = request.uri().host().unwrap_or_default().to_owned();
        if self.cut.lock().unwrap().contains(&host) {
            return Err(CallError::Unreachable("cut".into()));
        }
        let router = match host.as_str() {
            "sentry.test" => self.sentry.router(),
            "pushover.test" => self.sentry.pushover_router(),
            // As the guard on the real connector does.
            "10.0.0.1" if policy.guarded => return Err(CallError::AddressRefused),
            other => {
                let other = self.others.lock().unwrap().get(other).cloned();
                other.ok_or_else(|| CallError::Unreachable("no such host".into()))?
            }
        };
        let answer = async {
            let response = router.oneshot(request.map(Body::from)).await.unwrap_or_else(|never| match never {});
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| CallError::BrokenOff(error.into()))?;
            Ok(http::Response::from_parts(parts, body.to_bytes()))
        };
        tokio::time::timeout(policy.timeout, answer).await.unwrap_or(Err(CallError::TimedOut(policy.timeout)))
    }
}

/// Keeps what is put on any bus.
#[derive(Clone, Default)]
pub(crate) struct Buses(pub(crate) Arc<Mutex<Vec<BusEvent>>>);

impl EventBus for Buses {
    async fn put(&self, event: BusEvent) -> Result<(), BusError> {
        self.0.lock().unwrap().push(event);
        Ok(())
    }
}

/// All ports of a world.
pub(crate) struct Ports {
    pub(crate) installations: Steady<SqliteInstallations>,
    pub(crate) deliveries: Steady<SqliteDeliveries>,
    pub(crate) settings: FaultySettings,
    pub(crate) events: FaultyQueue,
    pub(crate) outbox: FaultyQueue,
    pub(crate) secrets: Vault,
    pub(crate) clock: VirtualClock,
    pub(crate) chance: Counted,
    pub(crate) outgoing: Wires,
    pub(crate) buses: Buses,
}

impl Platform for Ports {
    type Installations = Steady<SqliteInstallations>;
    type Deliveries = Steady<SqliteDeliveries>;
    type Settings = FaultySettings;
    type Queue = FaultyQueue;
    type Secrets = Vault;
    type Clock = VirtualClock;
    type Chance = Counted;
    type Outgoing = Wires;
    type Bus = Buses;

    fn installations(&self) -> &Self::Installations {
        &self.installations
    }
    fn deliveries(&self) -> &Self::Deliveries {
        &self.deliveries
    }
    fn settings(&self) -> &Self::Settings {
        &self.settings
    }
    fn events(&self) -> &Self::Queue {
        &self.events
    }
    fn outbox(&self) -> &Self::Queue {
        &self.outbox
    }
    fn secrets(&self) -> &Self::Secrets {
        &self.secrets
    }
    fn clock(&self) -> &Self::Clock {
        &self.clock
    }
    fn chance(&self) -> &Self::Chance {
        &self.chance
    }
    fn outgoing(&self) -> &Self::Outgoing {
        &self.outgoing
    }
    fn bus(&self) -> &Self::Bus {
        &self.buses
    }
}
