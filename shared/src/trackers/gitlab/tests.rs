#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use simulator::Fault;

use super::*;
use crate::destinations::settings::Settings;
use crate::trackers::testing::{self, Plugged, hostile, new_ticket};

const PROJECT: &str = "acme/shop/backend";

fn world() -> (simulator::GitLab, Plugged, Settings) {
    let far = simulator::GitLab::default();
    let way = Plugged(far.router());
    let settings = testing::settings("gitlab", "token = \"secret:t\"", [("t", far.token())]);
    (far, way, settings)
}

#[tokio::test]
async fn a_ticket_is_opened_found_commented_closed_and_reopened() {
    let (far, way, settings) = world();
    let api = way.api(&settings);
    let new = NewTicket {
        labels: vec!["bug".to_owned(), "sentry".to_owned()],
        assignee: Some("7".to_owned()),
        ..new_ticket(PROJECT, "It broke", "It broke again.", 'a')
    };
    assert_eq!(GitLab.find(&api, PROJECT, &new.marker).await.unwrap(), None);
    let ticket = GitLab.open(&api, &new).await.unwrap();
    assert_eq!((&*ticket.identifier, &*ticket.url), ("1", "https://gitlab.com/acme/shop/backend/-/issues/1"));
    assert_eq!(GitLab.find(&api, PROJECT, &new.marker).await.unwrap().as_ref(), Some(&ticket));
    GitLab.comment(&api, &ticket, "/close\n@ada").await.unwrap();
    for is_open in [false, false, true, true] {
        let done = if is_open { GitLab.reopen(&api, &ticket).await } else { GitLab.close(&api, &ticket).await };
        done.unwrap();
        assert_eq!(far.issues()[0].is_open, is_open);
    }
    let issue = &far.issues()[0];
    assert_eq!((&*issue.title, &issue.labels, &issue.assignees), ("It broke", &new.labels, &vec!["ada".to_owned()]));
    let text = format!("Sentry: <https://sentry.example/issues/7/>\n\nIt broke again.\n\n<sub>{}</sub>", new.marker);
    assert_eq!(issue.description, text);
    assert_eq!(issue.comments, ["```text\n\u{200b}/close\n@ada\n```"]);
    assert!(issue.mentions.is_empty() && issue.commands.is_empty());
}

