//! The whole way, deployed: a simulated Sentry → HTTP API → `webhook` → `events.fifo` → `dispatch` → `deliveries.fifo`
//! → `deliver` → a stand-in for Pushover, with the real binaries in a stack made from `template.yaml`.

mod bundle;
#[path = "../clients.rs"]
mod clients;
mod outside;

use std::time::Duration;

use bundle::Bundle;
use jiff::Timestamp;
use outside::Outside;
use serde_json::json;
use shared::ports::{Installation, Status};
use simulator::{Alert, AlertUrls, Direction, Endpoint, Fault, Install, NewIssue, Order};
use system_tests::http::{self, Answer};
use system_tests::ministack::MiniStack;
use system_tests::parts::Parts;

#[test]
fn an_installation_rings_phones_renews_its_token_and_is_not_brought_back_once_removed() {
    let parts = Parts::installed().expect("parts");
    let aws = MiniStack::start(&parts).expect("MiniStack");
    let outside = Outside::start();
    let bundle = Bundle::deploy(&parts, &aws, &outside);

    let story = Story { outside: &outside, bundle: &bundle };
    let installation = story.is_installed_by_redirect_and_webhook_at_once();
    story.rings_for_backend_alone();
    story.renews_its_token(&installation);
    story.is_sent_again_by_its_operator();
    story.is_removed_for_good(&installation);
    story.has_logged_that_one_error_and_no_secret(&installation);
}

/// What `deliver` waits at least after a first failed try.
const FIRST_WAIT: Duration = Duration::from_secs(5);

struct Story<'a> {
    outside: &'a Outside,
    bundle: &'a Bundle<'a>,
}

