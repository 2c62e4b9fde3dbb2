#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use simulator::{GitHub, GitLab, Jira, Linear};

use super::testing::{Plugged, new_ticket, settings};
use super::*;

/// The stand-in below a path, and how many calls came elsewhere.
fn below(path: &str, stand_in: Router) -> (Plugged, Arc<AtomicUsize>) {
    let astray = Arc::new(AtomicUsize::new(0));
    let count = astray.clone();
    let elsewhere = move || {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(http::StatusCode::NOT_FOUND)
    };
    // A stand-in is asked for what stands behind the path.
    (Plugged(Router::new().nest_service(path, stand_in).fallback(elsewhere)), astray)
}

#[tokio::test]
async fn a_tracker_may_be_below_a_path_of_its_server() {
    let (github, gitlab, linear, jira) = (GitHub::default(), GitLab::default(), Linear::default(), Jira::cloud());
    let jira_lines =
        format!("url = \"https://jira.example/tracker\"\nemail = \"{}\"\ntoken = \"secret:t\"", jira.email());
    let lines = |base_url: &str| format!("token = \"secret:t\"\nbase_url = \"{base_url}\"");
    let cases = [
        // GitHub Enterprise Server.
        (
            "github",
            lines("https://ghe.example/api/v3"),
            github.token(),
            "/api/v3",
            github.router(),
            "acme/backend",
            "https://ghe.example/acme/backend/issues/1",
            "https://github.com/acme/backend/issues/1",
        ),
        (
            "gitlab",
            lines("https://git.example/gitlab"),
            gitlab.token(),
            "/gitlab",
            gitlab.router(),
            "acme/shop/backend",
            "https://git.example/gitlab/acme/shop/backend/-/issues/1",
            "https://gitlab.com/acme/shop/backend/-/issues/1",
        ),
        (
            "linear",
            lines("https://proxy.example/linear"),
            linear.api_key(),
            "/linear",
            linear.router(),
            "ENG",
            "https://linear.app/acme/issue/ENG-1/slug",
            "https://linear.app/acme/issue/ENG-1/slug",
        ),
        (
            "jira",
            jira_lines.clone(),
            jira.token(),
            "/tracker",
            jira.router(),
            "OPS",
            "https://jira.example/tracker/browse/OPS-1",
            "https://jira.example/tracker/browse/OPS-1",
        ),
        // What its users open stays what `url` says.
        (
            "jira",
            jira_lines + "\nbase_url = \"https://proxy.example/to\"",
            jira.token(),
            "/to/tracker",
            jira.router(),
            "OPS",
            "https://jira.example/tracker/browse/OPS-1",
            "https://jira.example/tracker/browse/OPS-1",
        ),
    ];
    for (name, lines, token, path, stand_in, project, page, url) in cases {
        let (wire, astray) = below(path, stand_in);
        let settings = settings(name, &lines, [("t", token)]);
        let (api, far) = (wire.api(&settings), kind(name).unwrap().tracker);
        let new = new_ticket(project, "It broke", "Again.", 'a');
        let ticket = match far.find(&api, project, &new.marker).await.unwrap() {
            Some(ticket) => ticket,
            None => far.open(&api, &new).await.unwrap(),
        };
        assert_eq!(ticket.url, url, "{name}: as the tracker says it, or as `url` does");
        assert_eq!(far.read(&api, project, page).await.unwrap(), ticket, "{name}");
        far.comment(&api, &ticket, "Seen.").await.unwrap();
        far.close(&api, &ticket).await.unwrap();
        far.projects(&api, "").await.unwrap();
        far.tickets(&api, project, page).await.unwrap();
        assert_eq!(astray.load(Ordering::Relaxed), 0, "{name}: {path}");
    }
}
