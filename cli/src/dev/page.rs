//! The page of `dev`, made on the server. Every text on it is escaped; no secret is on it.

use std::fmt::Write;

use jiff::Timestamp;
use shared::ports::{DeliveryRecord, Installation};
use simulator::{Direction, Exchange};

use super::deliveries;
use super::destinations::{self, Shown};
use super::html::{Text, button, joined, table};
use super::sentry_ui::{self, Rule};
use super::stand_ins::StandInCall;

/// Everything that the page shows.
#[derive(Default)]
pub(super) struct View {
    /// What the last button did.
    pub(super) said: Option<String>,
    /// Newest first, as the lists below.
    pub(super) installations: Vec<Installed>,
    pub(super) projects: Vec<String>,
    pub(super) issues: Vec<Issue>,
    /// By name.
    pub(super) rules: Vec<Rule>,
    pub(super) deliveries: Vec<DeliveryRecord>,
    /// In the queues, visible or not.
    pub(super) waiting_events: u64,
    pub(super) waiting_deliveries: u64,
    /// In the file's order.
    pub(super) destinations: Vec<Shown>,
    pub(super) trackers: Vec<Shown>,
    pub(super) wire: Vec<Exchange>,
    pub(super) calls: Vec<StandInCall>,
    /// The routes file's text.
    pub(super) routes: String,
}

/// One installation, as both sides see it.
pub(super) struct Installed {
    pub(super) id: String,
    /// `pending`, `installed`; `None`: removed.
    pub(super) at_sentry: Option<&'static str>,
    pub(super) here: Option<Installation>,
}

#[derive(Clone)]
pub(super) struct Issue {
    pub(super) id: u64,
    pub(super) project: String,
    pub(super) title: String,
    /// `unresolved`, `resolved`, `archived`
    pub(super) status: &'static str,
    pub(super) assignee: Option<&'static str>,
}

/// Of a new issue, worst first but for the one that most are.
pub(super) const LEVELS: [&str; 5] = ["error", "fatal", "warning", "info", "debug"];

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--quiet:#888;--good:#1a7f37;--bad:#cf222e;--wait:#9a6700;--accent:#6a4fc4}
body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:0 auto;padding:1rem 1.2rem 4rem}
h1{font-size:1.3rem;margin:.3rem 0}h2{font-size:1.05rem;margin:1.8rem 0 .4rem}
.quiet{color:var(--quiet)}.good{color:var(--good)}.bad{color:var(--bad)}.wait{color:var(--wait)}
.said{border-left:3px solid var(--accent);padding:.4rem .8rem;margin:.8rem 0}
table{border-collapse:collapse;width:100%;font-size:.92em}th{font-weight:600;white-space:nowrap;color:var(--quiet)}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td form{display:inline}.scroll{overflow-x:auto}code,pre,.mono{font-family:ui-monospace,monospace;font-size:.92em}
.controls{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}
button,input,select{font:inherit;padding:.25rem .7rem}button{cursor:pointer;margin-right:.3rem}input[name=title]{width:22rem;max-width:90vw}
pre{overflow-x:auto}
";

/// Replaces what changes, and nothing that somebody is typing into.
const SCRIPT: &str = "
setInterval(async () => {
  if (document.hidden) return;
  try {
    const text = await (await fetch('/')).text();
    const page = new DOMParser().parseFromString(text, 'text/html');
    for (const shown of document.querySelectorAll('.live')) {
      const fresh = page.getElementById(shown.id);
      // Not under a pressed button: its click would be lost.
      if (fresh && fresh.innerHTML !== shown.innerHTML && !shown.matches(':active')) shown.replaceWith(fresh);
    }
  } catch { document.title = 'switchboard dev (stopped)'; }
}, 1000);
";

impl View {
    /// The whole page. `nonce` is what the policy of the answer names for its one script.
    pub(super) fn render(&self, nonce: &str) -> String {
        let projects = joined(self.projects.iter().map(|project| format!("<option>{}</option>", Text(project))));
        let levels = joined(LEVELS.iter().map(|level| format!("<option>{level}</option>")));
        format!(
            "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport content=\"width=device-width\">\n\
             <title>switchboard dev</title>\n<noscript><meta http-equiv=refresh content=5></noscript>\n<style>{STYLE}{}</style>\n\
             <h1>switchboard dev</h1>\n\
             <p class=quiet>What you press happens in a simulated Sentry. Its webhooks come to the real switchboard.</p>\n\
             <section class=live id=sentry>\n{}</section>\n\
             <h2>Issues in Sentry</h2>\n\
             <form method=post action=\"/issue\" class=controls><label>Project <select name=project>{projects}</select></label>\n\
             <label>Level <select name=level>{levels}</select></label>
\
             <input name=title aria-label=Title value=\"ValueError: division by zero\" maxlength=200 required><button>New issue</button></form>\n\
             <main class=live id=happened>\n{}{}{}{}{}{}</main>\n\
             <h2>Routes</h2>\n<details><summary>The file in force</summary><pre>{}</pre></details>\n\
             <script nonce=\"{}\">{SCRIPT}</script>\n</html>\n",
            destinations::STYLE,
            self.sentry(),
            self.issues(),
            sentry_ui::rules(&self.rules, &self.issues.iter().map(|issue| issue.id).collect::<Vec<_>>()),
            deliveries::render(&self.deliveries, self.waiting_events, self.waiting_deliveries),
            destinations::render(&self.destinations),
            destinations::render_trackers(&self.trackers),
            self.wire(),
            Text(&self.routes),
            Text(nonce),
        )
    }