#[tokio::test]
async fn choices_are_what_fits_and_a_ticket_is_read_by_whatever_names_it() {
    let (_, way, settings) = world();
    let api = way.api(&settings);
    let values = |choices: Vec<Choice>| choices.into_iter().map(|choice| choice.value).collect::<Vec<_>>().join(" ");
    assert_eq!(values(GitLab.projects(&api, "").await.unwrap()), PROJECT);
    assert_eq!(values(GitLab.projects(&api, "a&b").await.unwrap()), "");
    assert_eq!(values(GitLab.labels(&api, PROJECT, "BU").await.unwrap()), "bug");
    assert_eq!(GitLab.assignees(&api, PROJECT, "ada").await.unwrap(), [Choice::new("7", "Ada Lovelace (ada)")]);
    for (title, letter) in [("A slow page", 'a'), ("A gone page", 'b')] {
        GitLab.open(&api, &new_ticket(PROJECT, title, "", letter)).await.unwrap();
    }
    let first = GitLab.read(&api, PROJECT, "1").await.unwrap();
    GitLab.close(&api, &first).await.unwrap();
    for (query, expected) in [("", "2"), ("page", "2 1"), ("slow", "1"), ("#1", "1"), ("slow&state=opened", "")] {
        assert_eq!(values(GitLab.tickets(&api, PROJECT, query).await.unwrap()), expected, "{query}");
    }
    assert_eq!(GitLab.tickets(&api, PROJECT, "1").await.unwrap()[0].label, "#1 A slow page (closed)");
    for id in ["1", "#1", "acme/shop/backend#1", "https://git.test/acme/shop/backend/-/issues/1#note_2"] {
        assert_eq!(GitLab.read(&api, PROJECT, id).await.unwrap().identifier, "1", "{id}");
    }
    for id in ["", "x", "1/notes", "../1", "acme/other#1", "https://git.test/acme/other/-/issues/1", "99"] {
        let error = GitLab.read(&api, PROJECT, id).await.unwrap_err();
        assert!(matches!(error, TrackerError::NotFound(_)), "{id}: {error}");
    }
    for project in ["", "acme", "acme/", "/x", "acme/..", "acme//x", "acme/a?b", "a b/c", "acme/ä", "acme/a%2Fb"] {
        assert!(path_of(project).is_err(), "{project}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_check() {
    let opened = async |change: &dyn Fn(&simulator::GitLab), new: NewTicket| {
        let (far, way, settings) = world();
        change(&far);
        GitLab.open(&way.api(&settings), &new).await.unwrap_err().to_string()
    };
    let new = || new_ticket(PROJECT, "t", "", 'a');
    let nothing = |_: &simulator::GitLab| {};
    let cases = [
        (
            opened(&nothing, NewTicket { assignee: Some("eve".to_owned()), ..new() }).await,
            "the assignee `eve` is no number",
        ),
        (
            opened(&nothing, NewTicket { labels: vec!["a,b".to_owned()], ..new() }).await,
            "the label `a,b` holds a comma",
        ),
        (opened(&nothing, NewTicket { project: "acme/x".to_owned(), ..new() }).await, "does not know `acme/x`"),
        (opened(&simulator::GitLab::switch_issues_off, new()).await, "does not allow this (403): 403 Forbidden"),
        (opened(&simulator::GitLab::revoke_token, new()).await, "does not know its token (401)"),
        (opened(&|far| far.fail_next(1, &Fault::status(503)), new()).await, "is in trouble (503)"),
        (opened(&|far| far.fail_next(1, &Fault::status(429)), new()).await, "has taken too many requests (429)"),
    ];
    for (text, expected) in cases {
        assert!(text.contains(expected), "{text}");
    }
    let said = json!({"message": {"title": ["is too long"], "base": ["a", "b"]}});
    assert_eq!(reason(&said).unwrap(), "base a, b; title is too long");
}

#[tokio::test]
async fn a_blank_title_or_comment_gets_words_for_gitlab_takes_none() {
    let (far, way, settings) = world();
    let api = way.api(&settings);
    let ticket = GitLab.open(&api, &new_ticket(PROJECT, " \u{200b}", "", 'a')).await.unwrap();
    GitLab.comment(&api, &ticket, "\n").await.unwrap();
    let issue = &far.issues()[0];
    assert_eq!((&*issue.title, &*issue.comments[0]), ("Sentry issue", "```text\n(no text)\n```"));
}

#[tokio::test]
async fn a_hostile_text_mentions_nobody_refers_to_nothing_and_commands_nothing() {
    let (far, way, settings) = world();
    let api = way.api(&settings);
    for text in hostile() {
        let title = format!("t{}", one_line(&text, 200));
        let ticket = GitLab.open(&api, &new_ticket(PROJECT, &title, &text, 'a')).await.unwrap();
        GitLab.comment(&api, &ticket, &text).await.unwrap();
    }
    for issue in far.issues() {
        assert!(issue.mentions.is_empty() && issue.references.is_empty() && issue.commands.is_empty(), "{issue:?}");
        assert!(issue.description.ends_with("</sub>"), "{}", issue.description);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_does_anything(text in "(@ada|#12|!1|~bug|```|````|~~~|`|\\n|/close| |\\\\|&#64;|<|\\PC){0,30}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (far, way, settings) = world();
        let ticket = runtime.block_on(GitLab.open(&way.api(&settings), &new_ticket(PROJECT, "t", &text, 'a')));
        prop_assert!(ticket.is_ok());
        let issue = &far.issues()[0];
        let does_nothing = issue.mentions.is_empty() && issue.references.is_empty() && issue.commands.is_empty();
        prop_assert!(does_nothing, "{:?}", issue);
    }
}