impl Story<'_> {
    /// The browser and `installation.created` race for the code. Returns the installation's uuid.
    fn is_installed_by_redirect_and_webhook_at_once(&self) -> String {
        let sentry = &self.outside.sentry;
        let (installed, page) = self.outside.run(async {
            let installed = sentry.install_with(Install { order: Order::Both, ..Install::default() }).await;
            let address = installed.redirect_url.clone().expect("the app has a redirect URL");
            let page = tokio::task::spawn_blocking(move || http::request("GET", &address, &[], b""));
            (installed, page.await.expect("no panic").expect("an answer"))
        });
        assert_eq!(page.status, 302, "{}", page.text);
        let back = format!("{}/settings/example-org/sentry-apps/switchboard/", self.outside.sentry_url);
        assert_eq!(header(&page, "location"), Some(back.as_str()), "{}", page.text);
        let announced = self.outside.run(installed.webhook.delivery()).expect("it is announced");
        assert!(announced.is_accepted(), "{announced:?}");

        let again = http::request("GET", installed.redirect_url.as_deref().expect("as above"), &[], b"");
        assert_eq!(again.expect("an answer").status, 302, "a page that is loaded again says the same");
        self.bundle.wait_until_dispatched("installation.created", None);
        assert_eq!(sentry.exchanges(), 1, "the code is exchanged once, by whoever came first");
        assert_eq!(sentry.status_of(&installed.installation), Some("installed"), "Sentry has been told");

        let row = self.row(&installed.installation);
        assert_eq!(row.status, Status::Active);
        assert_eq!(row.organization.as_deref(), Some("example-org"));
        assert_eq!(row.app.as_deref(), Some("switchboard"));
        assert!(row.tokens.is_some() && row.verified_at.is_some(), "{row:?}");
        installed.installation
    }

    fn rings_for_backend_alone(&self) {
        let sentry = &self.outside.sentry;
        self.outside.run(async {
            let frontend = sentry.create_issue(NewIssue::new("Frontend", "TypeError: undefined")).await;
            assert!(frontend.expect("a project").delivery.is_accepted());
        });
        assert_eq!(self.bundle.wait_until_dispatched("issue.created", Some("TypeError: undefined")), 0);

        let issue = self.outside.run(async {
            let backend = sentry.create_issue(NewIssue::new("Backend", "ZeroDivisionError: Größe ist null")).await;
            let backend = backend.expect("a project");
            assert!(backend.delivery.is_accepted(), "{:?}", backend.delivery);
            backend.issue
        });
        let rung = self.outside.wait_for_messages(1);
        let message = &rung[0];
        assert_eq!((message.user.as_str(), message.token.as_str()), (outside::USER, outside::TOKEN));
        assert_eq!(message.title.as_deref(), Some("ZeroDivisionError: Größe ist null"));
        assert_eq!(message.message.lines().next(), Some("Größe ist null"));
        let link = message.url.as_deref().expect("a link");
        assert!(link.starts_with(&self.outside.sentry_url) && link.contains(&format!("issues/{issue}")), "{link}");

        // One group with the issue itself, so the alert is dispatched and delivered after the repeat.
        let looked_up = self.look_ups();
        sentry.faults().push(Endpoint::Pushover, Fault::status(500));
        self.outside.run(async {
            let repeat = sentry.repeat("issue.created").await.expect("one was sent");
            assert!(repeat.is_accepted(), "{repeat:?}");
            let alert = Alert { rule: "Page Backend".to_owned(), urls: AlertUrls::Absent, ..Alert::default() };
            assert!(sentry.trigger_alert(issue, alert).await.expect("an issue").is_accepted());
        });
        let rung = self.outside.wait_for_messages(2);
        assert_eq!(rung.len(), 2, "the repeat does not ring: {rung:#?}");
        let tries = self.tries();
        assert_eq!(tries.iter().map(|(_, status)| *status).collect::<Vec<_>>(), [200, 500, 200]);
        assert!(tries[2].0 >= tries[1].0 + FIRST_WAIT, "a failed try is repeated later: {tries:?}");
        let title = "ZeroDivisionError: Größe ist null";
        assert_eq!(self.bundle.wait_until_dispatched("event_alert.triggered", Some(title)), 1);
        let alert = &rung[1];
        assert!(alert.url.as_deref().is_some_and(|url| url.contains(&format!("issues/{issue}"))), "{alert:?}");
        assert_eq!(self.look_ups(), looked_up + 1, "a payload without the project's name is looked up");
    }

    /// Its token has died while nobody looked.
    fn renews_its_token(&self, installation: &str) {
        let sentry = &self.outside.sentry;
        let before = sentry.token_of(installation).expect("a pair");
        sentry.expire_token(installation);
        let now = Timestamp::now();
        let row = self.row(installation);
        self.bundle.write(&Installation { expires_at: Some(now), due_at: Some(now), ..row });

        self.bundle.invoke("RefreshFunction");
        assert_eq!(
            (sentry.refreshes(), sentry.manual_refreshes()),
            (1, 1),
            "by an assertion, with which no refresh token is spent"
        );
        let after = sentry.token_of(installation).expect("a pair");
        assert!(after.access != before.access && after.refresh != before.refresh);
        let row = self.row(installation);
        assert!(row.expires_at > Some(now + Duration::from_hours(7)), "{row:?}");
        assert!(row.due_at > Some(now) && row.manual_refresh_worked, "{row:?}");

        let looked_up = self.look_ups();
        self.outside.run(async {
            let other =
                sentry.create_issue(NewIssue::new("Frontend", "RangeError: too deep")).await.expect("a project");
            let alert = Alert { rule: "Page Frontend".to_owned(), urls: AlertUrls::Absent, ..Alert::default() };
            assert!(sentry.trigger_alert(other.issue, alert).await.expect("an issue").is_accepted());
        });
        assert_eq!(self.bundle.wait_until_dispatched("event_alert.triggered", Some("RangeError: too deep")), 0);
        assert_eq!(self.look_ups(), looked_up + 1, "with the new token");
        assert_eq!(sentry.refreshes(), 1);
    }

    /// By the commands that the stack's outputs print.
    fn is_sent_again_by_its_operator(&self) {
        const TITLE: &str = "OSError: disk is full";
        let sentry = &self.outside.sentry;
        let rung = self.outside.wait_for_messages(2).len();
        sentry.faults().push(Endpoint::Pushover, Fault::status(400));
        let created = self.outside.run(sentry.create_issue(NewIssue::new("Backend", TITLE))).expect("a project");
        assert!(created.delivery.is_accepted(), "{:?}", created.delivery);
        let id = self.bundle.wait_until_failed(TITLE);
        let shown = self.bundle.operator("FailedDeliveries", Some(&format!("deliveries show --aws {id}")));
        assert!(shown.contains("400") && shown.contains("phones"), "{shown}");
        let said = self.bundle.operator("FailedDeliveries", Some(&format!("deliveries resend --aws {id}")));
        assert!(said.contains("1 on the queue: it is sent within"), "{said}");
        let messages = self.outside.wait_for_messages(rung + 1);
        assert_eq!(messages[rung].title.as_deref(), Some(TITLE));
        let redriven = self.bundle.operator("FailedDeliveries", Some("redrive --aws --destination phones"));
        assert_eq!(redriven, "nothing to send again\n");
        // The minute's tick, which finds nothing paused.
        self.bundle.invoke("DeliverFunction");
    }

    fn is_removed_for_good(&self, installation: &str) {
        let sentry = &self.outside.sentry;
        let rung = self.outside.wait_for_messages(3).len();
        let deleted = self.outside.run(sentry.uninstall(installation)).expect("it is installed");
        assert!(deleted.is_accepted(), "{deleted:?}");
        self.bundle.wait_until_dispatched("installation.deleted", None);
        let removed = self.row(installation);
        assert_eq!((removed.status, removed.tokens.is_some()), (Status::Removed, false), "{removed:?}");

        let calls = self.calls_to_sentry();
        let uuid = json!({ "uuid": installation });
        let actor = json!({ "type": "application", "id": "sentry", "name": "Sentry" });
        let created = json!({
            "action": "created", "installation": uuid, "actor": actor,
            "data": { "installation": { "uuid": installation, "code": "f".repeat(64), "status": "pending",
                "organization": { "slug": "example-org" }, "app": { "slug": "switchboard", "uuid": "0" } } },
        });
        let issue = json!({
            "action": "created", "installation": uuid, "actor": actor,
            "data": { "issue": { "id": "77", "title": "A latecomer", "project": { "slug": "backend", "name": "Backend" } } },
        });
        for (resource, body) in [("installation", created), ("issue", issue)] {
            let late = self.outside.run(sentry.send_raw(resource, body.to_string()));
            assert!(late.is_accepted(), "{resource}: {late:?}");
        }
        let messages = self.outside.wait_for_messages(rung + 1);
        assert_eq!(messages[rung].title.as_deref(), Some("A latecomer"), "what was accepted is kept");
        self.bundle.wait_until_dispatched_times("installation.created", 2);
        let row = self.row(installation);
        assert_eq!((row.status, row.tokens.is_some()), (Status::Removed, false), "{row:?}");
        assert_eq!(self.calls_to_sentry(), calls, "nobody asks for new tokens");
        self.bundle.invoke("RefreshFunction");
        assert_eq!(self.row(installation), row, "nothing is due");
        assert_eq!((sentry.exchanges(), sentry.refreshes()), (1, 1));
    }

    fn has_logged_that_one_error_and_no_secret(&self, installation: &str) {
        let log = self.bundle.log();
        assert!(log.contains(installation), "the log is that of this story");
        let errors: Vec<&str> = log.lines().filter(|line| line.contains(r#""level":"ERROR""#)).collect();
        assert!(
            errors.len() == 1 && errors[0].contains("delivery given up"),
            "all else has worked at once: {errors:#?}"
        );
        for (name, secret) in self.outside.secrets(installation) {
            assert!(!log.contains(&secret), "{name} is in the log");
        }
    }

    fn row(&self, installation: &str) -> Installation {
        self.bundle.row(installation).expect("there is a row")
    }

    /// Issues that Sentry's API gave out.
    fn look_ups(&self) -> usize {
        self.outside.sentry.log().iter().filter(|call| call.subject == "issue" && call.status == Some(200)).count()
    }

    /// Calls of Pushover: when, and how they were answered.
    fn tries(&self) -> Vec<(Timestamp, u16)> {
        let log = self.outside.sentry.log();
        let calls = log.iter().filter(|call| call.direction == Direction::ToPushover);
        calls.map(|call| (call.at, call.status.expect("an answer"))).collect()
    }

    fn calls_to_sentry(&self) -> usize {
        self.outside.sentry.log().iter().filter(|call| call.direction == Direction::ToSentry).count()
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let (head, _) = answer.text.split_once("\r\n\r\n")?;
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value.trim()))
}
