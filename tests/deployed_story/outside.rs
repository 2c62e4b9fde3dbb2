//! What the bundle talks to: a simulated Sentry and a stand-in for Pushover, each on a port of its own.

use std::thread;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use simulator::{Config, PushoverMessage, Simulator};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// Keys as Pushover makes them: 30 letters and digits.
pub(crate) const USER: &str = "uQiRzpo4DXghDmr9QzzfQu27cmVRsG";
pub(crate) const TOKEN: &str = "azGDORePK8gMaC0QOYAMyEEuzJnyUi";

/// Much more than a delivery takes, a function's first start on a busy machine included.
const LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

pub(crate) struct Outside {
    pub(crate) sentry: Simulator,
    pub(crate) sentry_url: String,
    pub(crate) pushover_url: String,
    runtime: Runtime,
}

impl Outside {
    /// Serves until the process ends.
    pub(crate) fn start() -> Self {
        // A retry of Sentry's comes soon, should a function be slower than Sentry's second on a busy machine.
        let sentry = Simulator::new(Config { retry_gap: Duration::from_secs(1), ..Config::default() });
        let sentry_url = serve(sentry.router());
        let pushover_url = serve(sentry.pushover_router());
        sentry.set_base_url(sentry_url.as_str());
        Self { sentry, sentry_url, pushover_url, runtime: runtime() }
    }

    /// Does what people do in Sentry.
    pub(crate) fn run<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }

    /// All messages that Pushover took, once there are this many.
    pub(crate) fn wait_for_messages(&self, count: usize) -> Vec<PushoverMessage> {
        let until = Instant::now() + LIMIT;
        loop {
            let messages = self.sentry.pushover_messages();
            if messages.len() >= count {
                return messages;
            }
            assert!(Instant::now() < until, "{count} messages expected: {messages:#?} {:#?}", self.sentry.log());
            thread::sleep(POLL);
        }
    }

    /// What must never stand in a log, by name.
    pub(crate) fn secrets(&self, installation: &str) -> Vec<(&'static str, String)> {
        let mut secrets = vec![
            ("the client secret", self.sentry.client_secret().expose_secret().to_owned()),
            ("Pushover's user key", USER.to_owned()),
            ("Pushover's token", TOKEN.to_owned()),
        ];
        if let Some(pair) = self.sentry.token_of(installation) {
            secrets.extend([("the access token", pair.access), ("the refresh token", pair.refresh)]);
        }
        secrets
    }
}

fn serve(router: axum::Router) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket option");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, router).await.expect("it serves");
        });
    });
    format!("http://{address}")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
