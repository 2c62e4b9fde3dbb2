#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use simulator::Fault;

use super::*;
use crate::destinations::settings::Settings;
use crate::trackers::testing::{self, Plugged, hostile, new_ticket};

const REPOSITORY: &str = "acme/backend";

fn settings(token: &str) -> Settings {
    testing::settings("github", "token = \"secret:t\"", [("t", token)])
}

fn world() -> (simulator::GitHub, Plugged, Settings) {
    let far = simulator::GitHub::default();
    let way = Plugged(far.router());
    (far.clone(), way, settings(far.token()))
}

#[tokio::test]
async fn a_ticket_is_opened_found_commented_closed_and_reopened() {
    let (far, way, settings) = world();
    let api = way.api(&settings);
    let new = NewTicket {
        labels: vec!["bug".to_owned()],
        assignee: Some("ada".to_owned()),
        ..new_ticket(REPOSITORY, "It broke", "It broke again.", 'a')
    };
    assert_eq!(GitHub.find(&api, REPOSITORY, &new.marker).await.unwrap(), None);
    let ticket = GitHub.open(&api, &new).await.unwrap();
    assert_eq!((&*ticket.identifier, &*ticket.url), ("1", "https://github.com/acme/backend/issues/1"));
    assert_eq!(
        GitHub.find(&api, REPOSITORY, &new.marker).await.unwrap().as_ref(),
        Some(&ticket),
        "before it is indexed"
    );
    GitHub.comment(&api, &ticket, "It is @ada again").await.unwrap();
    for is_open in [false, false, true, true] {
        let done = if is_open { GitHub.reopen(&api, &ticket).await } else { GitHub.close(&api, &ticket).await };
        done.unwrap();
        assert_eq!(far.issues()[0].is_open, is_open);
    }
    let issue = &far.issues()[0];
    assert_eq!((&*issue.title, &issue.labels, &issue.assignees), ("It broke", &new.labels, &vec!["ada".to_owned()]));
    let body = format!("Sentry: <https://sentry.example/issues/7/>\n\nIt broke again.\n\n<sub>{}</sub>", new.marker);
    assert_eq!(issue.body, body);
    assert_eq!(issue.comments, ["```text\nIt is @ada again\n```"]);
    assert!(issue.mentions.is_empty());
}

#[tokio::test]
async fn a_ticket_that_is_older_than_a_page_is_found_by_the_search() {
    let (far, way, settings) = world();
    let api = way.api(&settings);
    let first = new_ticket(REPOSITORY, "first", "", 'a');
    GitHub.open(&api, &first).await.unwrap();
    for _ in 0..100 {
        far.open_pull_request("one");
    }
    assert_eq!(GitHub.find(&api, REPOSITORY, &first.marker).await.unwrap(), None, "not indexed");
    far.index();
    assert_eq!(GitHub.find(&api, REPOSITORY, &first.marker).await.unwrap().unwrap().identifier, "1");
}

#[tokio::test]
async fn choices_are_what_fits_and_pull_requests_are_none() {
    let (far, way, settings) = world();
    let api = way.api(&settings);
    let values = |choices: Vec<Choice>| choices.into_iter().map(|choice| choice.value).collect::<Vec<_>>().join(" ");
    assert_eq!(values(GitHub.projects(&api, "").await.unwrap()), "acme/backend", "none that is archived");
    assert_eq!(values(GitHub.projects(&api, "front").await.unwrap()), "");
    assert_eq!(values(GitHub.labels(&api, REPOSITORY, "BU").await.unwrap()), "bug");
    assert_eq!(values(GitHub.assignees(&api, REPOSITORY, "").await.unwrap()), "ada grace");
    for (title, letter) in [("A slow page", 'a'), ("A page is \"gone\"", 'b')] {
        GitHub.open(&api, &new_ticket(REPOSITORY, title, "", letter)).await.unwrap();
    }
    let pull_request = far.open_pull_request("A page").to_string();
    far.index();
    let first = GitHub.read(&api, REPOSITORY, "1").await.unwrap();
    GitHub.close(&api, &first).await.unwrap();
    for (query, expected) in [
        ("", "2"),
        ("page", "2 1"),
        ("slow page", "1"),
        ("1", "1"),
        ("#2", "2"),
        ("\" is:pr repo:evil/x \"gone", ""),
        ("gone\"", "2"),
        ("\\\"", ""),
    ] {
        let found = GitHub.tickets(&api, REPOSITORY, query).await;
        // Nothing but what is searched for may be asked.
        if query == "\\\"" {
            assert!(found.is_ok());
            continue;
        }
        assert_eq!(values(found.unwrap()), expected, "{query}");
    }
    let label = &GitHub.tickets(&api, REPOSITORY, "1").await.unwrap()[0].label;
    assert_eq!(label, "#1 A slow page (closed)");
    let refused = GitHub.read(&api, REPOSITORY, &pull_request).await.unwrap_err().to_string();
    assert_eq!(refused, "refuses this (422): #3 is a pull request, not an issue: give an issue's number");
    for id in ["1", " #1 ", "acme/backend#1", "https://github.com/Acme/backend/issues/1?a=b#c"] {
        assert_eq!(GitHub.read(&api, REPOSITORY, id).await.unwrap().identifier, "1", "{id}");
    }
    for id in ["", "x", "-1", "1/comments", "../1", "acme/other#1", "https://github.com/acme/other/issues/1", "99"] {
        let error = GitHub.read(&api, REPOSITORY, id).await.unwrap_err();
        assert!(matches!(error, TrackerError::NotFound(_)), "{id}: {error}");
    }
}