    fn sentry(&self) -> String {
        let mut html = String::new();
        if let Some(said) = &self.said {
            let _ = writeln!(html, "<p class=said role=status>{}</p>", Text(said));
        }
        html.push_str("<h2>Installation</h2>\n");
        if !self.installations.iter().any(|installed| installed.at_sentry.is_some()) {
            html.push_str(&button("/install", "Install", None));
        }
        let rows = self.installations.iter().map(Installed::row);
        html + &table(
            &["Installation", "Organization", "Sentry says", "Switchboard says", ""],
            rows,
            "Not installed yet: until then Sentry sends nothing.",
        )
    }

    fn issues(&self) -> String {
        let rows = self.issues.iter().map(|issue| {
            let id = issue.id.to_string();
            let press = |action: &str, label: &str| button(action, label, Some(("issue", &id)));
            let status = if issue.status == "unresolved" { "wait" } else { "good" };
            let assignee = issue.assignee.map_or_else(String::new, |name| format!(", {name}"));
            let over = if issue.status == "unresolved" {
                press("/resolve", "Resolve") + &press("/archive", "Archive")
            } else {
                press("/regress", "Regress")
            };
            format!(
                "<td>{id}<td>{}<td><a href=\"/sentry/issues/{id}\">{}</a><td><span class={status}>{}{assignee}</span><td>{}{}{}{over}",
                Text(&issue.project),
                Text(&issue.title),
                issue.status,
                press("/alert", "Alert"),
                press("/assign", "Assign"),
                press("/comment", "Comment"),
            )
        });
        table(&["Issue", "Project", "Title", "Status", ""], rows, "No issues yet.")
    }

    fn wire(&self) -> String {
        let rows = self.wire.iter().map(|exchange| {
            let (from, to) = match exchange.direction {
                Direction::ToApp => ("Sentry", "switchboard"),
                Direction::ToSentry => ("switchboard", "Sentry"),
                Direction::ToPushover => ("switchboard", "Pushover"),
            };
            let answer = match (exchange.status, &exchange.failure) {
                (Some(status @ 200..400), _) => format!("<span class=good>{status}</span>"),
                (Some(status), _) => format!("<span class=bad>{status}</span>"),
                (None, failure) => {
                    format!("<span class=bad>{}</span>", Text(failure.as_deref().unwrap_or("no answer")))
                }
            };
            let again = if exchange.attempt > 1 { format!(" (attempt {})", exchange.attempt) } else { String::new() };
            format!(
                "<td>{}<td>{from}&nbsp;→&nbsp;{to}<td>{}{again}<td class=mono>{} {}<td>{answer}<td>{:.1}&nbsp;ms",
                time(exchange.at),
                Text(&exchange.subject),
                Text(&exchange.method),
                Text(&exchange.path),
                exchange.duration.as_secs_f64() * 1000.0,
            )
        });
        let list = table(
            &["Time (UTC)", "", "About", "Request", "Answer", "Took"],
            rows,
            "Nothing has gone over the wire yet.",
        );
        let calls = self.calls.iter().map(|call| {
            let answer = match (call.status, &call.failure) {
                (Some(status), _) if status.is_success() => format!("<span class=good>{}</span>", status.as_u16()),
                (Some(status), _) => format!("<span class=bad>{}</span>", status.as_u16()),
                (None, failure) => format!("<span class=bad>{}</span>", Text(failure.as_deref().unwrap_or_default())),
            };
            format!(
                "<td>{}<td>switchboard&nbsp;→&nbsp;{}<td class=mono>{}<td>{answer}<td>{:.1}&nbsp;ms",
                time(call.at),
                Text(&call.destination),
                Text(&call.method),
                call.duration.as_secs_f64() * 1000.0,
            )
        });
        let calls = table(&["Time (UTC)", "", "Request", "Answer", "Took"], calls, "Nobody was called yet.");
        format!("<h2>On the wire with Sentry</h2>\n{list}<h2>On the wire with destinations and trackers</h2>\n{calls}")
    }
}

