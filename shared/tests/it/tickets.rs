//! One ticket an issue: against a tracker that a test scripts.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;
use shared::destinations::settings::Settings;
use shared::ids::{DestinationName, InstallationId};
use shared::ports::{Clock as _, Deliveries as _, DeliveryState, Platform as _, Secret};
use shared::routing;
use shared::secrets::DestinationSecrets;
use shared::tickets::{self, NotOpened};
use shared::trackers::{Api, Choice, NewTicket, Ticket, Tracker, TrackerError, TrackerKind};

use simulator::{Endpoint, Fault, Jira, JiraEdition};

use crate::ports::{Ports, QueueFault, forget_threads};
use crate::world::{World, issue};

const INSTALLATION: &str = "a8e5d37a-696c-4c54-adb5-b3f28d64c7de";
const SECOND: Duration = Duration::from_secs(1);

/// How the tracker takes the next order to open a ticket.
#[derive(Clone, Copy)]
enum Opening {
    After(Duration),
    /// It is opened, and the answer never comes.
    AnswerLost,
    Refused,
}

/// Opens at once where nothing else is said.
#[derive(Default)]
struct Scripted {
    openings: Mutex<VecDeque<Opening>>,
    opened: Mutex<Vec<NewTicket>>,
}

impl Scripted {
    fn kind(openings: impl IntoIterator<Item = Opening>) -> (&'static TrackerKind, &'static Self) {
        let tracker: &'static Self = Box::leak(Box::default());
        tracker.openings.lock().unwrap().extend(openings);
        let kind = TrackerKind {
            name: "scripted",
            keys: &[],
            needs: &[],
            projects_key: "projects",
            project_form: None,
            max_title: 20,
            max_text: 1000,
            tracker,
        };
        (Box::leak(Box::new(kind)), tracker)
    }

    fn opened(&self) -> Vec<NewTicket> {
        self.opened.lock().unwrap().clone()
    }
}

fn ticket(number: usize) -> Ticket {
    Ticket {
        project: "acme/backend".into(),
        identifier: number.to_string(),
        id: format!("id-{number}"),
        url: format!("https://tickets.example/{number}"),
    }
}

#[async_trait]
impl Tracker for Scripted {
    async fn projects(&self, _: &Api<'_>, _: &str) -> Result<Vec<Choice>, TrackerError> {
        unreachable!()
    }
    async fn labels(&self, _: &Api<'_>, _: &str, _: &str) -> Result<Vec<Choice>, TrackerError> {
        unreachable!()
    }
    async fn assignees(&self, _: &Api<'_>, _: &str, _: &str) -> Result<Vec<Choice>, TrackerError> {
        unreachable!()
    }
    async fn tickets(&self, _: &Api<'_>, _: &str, _: &str) -> Result<Vec<Choice>, TrackerError> {
        unreachable!()
    }
    async fn read(&self, _: &Api<'_>, _: &str, _: &str) -> Result<Ticket, TrackerError> {
        unreachable!()
    }

    async fn find(&self, _: &Api<'_>, _: &str, marker: &str) -> Result<Option<Ticket>, TrackerError> {
        let found = self.opened().iter().position(|new| new.marker == marker);
        Ok(found.map(|at| ticket(at + 1)))
    }

    async fn open(&self, _: &Api<'_>, new: &NewTicket) -> Result<Ticket, TrackerError> {
        let opening = self.openings.lock().unwrap().pop_front().unwrap_or(Opening::After(Duration::ZERO));
        match opening {
            Opening::Refused => return Err(TrackerError::Refused { status: 422, reason: "no such label".into() }),
            Opening::After(wait) => tokio::time::sleep(wait).await,
            Opening::AnswerLost => {}
        }
        let number = {
            let mut opened = self.opened.lock().unwrap();
            opened.push(new.clone());
            opened.len()
        };
        if matches!(opening, Opening::AnswerLost) {
            std::future::pending::<()>().await;
        }
        Ok(ticket(number))
    }