#[tokio::test]
async fn a_project_that_is_no_repositorys_name_never_reaches_a_path() {
    let (_, way, settings) = world();
    let api = way.api(&settings);
    for project in
        ["", "acme", "acme/", "/x", "acme/..", "acme/a/b", "acme/a?b", "acme/a#b", "a b/c", "acme/ä", "../user"]
    {
        let error = GitHub.open(&api, &new_ticket(project, "t", "", 'a')).await.unwrap_err();
        assert!(matches!(error, TrackerError::NotFound(_)), "{project}: {error}");
        assert!(repository(project).is_err(), "{project}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_check() {
    let opened = async |change: &dyn Fn(&simulator::GitHub), new: NewTicket| {
        let (far, way, settings) = world();
        change(&far);
        GitHub.open(&way.api(&settings), &new).await.unwrap_err().to_string()
    };
    let new = || new_ticket(REPOSITORY, "t", "", 'a');
    let nothing = |_: &simulator::GitHub| {};
    let stranger = NewTicket { assignee: Some("eve".to_owned()), ..new() };
    assert_eq!(opened(&nothing, stranger).await, "refuses this (422): Validation Failed: assignees \"eve\" is invalid");
    let label = NewTicket { labels: vec!["l".repeat(51)], ..new() };
    assert!(opened(&nothing, label).await.contains("Validation Failed: labels \"lll"));
    let unknown = NewTicket { project: "acme/other".to_owned(), ..new() };
    assert!(opened(&nothing, unknown).await.starts_with("does not know `acme/other`, or its token may not see it"));
    assert_eq!(
        opened(&simulator::GitHub::switch_issues_off, new()).await,
        "refuses this (410): Issues has been disabled in this repository. (check that issues are switched on in the \
         repository's settings)"
    );
    assert!(opened(&simulator::GitHub::revoke_token, new()).await.contains("(401)"));
    let throttled = opened(&simulator::GitHub::use_up_quota, new()).await;
    assert!(throttled.starts_with("has taken too many requests (429): try again after 20"), "{throttled}");
    assert_eq!(
        opened(&|far| far.fail_next(1, &Fault::status(502)), new()).await,
        "is in trouble (502): try again in a minute"
    );
    let (far, way, _) = world();
    let bad = settings(&format!("{}\nx", far.token()));
    let error = GitHub.open(&way.api(&bad), &new()).await.unwrap_err().to_string();
    assert_eq!(error, "is not configured: its `token` holds what no token has, like a line break");
}

#[tokio::test]
async fn a_search_that_answers_something_else_is_not_understood() {
    for body in ["[]", "\"no\"", "{}", "{\"items\": 5}"] {
        let way = Plugged(axum::Router::new().fallback(move || async move { body }));
        let settings = settings("t");
        let error = GitHub.tickets(&way.api(&settings), REPOSITORY, "words").await.unwrap_err().to_string();
        assert!(error.starts_with("answers what is not understood"), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_blank_title_or_comment_gets_words_for_github_takes_none() {
    let (far, way, settings) = world();
    let api = way.api(&settings);
    let ticket = GitHub.open(&api, &new_ticket(REPOSITORY, " \u{200b}", "", 'a')).await.unwrap();
    GitHub.comment(&api, &ticket, "\n").await.unwrap();
    let issue = &far.issues()[0];
    assert_eq!((&*issue.title, &*issue.comments[0]), ("Sentry issue", "```text\n(no text)\n```"));
}

#[tokio::test]
async fn a_hostile_text_mentions_nobody_and_refers_to_nothing() {
    let (far, way, settings) = world();
    let api = way.api(&settings);
    for text in hostile() {
        let ticket = GitHub.open(&api, &new_ticket(REPOSITORY, "t", &text, 'a')).await.unwrap();
        GitHub.comment(&api, &ticket, &text).await.unwrap();
    }
    for issue in far.issues() {
        assert!(issue.mentions.is_empty() && issue.references.is_empty(), "{issue:?}");
        assert!(issue.body.ends_with("</sub>") && issue.body.starts_with("Sentry: <"), "{}", issue.body);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_mentions_anybody(text in "(@ada|#12|GH-1|```|~~~|`|\\n|/close| |\\\\|&#64;|<|\\PC){0,30}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (far, way, settings) = world();
        let ticket = runtime.block_on(GitHub.open(&way.api(&settings), &new_ticket(REPOSITORY, "t", &text, 'a')));
        prop_assert!(ticket.is_ok());
        let issue = &far.issues()[0];
        prop_assert!(issue.mentions.is_empty() && issue.references.is_empty(), "{:?}", issue);
    }
}
