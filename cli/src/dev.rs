//! `switchboard dev`: the bundle beside a simulated Sentry, and a page with buttons for what people do there.

mod arrived;
mod deliveries;
mod desk;
mod destinations;
mod forms;
mod guard;
mod html;
mod page;
mod presses;
mod sentry_ui;
pub(crate) mod stand_ins;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use secrecy::ExposeSecret;

use self::stand_ins::StandIns;
use crate::start;
use crate::world::{RoutesFrom, World};

/// Press the buttons of a simulated Sentry, and watch what arrives
///
/// Needs no account, no secret and no network: Sentry and all destinations are simulated. Without --routes, everything
/// goes to the console, and issues and alerts of Backend also to the phone that the page shows.
#[derive(Args)]
pub(crate) struct Dev {
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// A temporary folder, removed at the end, unless given
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Who hears of what; changes to the file come into force at once
    ///
    /// Whatever its destinations are, they are simulated, and the secrets that they name are made up.
    #[arg(long, value_name = "FILE")]
    routes: Option<PathBuf>,
    /// Slug of the simulated organization: it is offered what names it in `organizations`
    #[arg(long, value_name = "SLUG", default_value = "example-org")]
    organization: String,
    /// Call the real destinations of --routes: a flat TOML table of what it calls secret:NAME
    #[arg(long, value_name = "FILE", requires = "routes")]
    secrets: Option<PathBuf>,
}

const ROUTES: &str = r#"[[destination]]
name = "console"
type = "console"

[[destination]]
name = "phone"
type = "pushover"
user = "secret:pushover-user"
token = "secret:pushover-token"
organizations = ["example-org"]

[[tracker]]
name = "tickets"
type = "jira"
url = "https://acme.atlassian.net"
email = "switchboard@example.com"
token = "secret:jira-token"
projects = ["OPS", "WEB"]
organizations = ["example-org"]

[[stacktrace_link]]
project = "backend"
path_prefix = "app/"
url = "https://github.com/acme/backend/blob/main/{path}#L{line}"
organizations = ["example-org"]

[[route]]
name = "everything"
when = { event = "*" }
to = ["console"]

[[route]]
name = "backend-rings"
when = { event = ["issue.created", "event_alert.triggered"], project = "Backend" }
to = ["phone"]
"#;

impl Dev {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let listener = start::listen(self.listen).await?;
        // Dropping it at the end removes the folder.
        let (data_dir, temporary) = if let Some(given) = self.data_dir {
            (given, None)
        } else {
            let made = tempfile::tempdir().context("no temporary folder can be made")?;
            (made.path().to_owned(), Some(made))
        };
        let reached = match &self.secrets {
            Some(file) => format!("as the routes file says, with the secrets of {}", file.display()),
            None => "simulated; the page shows what arrives".to_owned(),
        };
        let (routes, stand_ins) = match (self.routes, self.secrets) {
            (Some(file), Some(secrets)) => (RoutesFrom::Real { file, secrets }, None),
            (file, _) => {
                let stand_ins = StandIns::default();
                (RoutesFrom::ToStandIns { file, text: ROUTES, stand_ins: stand_ins.clone() }, Some(stand_ins))
            }
        };
        let settings = simulator::Config { organization: self.organization, ..simulator::Config::default() };
        let world = World::start(&data_dir, listener, settings, routes, |sentry, bundle| {
            presses::router(sentry.clone(), std::sync::Arc::clone(bundle), stand_ins)
        })
        .await?;
        println!("Open      {}/", world.url);
        println!("Data      {}{}", data_dir.display(), if temporary.is_some() { " (removed at the end)" } else { "" });
        println!("Sentry    {} (simulated)", world.sentry_url);
        println!("Others    {reached}");
        println!("Send one  SENTRY_CLIENT_SECRET={} \\", world.sentry.client_secret().expose_secret());
        println!("          switchboard send issue.created --to {}/webhook", world.url);
        println!("Ctrl-C ends it.");
        start::asked_to_stop().await;
        world.stop().await
    }
}