    async fn comment(&self, _: &Api<'_>, _: &Ticket, _: &str) -> Result<(), TrackerError> {
        unreachable!()
    }
    async fn close(&self, _: &Api<'_>, _: &Ticket) -> Result<(), TrackerError> {
        unreachable!()
    }
    async fn reopen(&self, _: &Api<'_>, _: &Ticket) -> Result<(), TrackerError> {
        unreachable!()
    }
}

fn tracker() -> routing::Tracker {
    routing::Tracker {
        name: "backend-tickets".parse().unwrap(),
        kind: "scripted".into(),
        values: [].into(),
        base_url: None,
        projects: vec!["acme/backend".into()],
        labels: vec!["sentry".into(), "bug".into()],
        organizations: None,
    }
}

fn installation() -> InstallationId {
    INSTALLATION.parse().unwrap()
}

fn name() -> DestinationName {
    tracker().name
}

/// Somebody presses the button for the issue, with 10 s to do it in.
async fn press(ports: &Ports, kind: &TrackerKind, issue: &str) -> Result<Ticket, NotOpened> {
    let tracker = tracker();
    let settings = Settings::resolve_tracker(&tracker, &DestinationSecrets::default()).unwrap();
    let new = NewTicket {
        project: "acme/backend".into(),
        title: "Value\u{202e}Error:\ndivision by zero".into(),
        text: "text".into(),
        link: None,
        labels: vec!["bug".into(), "urgent".into()],
        assignee: None,
        marker: String::new(),
    };
    let deadline = ports.clock.now() + 10 * SECOND;
    tickets::open_once_with(ports, kind, &tracker, &settings, installation(), issue, new, deadline).await
}