impl Installed {
    fn row(&self) -> String {
        let (organization, here) = match &self.here {
            Some(row) => (row.organization.as_deref().unwrap_or("not known yet"), status(row)),
            None => ("", "not known yet".to_owned()),
        };
        let uninstall = self
            .at_sentry
            .map(|_| button("/uninstall", "Uninstall", Some(("installation", &self.id))))
            .unwrap_or_default();
        format!(
            "<td class=mono>{}<td>{}<td>{}<td>{}<td>{uninstall}",
            Text(&self.id),
            Text(organization),
            Text(self.at_sentry.unwrap_or("removed")),
            Text(here)
        )
    }
}

fn status(row: &Installation) -> String {
    let mut said = row.status.as_str().to_owned();
    if row.verified_at.is_some() {
        said.push_str(", verified");
    }
    if row.tokens.is_some() {
        said.push_str(", token sealed");
        if let Some(at) = row.expires_at {
            let _ = write!(said, " until {}", time(at));
        }
    } else {
        said.push_str(", no token");
    }
    said
}

pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// Other schemes (`javascript:`) are not links.
pub(super) fn is_web(url: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::ports::DeliveryState;

    use super::*;
    use crate::dev::arrived::Arrived;
    use crate::dev::destinations::Side;
    use crate::dev::stand_ins::Condition;

    const EVIL: &str = "</textarea><script>alert('1')</script>\"&";

    fn message(url: &str) -> Arrived {
        let evil = || EVIL.to_owned();
        Arrived {
            at: Some(Timestamp::UNIX_EPOCH),
            title: evil(),
            text: evil(),
            marks: vec![evil()],
            colour: Some(evil()),
            link: Some((url.to_owned(), evil())),
            replies: vec![evil()],
        }
    }

    fn record() -> DeliveryRecord {
        let destination = "phone".parse().expect("a name");
        let event = shared::ids::EventId::of_signature("00");
        DeliveryRecord {
            id: shared::ids::DeliveryId::of(&event, Timestamp::UNIX_EPOCH, &destination),
            event,
            event_name: EVIL.to_owned(),
            installation: "a8e5d37a-696c-4c54-adb5-b3f28d64c7de".parse().ok(),
            destination,
            route: EVIL.to_owned(),
            group: EVIL.to_owned(),
            title: EVIL.to_owned(),
            state: DeliveryState::Queued,
            attempts: 1,
            next_try_at: Some(Timestamp::UNIX_EPOCH),
            last_status: Some(500),
            last_error: Some(EVIL.to_owned()),
            last_answer: Some(EVIL.to_owned()),
            warning: Some(EVIL.to_owned()),
            accepted_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
            message: None,
            expires: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn whatever_came_from_outside_is_shown_as_text() {
        let evil = || EVIL.to_owned();
        let view = View {
            said: Some(evil()),
            installations: vec![Installed { id: evil(), at_sentry: Some("pending"), here: None }],
            projects: vec![evil()],
            rules: vec![Rule { name: evil() }],
            issues: vec![Issue { id: 1, project: evil(), title: evil(), status: "unresolved", assignee: None }],
            deliveries: vec![record()],
            waiting_events: 1,
            waiting_deliveries: 0,
            destinations: vec![Shown {
                name: evil(),
                kind: evil(),
                health: None,
                far_side: Side::StandIn {
                    condition: Condition::Well,
                    arrived: vec![message("https://sentry.example/\"><script>"), message("javascript:alert(1)")],
                },
            }],
            trackers: vec![Shown { name: evil(), kind: evil(), health: None, far_side: Side::Real }],
            calls: vec![StandInCall {
                at: Timestamp::UNIX_EPOCH,
                destination: evil(),
                method: http::Method::POST,
                status: None,
                failure: Some(evil()),
                duration: Duration::ZERO,
            }],
            wire: vec![Exchange {
                at: Timestamp::UNIX_EPOCH,
                direction: Direction::ToApp,
                method: evil(),
                path: evil(),
                status: None,
                failure: Some(evil()),
                duration: Duration::ZERO,
                subject: evil(),
                attempt: 2,
            }],
            routes: evil(),
        };
        let html = view.render("n0nce");
        assert_eq!(html.matches("<script").count(), 1, "only the page's own");
        assert!(!html.contains("</textarea>") && !html.contains("alert('1')"));
        assert!(!html.contains("href=\"javascript:"));
        // said; installation twice; project; issue twice; rule and its button; delivery 5 with its warning; destination 2, and by its two
        // buttons; tracker 2; messages 5 and 4; wire 4; call 2; routes.
        assert_eq!(html.matches("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;").count(), 35);
    }

    #[test]
    fn an_empty_page_says_what_to_do() {
        let html = View::default().render("n0nce");
        assert!(html.contains(">Install</button>") && html.contains("Not installed yet"), "{html}");
    }
}
