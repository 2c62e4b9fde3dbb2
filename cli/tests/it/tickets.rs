//! *Create* and *Link* on the page of `dev`, with every type of tracker, as a browser with scripts sends them.

use serde_json::{Value, json};

use crate::dev::Dev;

/// With the projects of a tracker, and without.
const ROUTES: &str = r#"
[[tracker]]
name = "hub"
type = "github"
token = "secret:one"
repositories = ["me/shop", "me/site"]
labels = ["sentry"]
organizations = ["example-org"]

[[tracker]]
name = "any-hub"
type = "github"
token = "secret:two"
organizations = ["example-org"]

[[tracker]]
name = "lab"
type = "gitlab"
token = "secret:one"
base_url = "https://git.example"
projects = ["me/sub/api"]
labels = ["sentry"]
organizations = ["example-org"]

[[tracker]]
name = "any-lab"
type = "gitlab"
token = "secret:two"
organizations = ["example-org"]

[[tracker]]
name = "board"
type = "jira"
url = "https://me.atlassian.net"
email = "me@example.com"
token = "secret:three"
projects = ["SHOP"]
issue_type = "Incident"
organizations = ["example-org"]

[[tracker]]
name = "cycle"
type = "linear"
token = "secret:four"
projects = ["SHO"]
labels = ["sentry"]
organizations = ["example-org"]
"#;

/// Tracker and project; what Sentry calls the first ticket there, and the tracker.
const PROJECTS: [(&str, &str, &str); 7] = [
    ("any-hub/acme/backend", "acme/backend#1", "acme/backend#1"),
    ("any-lab/acme/shop/backend", "acme/shop/backend#1", "acme/shop/backend#1"),
    ("board/SHOP", "SHOP#SHOP-1", "SHOP-1"),
    ("cycle/SHO", "SHO#SHO-1", "SHO-1"),
    ("hub/me/shop", "me/shop#1", "me/shop#1"),
    ("hub/me/site", "me/site#1", "me/site#1"),
    ("lab/me/sub/api", "me/sub/api#1", "me/sub/api#1"),
];

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Values of a select's choices.
async fn options(dev: &Dev, list: &str, project: &str, query: &str) -> Vec<String> {
    let uri = encoded(&format!("/components/options/{list}"));
    let dependent = encoded(&json!({ "project": project }).to_string());
    let address = format!("{}/sentry/options?uri={uri}&dependent={dependent}&query={query}", dev.url);
    let answer: Value = serde_json::from_str(dev.get(&address).await.body()).unwrap();
    let choices = answer["choices"].as_array().unwrap_or_else(|| panic!("{list} of {project}: {answer}"));
    choices.iter().map(|choice| choice[0].as_str().unwrap().to_owned()).collect()
}

