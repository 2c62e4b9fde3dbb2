//! All functions in one process: the HTTP side, a worker for each queue, and the schedule.

mod deliverers;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::BodyExt;
use jiff::Timestamp;
use shared::components::{self, Components};
use shared::deliver::Deliver;
use shared::dispatch::Dispatch;
use shared::ports::{Clock, Consume, Platform, QueueError, Received, Settings, SystemChance, SystemClock};
use shared::refresh::Refresh;
use shared::secrets::AppSecrets;
use shared::sentry::BaseUrl;
use shared::setup::Setup;
use shared::webhook::{self, Webhook};
use shared_embedded::{EmbeddedPlatform, EnvSecrets, SqliteQueue};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::bus::Bus;
use crate::dev::stand_ins::Outside;

/// The ports of a local process.
pub(crate) type Local = EmbeddedPlatform<SystemClock, SystemChance, Outside, EnvSecrets, Bus>;
type LocalQueue = SqliteQueue<SystemClock>;

/// The functions' own limits on AWS hold here too.
const VISIBILITY: Duration = Duration::from_mins(3);
const DISPATCH_TIME: Duration = Duration::from_secs(58);
const REFRESH_TIME: Duration = Duration::from_secs(230);
const REFRESH_EVERY: Duration = Duration::from_mins(1);
/// Nothing is asked where none is paused, so this may be much oftener than a schedule on AWS.
const PAUSED_EVERY: Duration = Duration::from_secs(10);
const PAUSED_TIME: Duration = Duration::from_secs(28);
const SWEEP_EVERY: Duration = Duration::from_hours(1);
/// Batches of events at once.
const DISPATCHERS: usize = 4;
const EVENTS_BATCH: usize = 10;
/// The rest of a body that is too large is read and dropped up to here, so that the client sees the answer.
const MAX_DROPPED_BYTES: usize = 64 * 1024 * 1024;

/// `webhook`, `setup`, `components`, `dispatch`, `deliver` and `refresh` over one store.
pub(crate) struct Bundle {
    pub(crate) platform: Arc<Local>,
    webhook: Webhook<EnvSecrets, LocalQueue, SystemClock>,
    setup: Setup<Local>,
    components: Components<Local>,
    dispatch: Dispatch<Local>,
    deliver: Deliver<Local>,
    pub(crate) refresh: Refresh<Local>,
}

impl Bundle {
    pub(crate) fn new(platform: Local, base_url: BaseUrl) -> Arc<Self> {
        let platform = Arc::new(platform);
        Arc::new(Self {
            webhook: Webhook {
                secrets: AppSecrets::new(platform.secrets.clone(), SystemClock),
                queue: platform.events().clone(),
                clock: SystemClock,
            },
            setup: Setup::new(Arc::clone(&platform), base_url.clone()),
            components: Components::new(Arc::clone(&platform)),
            dispatch: Dispatch::new(Arc::clone(&platform), base_url.clone()),
            deliver: Deliver::new(Arc::clone(&platform), base_url.clone()),
            refresh: Refresh::new(Arc::clone(&platform), base_url),
            platform,
        })
    }

    /// `/webhook`, `/setup`, `/components/*`, `/healthz`.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/webhook", post(take_webhook))
            .route("/setup", get(set_up))
            .route("/components/{*path}", any(component))
            .route("/healthz", get(health))
            .with_state(Arc::clone(self))
    }

    /// Works off both queues and keeps the schedules until `stop` says so and what was begun is done.
    pub(crate) async fn work(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let dispatcher = {
            let bundle = Arc::clone(&self);
            work_off(self.platform.events().clone(), EVENTS_BATCH, DISPATCHERS, stop.clone(), move |batch| {
                let bundle = Arc::clone(&bundle);
                async move { bundle.dispatch.handle(batch, SystemClock.now() + DISPATCH_TIME).await }
            })
        };
        let deliverer = deliverers::work(Arc::clone(&self), stop.clone());
        let refresh = every(REFRESH_EVERY, stop.clone(), || {
            let bundle = Arc::clone(&self);
            async move {
                match bundle.refresh.tick(SystemClock.now() + REFRESH_TIME).await {
                    Ok(tick) => tracing::debug!(?tick, "looked after installations"),
                    Err(error) => tracing::error!("installations that are due cannot be read: {error}"),
                }
            }
        });
        let paused = every(PAUSED_EVERY, stop.clone(), || {
            let bundle = Arc::clone(&self);
            async move {
                match bundle.deliver.tick(SystemClock.now() + PAUSED_TIME).await {
                    Ok(tick) => tracing::debug!(?tick, "looked after paused destinations"),
                    Err(error) => tracing::error!("paused destinations cannot be read: {error}"),
                }
            }
        });
        let sweep = every(SWEEP_EVERY, stop, || {
            let bundle = Arc::clone(&self);
            async move {
                if let Err(error) = bundle.platform.store.sweep(SystemClock.now()).await {
                    tracing::error!("expired rows cannot be deleted: {error}");
                }
            }
        });
        tokio::join!(dispatcher, deliverer, refresh, paused, sweep);
    }
}

