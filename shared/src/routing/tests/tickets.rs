//! Destinations that are tickets of a `[[tracker]]`.

use super::*;

fn with(destination: &str, tracker: &str) -> Result<Routes, Vec<Mistake>> {
    Routes::compile(&format!(
        "[[destination]]\nname = \"d\"\ntype = \"github-issue\"\n{destination}\n[[tracker]]\nname = \"tickets\"\n{tracker}\n"
    ))
}

const ONE: &str = "type = \"github\"\ntoken = \"secret:t\"\nrepositories = [\"acme/backend\"]";
const TWO: &str = "type = \"github\"\ntoken = \"secret:t\"\nrepositories = [\"acme/backend\", \"acme/web\"]";
const ALL: &str = "type = \"github\"\ntoken = \"secret:t\"";

#[test]
fn a_ticket_names_its_tracker_and_its_project_where_that_is_not_plain() {
    for (destination, tracker) in [
        ("tracker = \"tickets\"", ONE),
        ("tracker = \"tickets\"\nproject = \"acme/web\"\nresolved = \"close\"", TWO),
        ("tracker = \"tickets\"\nproject = \"acme/web\"", ALL),
    ] {
        let routes = with(destination, tracker).unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)));
        assert_eq!(routes.secret_names(), ["t".to_owned()].into());
    }
    for (kind, tracker) in [("gitlab-issue", "gitlab"), ("jira-issue", "jira"), ("linear-issue", "linear")] {
        let needs = crate::trackers::kind(tracker).unwrap().needs;
        let needs = needs.iter().map(|key| format!("{key} = \"secret:x\"")).collect::<Vec<_>>().join("\n");
        let file = format!(
            "[[destination]]\nname = \"d\"\ntype = \"{kind}\"\ntracker = \"t\"\nproject = \"X\"\n[[tracker]]\nname = \"t\"\ntype = \"{tracker}\"\n{needs}"
        );
        Routes::compile(&file).unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)));
    }
}

#[test]
fn a_mistake_is_told_once_with_what_was_meant() {
    let named = "tracker = \"tickets\"";
    let web = "tracker = \"tickets\"\nproject = \"acme/wep\"";
    for (destination, tracker, message, help) in [
        ("", ONE, "a destination of type `github-issue` needs `tracker`", "add `tracker = \"…\"`"),
        ("tracker = \"ticket\"", ONE, "there is no tracker `ticket`", "did you mean `tickets`?"),
        (
            "tracker = \"jira\"",
            ONE,
            "there is no tracker `jira`",
            "add a `[[tracker]]` with `name = \"jira\"` and `type = \"github\"`",
        ),
        (
            named,
            "type = \"gitlab\"\ntoken = \"secret:t\"",
            "`tickets` is a tracker of type `gitlab`",
            "`github-issue` needs one of type `github`",
        ),
        (named, ALL, "a destination of type `github-issue` needs `project`", "the tracker `tickets` lists none"),
        (named, TWO, "a destination of type `github-issue` needs `project`", "lists `acme/backend` and `acme/web`"),
        (web, TWO, "the tracker `tickets` has no project `acme/wep`", "it lists `acme/backend` and `acme/web`"),
        ("tracker = \"tickets\"\nproject = \"backend\"", ALL, "`backend` is not `owner/name`", "acme/backend"),
        ("tracker = \"tickets\"\nresolved = \"clos\"", ONE, "`resolved` cannot be `clos`", "did you mean `close`?"),
        ("tracker = \"tickets\"\nbase_url = \"http://x\"", ONE, "`github-issue` takes no `base_url`", "`[[tracker]]`"),
        // That of the tracker alone.
        (named, "type = \"github\"\nrepositories = [\"a/b\"]", "a tracker of type `github` needs `token`", ""),
        (named, "type = \"githb\"", "unknown type `githb`", ""),
    ] {
        let mistakes = with(destination, tracker).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{}", shown(&mistakes));
        assert_eq!(mistakes[0].message, message);
        assert!(mistakes[0].help.as_deref().unwrap_or_default().contains(help), "{}", shown(&mistakes));
    }
}