#[tokio::test(start_paused = true)]
async fn an_issue_gets_one_ticket_however_often_it_is_asked_for_and_another_issue_another() {
    let world = World::new().await;
    let (kind, scripted) = Scripted::kind([]);
    for issue in ["7", "7", "8", "7"] {
        let number = if issue == "7" { 1 } else { 2 };
        assert_eq!(press(&world.ports, kind, issue).await.unwrap(), ticket(number));
    }
    let opened = scripted.opened();
    assert_eq!(opened.len(), 2);
    assert_eq!(opened[0].title, "ValueError: divisio…");
    assert_eq!(opened[0].labels, ["bug", "urgent", "sentry"]);
    assert_ne!(opened[0].marker, opened[1].marker);
    let known = tickets::known(&*world.ports, &name(), installation(), "7").await.unwrap();
    assert_eq!(known, Some(ticket(1)));
    assert_eq!(tickets::known(&*world.ports, &name(), installation(), "9").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_was_linked_by_hand_is_the_issues_own_for_half_a_year() {
    let world = World::new().await;
    let (kind, scripted) = Scripted::kind([]);
    tickets::remember(&*world.ports, &name(), installation(), "7", &ticket(42)).await.unwrap();
    tokio::time::sleep(Duration::from_hours(179 * 24)).await;
    assert_eq!(press(&world.ports, kind, "7").await.unwrap(), ticket(42));
    assert_eq!(scripted.opened().len(), 0);
    tokio::time::sleep(Duration::from_hours(2 * 24)).await;
    assert_eq!(tickets::known(&*world.ports, &name(), installation(), "7").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn of_a_double_click_one_opens_and_the_other_waits_for_its_ticket() {
    let world = World::new().await;
    let (kind, scripted) = Scripted::kind([Opening::After(3 * SECOND)]);
    let (one, other) = tokio::join!(press(&world.ports, kind, "7"), press(&world.ports, kind, "7"));
    assert_eq!((one.unwrap(), other.unwrap()), (ticket(1), ticket(1)));
    assert_eq!(scripted.opened().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_wait_any_longer_is_told_that_it_is_being_opened() {
    let world = World::new().await;
    let (kind, scripted) = Scripted::kind([Opening::After(20 * SECOND)]);
    let begun = world.now();
    let (one, other) = tokio::join!(press(&world.ports, kind, "7"), async {
        tokio::time::sleep(SECOND).await;
        let other = press(&world.ports, kind, "7").await;
        (other, world.now())
    });
    assert_eq!(one.unwrap(), ticket(1));
    let (refused, at): (_, Timestamp) = other;
    assert!(matches!(refused, Err(NotOpened::BeingOpened)), "{refused:?}");
    assert!(at <= begun + 11 * SECOND, "within its time");
    assert_eq!(scripted.opened().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_opened_and_not_remembered_is_found_once_the_lease_is_over() {
    let world = World::new().await;
    let (kind, scripted) = Scripted::kind([Opening::AnswerLost]);
    // It crashes while it waits for the answer.
    let crashed = tokio::time::timeout(SECOND, press(&world.ports, kind, "7")).await;
    assert!(crashed.is_err());
    assert_eq!(scripted.opened().len(), 1);
    let at_once = press(&world.ports, kind, "7").await;
    assert!(matches!(at_once, Err(NotOpened::BeingOpened)), "{at_once:?}");
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(press(&world.ports, kind, "7").await.unwrap(), ticket(1));
    assert_eq!(scripted.opened().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_it_may_be_tried_again_at_once() {
    let world = World::new().await;
    let (kind, scripted) = Scripted::kind([Opening::Refused]);
    let begun = world.now();
    let refused = press(&world.ports, kind, "7").await.unwrap_err();
    assert_eq!(refused.to_string(), "the tracker refuses this (422): no such label");
    assert_eq!(press(&world.ports, kind, "7").await.unwrap(), ticket(1));
    assert_eq!(world.now(), begun, "nobody waited");
    assert_eq!(scripted.opened().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn half_a_ticket_in_the_store_is_looked_up_by_its_marker() {
    let world = World::new().await;
    let (kind, scripted) = Scripted::kind([]);
    press(&world.ports, kind, "7").await.unwrap();
    let key = tickets::key(&name(), installation(), "7");
    let half = [("project", "acme/backend")].into();
    world.ports.deliveries().put_thread(&key, Some(&half), world.now() + SECOND).await.unwrap();
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(press(&world.ports, kind, "7").await.unwrap(), ticket(1));
    assert_eq!(scripted.opened().len(), 1);
}

const ROUTES: &str = r#"
[[tracker]]
name = "ops"
type = "jira"
url = "http://jira.test"
email = "switchboard@example.com"
token = "secret:jira-token"
projects = ["OPS"]

[[destination]]
name = "ops-tickets"
type = "jira-issue"
tracker = "ops"
resolved = "close"

[[destination]]
name = "phones"
type = "pushover"
user = "secret:pushover-user"
token = "secret:pushover-token"
base_url = "http://pushover.test"

[[route]]
name = "tickets"
when = { event = ["issue.*", "metric_alert.*"] }
to = ["ops-tickets"]

[[route]]
name = "opened"
when = { event = "switchboard.ticket_opened", project = "backend", level = "error" }
to = ["phones"]
"#;

async fn world_with_jira() -> (World, Jira) {
    let world = World::new().await;
    let now = world.ports.clock;
    let jira =
        Jira::new(JiraEdition::Cloud, std::sync::Arc::new(move || now.now()), simulator::Config::default().sleep);
    world.ports.outgoing.plug("jira.test", jira.router());
    let secrets = json!({
        "jira-token": jira.token(),
        "pushover-user": "u".repeat(30),
        "pushover-token": "a".repeat(30),
    });
    world.ports.secrets.put(Secret::Destinations, secrets.to_string(), None);
    world.push_routes(ROUTES).await;
    world.installed().await;
    (world, jira)
}

#[tokio::test(start_paused = true)]
async fn an_issue_opens_one_ticket_though_answers_are_lost_is_linked_to_it_and_closes_it() {
    let (world, jira) = world_with_jira().await;
    // Long enough for every try.
    jira.let_search_lag();
    // The ticket's and the link's: each was done, and nobody was told.
    jira.fail_next(1, &Fault::lost_answer());
    world.sentry.faults().push(Endpoint::Links, Fault::lost_answer());
    let id = issue(&world, "Backend", "boom").await;
    world.pass(Duration::from_mins(20)).await;
    let tickets = jira.tickets();
    assert_eq!(tickets.len(), 1, "{tickets:?}");
    assert!(tickets[0].title.contains("boom"), "{}", tickets[0].title);
    let link = world.sentry.external_issue(id).expect("a link");
    assert_eq!((link.identifier.as_str(), link.project.as_str()), ("OPS-1", "OPS"));
    let rung: Vec<_> = world.rung().into_iter().filter_map(|rung| rung.title).collect();
    assert_eq!(rung, ["Ticket opened: OPS-1"]);
    world.sentry.resolve_issue(id).await.unwrap();
    world.pass(Duration::from_mins(5)).await;
    let ticket = &jira.tickets()[0];
    assert_eq!((ticket.state.as_str(), ticket.comments.len()), ("Done", 1), "{ticket:?}");
    let states: Vec<_> = world.records().await.into_iter().map(|record| record.state).collect();
    assert!(states.iter().all(|state| *state == DeliveryState::Sent), "{states:?}");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_sentry_refuses_does_not_keep_the_event_from_being_routed() {
    let (world, jira) = world_with_jira().await;
    world.sentry.faults().push(Endpoint::Links, Fault::status(403));
    let id = issue(&world, "Backend", "boom").await;
    world.pass(Duration::from_mins(5)).await;
    assert_eq!((jira.tickets().len(), world.rung().len()), (1, 1));
    assert_eq!(world.sentry.external_issue(id), None);
    assert_eq!(world.calls("links"), [403]);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_is_opened_late_is_linked_as_patiently_as_any() {
    let (world, jira) = world_with_jira().await;
    jira.fail_next(8, &Fault::status(503));
    world.sentry.faults().push(Endpoint::Links, Fault::status(503));
    let id = issue(&world, "Backend", "boom").await;
    world.live(Duration::from_hours(3)).await;
    assert_eq!(world.calls("links"), [503, 200]);
    assert!(world.sentry.external_issue(id).is_some());
    assert_eq!((jira.tickets().len(), world.rung().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_ticket_whose_event_finds_no_queue_is_told_of_by_the_next_try() {
    let (world, jira) = world_with_jira().await;
    let id = issue(&world, "Backend", "boom").await;
    world.ports.events.fail([QueueFault::Down, QueueFault::Down]);
    world.pass(Duration::from_mins(20)).await;
    assert!(world.sentry.external_issue(id).is_some());
    assert_eq!((jira.tickets().len(), world.rung().len()), (1, 1));
    let states: Vec<_> = world.records().await.into_iter().map(|record| record.state).collect();
    assert!(states.iter().all(|state| *state == DeliveryState::Sent), "{states:?}");
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_no_store_remembers_is_there_all_the_same_and_found_again() {
    let world = World::new().await;
    let (kind, scripted) = Scripted::kind([]);
    forget_threads(2);
    assert_eq!(press(&world.ports, kind, "7").await.unwrap(), ticket(1));
    assert_eq!(tickets::known(&*world.ports, &name(), installation(), "7").await.unwrap(), None);
    assert_eq!(press(&world.ports, kind, "7").await.unwrap(), ticket(1));
    assert_eq!(scripted.opened().len(), 1);
    let known = tickets::known(&*world.ports, &name(), installation(), "7").await.unwrap();
    assert_eq!(known, Some(ticket(1)), "now it is remembered");
}

/// A second tracker, and a ticket there for the same issues.
const ANOTHER: &str = r#"
[[tracker]]
name = "web"
type = "jira"
url = "http://jira.test"
email = "switchboard@example.com"
token = "secret:jira-token"
projects = ["WEB"]

[[destination]]
name = "web-tickets"
type = "jira-issue"
tracker = "web"

[[route]]
name = "web"
when = { event = "issue.created" }
to = ["web-tickets"]
"#;

#[tokio::test(start_paused = true)]
async fn of_an_issues_two_tickets_one_is_linked_and_the_other_is_told_of_at_once() {
    let (world, jira) = world_with_jira().await;
    world.push_routes(&format!("{ROUTES}{ANOTHER}")).await;
    let id = issue(&world, "Backend", "boom").await;
    world.pass(4 * SECOND).await;
    assert_eq!((jira.tickets().len(), world.rung().len()), (2, 2));
    assert_eq!(world.calls("links"), [200, 500, 200], "its links are looked at, and it is left");
    assert!(world.sentry.external_issue(id).is_some());
}
