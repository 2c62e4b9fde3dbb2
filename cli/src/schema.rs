//! `switchboard schema`: what to give Sentry for a routes file.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use shared::components::schema::{rules, schema};
use shared::requirements::{Need, Requirements};
use shared::routing::Routes;

use crate::routes_file;

/// Print the schema of the UI components, for Sentry's form
///
/// It has the components that the routes file configures: destinations for alert rules, trackers, stack-trace links.
#[derive(Args)]
pub(crate) struct Schema {
    /// The routes file
    #[arg(default_value = "routes.toml")]
    file: PathBuf,
    /// What to fill in and to tick in the form, as Markdown
    #[arg(long, conflicts_with = "why")]
    form: bool,
    /// Which permission and webhook is needed by which route or component
    #[arg(long)]
    why: bool,
}

impl Schema {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let text =
            std::fs::read_to_string(&self.file).with_context(|| format!("{} cannot be read", self.file.display()))?;
        let routes = routes_file::check(&self.file, &text, None)?;
        if self.form {
            print!("{}", form(&routes));
        } else if self.why {
            print!("{}", why(&routes));
        } else {
            let file = self.file.display();
            let schema = schema(&routes).with_context(|| {
                format!(
                    "{file} configures no UI component, and Sentry takes no empty schema: add a [[destination]] for \
                     alert rules, a [[tracker]] for issues, or a [[stacktrace_link]]; docs/ui-components.md has them"
                )
            })?;
            let broken = rules::broken(&schema);
            anyhow::ensure!(broken.is_empty(), "Sentry would refuse the schema: {}", broken.join("; "));
            println!("{}", serde_json::to_string_pretty(&schema)?);
        }
        Ok(())
    }
}

fn form(routes: &Routes) -> String {
    let requirements = Requirements::of(routes);
    let components = Requirements::components(routes);
    let schema = if components.is_empty() {
        "empty".to_owned()
    } else {
        format!("what `switchboard schema` prints: {}", components.join(", "))
    };
    let mut text = "| field | value |\n|---|---|\n".to_owned();
    let mut line = |field: &str, value: &str| {
        let _ = writeln!(text, "| {field} | {value} |");
    };
    line("Name", "what people will see in alert rules and beside an issue");
    line("Webhook URL", "`https://HOST/webhook`: output `WebhookUrl` of the stack; with `serve` your address");
    line("Redirect URL (public only)", "`https://HOST/setup`: output `RedirectUrl`; with `serve` your address");
    let verify =
        "**on**. Sentry then counts the app as installed only after the bundle has said that its tokens are safe";
    line("Verify Install (public only)", verify);
    line("Alert Rule Action", &switch(&requirements.alert_rules));
    line("Schema", &schema);
    for permission in &requirements.permissions {
        let label = if permission.name == "event:read" { "Issue & Event" } else { "Project" };
        let value = if permission.is_needed() {
            format!("**Read** (`{}`)", permission.name)
        } else if permission.welcomed_by.is_empty() {
            "No Access".to_owned()
        } else {
            format!("Read (`{}`) if you switch {} on", permission.name, permission.welcomed_by.join(" or "))
        };
        line(&format!("Permissions → {label}"), &value);
    }
    line("Permissions → all others", "No Access");
    for subscription in &requirements.subscriptions {
        line(&format!("Webhooks → {}", subscription.name), &switch(subscription));
    }
    text
}

fn switch(need: &Need) -> String {
    if need.is_needed() {
        let actions = need.actions.iter().map(|action| format!("`{action}`")).collect::<Vec<_>>().join(", ");
        if actions.is_empty() { "**on**".to_owned() } else { format!("**on**: {actions}") }
    } else if need.welcomed_by.is_empty() {
        "off".to_owned()
    } else {
        format!("as you like: {} would take it", need.welcomed_by.join(", "))
    }
}

fn why(routes: &Routes) -> String {
    let requirements = Requirements::of(routes);
    let permissions = requirements.permissions.iter().map(|need| ("permission", need));
    let subscriptions = requirements.subscriptions.iter().map(|need| ("webhook", need));
    let switch = ("switch", &Need { name: "Alert Rule Action", ..requirements.alert_rules.clone() });
    let mut text = "| what | needed by |\n|---|---|\n".to_owned();
    for (what, need) in permissions.chain(subscriptions).chain([switch]) {
        for by in &need.by {
            let _ = writeln!(text, "| {what} `{}` | {by} |", need.name);
        }
        for by in &need.welcomed_by {
            let _ = writeln!(text, "| {what} `{}` | {by}, if you want it there |", need.name);
        }
    }
    text
}