async fn send(dev: &Dev, form: &str, fields: &[(&str, &str)]) -> Value {
    let fields = fields.iter().map(|(name, value)| format!("field:{name}={}", encoded(value)));
    let answer = dev.post(form, &fields.collect::<Vec<_>>().join("&")).await;
    serde_json::from_str(answer.body()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_opened_once_and_linked_in_each_tracker() {
    let folder = tempfile::tempdir().unwrap();
    let file = crate::running::write(folder.path(), "routes.toml", ROUTES);
    let dev = Dev::start_with(&["--routes", file.to_str().unwrap()]);
    dev.install().await;
    let mut offered = options(&dev, "projects", "", "").await;
    offered.sort_unstable();
    assert_eq!(offered, PROJECTS.map(|(project, ..)| project));

    let mut issue = 1;
    for (project, ticket, _) in PROJECTS {
        for title in ["Kaboom", "Elsewhere"] {
            dev.press("/issue", &format!("project=Backend&title={title}")).await;
        }
        let sidebar = dev.get(&format!("{}/sentry/issues/{issue}", dev.url)).await;
        assert!(sidebar.body().contains("<h2>Create</h2>"), "{}", sidebar.body());
        assert!(options(&dev, "tickets", project, "").await.is_empty());
        // Pressed twice at once, and again after the link is gone.
        let create = format!("/sentry/issues/{issue}/create");
        let assignee = &options(&dev, "assignees", project, "ada").await[0];
        let label = &options(&dev, "labels", project, "b").await[0];
        let fields = [
            ("project", project),
            ("title", "Kaboom"),
            ("description", "It broke @ada"),
            ("label", label),
            ("assignee", assignee),
        ];
        let (one, two) = tokio::join!(send(&dev, &create, &fields), send(&dev, &create, &fields));
        let opened = if one["ok"] == true { one } else { two };
        assert_eq!((&opened["linked"]["name"], &opened["ok"]), (&json!(ticket), &json!(true)), "{opened}");
        assert!(opened["linked"]["url"].as_str().unwrap().starts_with("https://"), "{opened}");
        let sidebar = dev.get(&format!("{}/sentry/issues/{issue}", dev.url)).await.into_body();
        assert!(sidebar.contains("Linked: ") && !sidebar.contains("<h2>Create</h2>"), "{sidebar}");
        dev.press(&format!("/sentry/issues/{issue}/unlink"), "").await;
        assert_eq!(send(&dev, &create, &fields).await["linked"]["name"], ticket);

        // Another issue is linked to it.
        let tickets = options(&dev, "tickets", project, "").await;
        assert_eq!(tickets.len(), 1, "{project}: {tickets:?}");
        assert_eq!(options(&dev, "tickets", project, "kab").await, tickets, "{project}");
        let link = format!("/sentry/issues/{}/link", issue + 1);
        let linked = send(&dev, &link, &[("project", project), ("ticket", &tickets[0])]).await;
        assert_eq!(linked["linked"]["name"], ticket, "{linked}");
        let refused = send(&dev, &link, &[("project", project), ("ticket", "99")]).await;
        assert_eq!(refused["ok"], false, "{refused}");
        issue += 2;
    }

    let page = dev.page_when("the tickets", |page| page.contains("<h2>Trackers</h2>")).await;
    let (_, trackers) = page.split_once("<h2>Trackers</h2>").unwrap();
    let (trackers, _) = trackers.split_once("<h2>On the wire").unwrap();
    for (_, _, ticket) in PROJECTS {
        assert_eq!(trackers.matches(&format!("<b>{ticket} Kaboom</b>")).count(), 1, "{ticket}: {trackers}");
    }
    assert_eq!(trackers.matches("<div class=card>").count(), PROJECTS.len());
    assert!(!trackers.contains("wakes"), "{trackers}");
    assert_eq!(trackers.matches(">label sentry<").count(), 4);
    assert_eq!(trackers.to_lowercase().matches("assigned to ada").count(), PROJECTS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipe_opens_tickets_for_its_organization_and_says_so_to_another() {
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/routes/ui-components.toml");
    for organization in ["acme", "example-org"] {
        let dev = Dev::start_with(&["--routes", recipe, "--organization", organization]);
        dev.install().await;
        dev.press("/issue", "project=Backend&title=Kaboom").await;
        let is_offered = organization == "acme";
        for (page, what) in [("/sentry/issues/1", "tracker"), ("/sentry/rule", "destination")] {
            let page = dev.get(&format!("{}{page}", dev.url)).await.into_body();
            let said = format!("No {what} of the routes file is offered to the organization {organization}, so");
            assert_eq!(page.contains(&said), !is_offered, "{page}");
        }
        let project = "backend-tickets/acme/backend";
        let expected = if is_offered { vec![project] } else { vec![] };
        assert_eq!(options(&dev, "projects", "", "").await, expected);
        let answer = send(&dev, "/sentry/issues/1/create", &[("project", project), ("title", "Kaboom")]).await;
        assert_eq!(answer["ok"], is_offered, "{answer}");
    }
}