/// Does `work` at once and then again and again, `period` after it began or when it has ended, whichever is later. A
/// stop lets it finish.
async fn every<Fut: Future<Output = ()>>(period: Duration, mut stop: watch::Receiver<bool>, work: impl Fn() -> Fut) {
    let mut beat = tokio::time::interval(period);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return,
            _ = beat.tick() => {}
        }
        work().await;
    }
}

/// Returns once `stop` says so, or nobody is left to say it.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// Receives batches and has up to `at_once` of them handled side by side; deletes what is done.
async fn work_off<F, Fut>(queue: LocalQueue, batch: usize, at_once: usize, mut stop: watch::Receiver<bool>, handle: F)
where
    F: Fn(Vec<Received>) -> Fut,
    Fut: Future<Output = Vec<String>> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(at_once));
    let mut changed = queue.changed();
    let mut under_way = JoinSet::new();
    while !*stop.borrow() {
        while under_way.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { break };
        changed.mark_unchanged();
        let messages = match queue.receive(batch, VISIBILITY).await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::error!("the queue cannot be read: {error}");
                Vec::new()
            }
        };
        if messages.is_empty() {
            drop(permit);
            tokio::select! {
                () = stopped(&mut stop) => break,
                _ = changed.changed() => {}
                () = idle(queue.next_visible_at()) => {}
            }
            continue;
        }
        let receipts: Vec<(String, String)> = messages.iter().map(|m| (m.id.clone(), m.receipt.clone())).collect();
        let (queue, handled) = (queue.clone(), handle(messages));
        under_way.spawn(async move {
            let _permit = permit;
            let undone: HashSet<String> = handled.await.into_iter().collect();
            for (id, receipt) in receipts.iter().filter(|(id, _)| !undone.contains(id)) {
                if let Err(error) = queue.delete(receipt).await {
                    tracing::warn!(message.id = id, "a message that is done comes again: {error}");
                }
            }
        });
    }
    while under_way.join_next().await.is_some() {}
}

/// Until what waits may be visible, or another process may have sent something: nothing tells of that.
async fn idle(next_visible_at: impl Future<Output = Result<Option<Timestamp>, QueueError>>) {
    const LONGEST: Duration = Duration::from_secs(3);
    // Also when the next one is "due" but blocked: never a hot loop.
    const SHORTEST: Duration = Duration::from_millis(50);
    let wait = match next_visible_at.await {
        Ok(Some(at)) => {
            Duration::try_from(at.duration_since(SystemClock.now())).unwrap_or_default().clamp(SHORTEST, LONGEST)
        }
        _ => LONGEST,
    };
    tokio::time::sleep(wait).await;
}

async fn take_webhook(State(bundle): State<Arc<Bundle>>, headers: HeaderMap, body: Body) -> axum::response::Response {
    match read_body(body, webhook::MAX_BODY_BYTES).await {
        Ok(Some(body)) => bundle.webhook.handle(&headers, body, None).await.into_response(),
        Ok(None) => bundle.webhook.too_large(&headers).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn component(
    State(bundle): State<Arc<Bundle>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> axum::response::Response {
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    match read_body(body, components::MAX_BODY_BYTES).await {
        Ok(Some(body)) => bundle.components.handle(&method, path, query, &headers, body).await.into_response(),
        Ok(None) => bundle.components.too_large().into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// `None` if the body is over `max` bytes.
async fn read_body(mut body: Body, max: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut kept = Vec::new();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        read += data.len();
        if read <= max {
            kept.extend_from_slice(&data);
        } else if read > MAX_DROPPED_BYTES {
            break;
        }
    }
    Ok((read <= max).then(|| kept.into()))
}

async fn set_up(State(bundle): State<Arc<Bundle>>, RawQuery(query): RawQuery) -> axum::response::Response {
    bundle.setup.handle(&query.unwrap_or_default(), None).await.into_response()
}

/// 200 while the process takes events: the store answers.
async fn health(State(bundle): State<Arc<Bundle>>) -> StatusCode {
    match bundle.platform.settings().routes_version().await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
