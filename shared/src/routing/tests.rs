#![allow(clippy::unwrap_used)]

use insta::assert_snapshot;
use proptest::prelude::*;

use serde_json::Value as Json;

use super::*;
use crate::normalized::{Normalized, Project};

mod destinations;
mod explaining;
mod look_ups;
mod patterns;
mod stacktrace_links;
mod tickets;
mod trackers;

const DESTINATIONS: &str = r#"
[[destination]]
name = "phones"
type = "pushover"
user = "secret:pushover-user"
token = "secret:pushover-token"

[[destination]]
name = "log"
type = "console"
"#;

fn routes(routes: &str) -> Routes {
    Routes::compile(&format!("{DESTINATIONS}{routes}")).unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)))
}

fn shown(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| mistake.in_file("routes.toml").to_string()).collect::<Vec<_>>().join("\n\n")
}

fn mistakes(text: &str) -> String {
    shown(&Routes::compile(text).expect_err("mistakes"))
}

fn event(name: &str) -> Normalized {
    let (resource, action) = name.split_once('.').unwrap();
    Normalized { event: name.into(), resource: resource.into(), action: action.into(), ..Normalized::default() }
}

fn project(slug: Option<&str>, name: Option<&str>) -> Project {
    Project { id: None, slug: slug.map(str::to_owned), name: name.map(str::to_owned) }
}

/// What is delivered: `destination<route`, or `?` for a look-up.
fn decided(routes: &Routes, event: &Normalized, looked_up: LookedUp) -> String {
    decided_with(routes, event, &Json::Null, looked_up)
}

fn decided_with(routes: &Routes, event: &Normalized, raw: &Json, looked_up: LookedUp) -> String {
    match routes.decide(event, raw, looked_up) {
        Decision::NeedsIssue => "?".to_owned(),
        Decision::Deliver(planned) => {
            planned.iter().map(|p| format!("{}<{}", p.destination, p.route)).collect::<Vec<_>>().join(" ")
        }
    }
}

fn with_when(when: &str) -> Routes {
    routes(&format!("[[route]]\nname = \"r\"\nwhen = {when}\nto = [\"log\"]\n"))
}

#[test]
fn the_file_of_the_documentation_is_taken() {
    let routes = routes(
        r#"
[[route]]
name = "backend-issues"
when = { event = ["issue.created", "event_alert.triggered"], project = "Backend", level = ["error", "fatal"] }
to = ["phones"]
"#,
    );
    let phones = routes.destination(&"phones".parse().unwrap()).unwrap();
    assert_eq!(phones.kind, "pushover");
    assert_eq!(phones.values["token"], Value::Secret("pushover-token".into()));
    assert_eq!(routes.secret_names().into_iter().collect::<Vec<_>>(), ["pushover-token", "pushover-user"]);
    assert_eq!(routes.warnings(), []);
    let issue = Normalized {
        project: Some(project(Some("backend"), Some("Backend"))),
        level: Some("error".into()),
        ..event("issue.created")
    };
    assert_eq!(decided(&routes, &issue, LookedUp::No), "phones<backend-issues");
}

#[test]
fn an_empty_file_sends_nothing() {
    for text in ["", "# nothing yet\n", "\u{feff}"] {
        let routes = Routes::compile(text).unwrap();
        assert_eq!(decided(&routes, &event("issue.created"), LookedUp::No), "");
    }
}

#[test]
fn a_key_can_be_written_in_each_way_that_toml_has() {
    for route in [
        "[[route]]\nname = \"r\"\nto = [\"log\"]\nwhen.event = \"issue.*\"\nwhen.level = \"error\"",
        "[[route]]\nname = \"r\"\nto = [\"log\"]\n[route.when]\nevent = \"issue.*\"\nlevel = [\"error\"]",
        "[[route]]\nname = \"r\"\nto = [\"log\"]\nwhen = { \"event\" = 'issue.*', level = \"error\" }",
    ] {
        let routes = routes(route);
        let with_level = |level: &str| Normalized { level: Some(level.into()), ..event("issue.created") };
        assert_eq!(decided(&routes, &with_level("error"), LookedUp::No), "log<r", "{route}");
        assert_eq!(decided(&routes, &with_level("info"), LookedUp::No), "", "{route}");
    }
    let inline =
        "destination = [{ name = \"log\", type = \"console\" }]\nroute = [{ name = \"r\", when = {}, to = [\"log\"] }]";
    assert_eq!(decided(&Routes::compile(inline).unwrap(), &event("a.b"), LookedUp::No), "log<r");
}

#[test]
fn values_compare_exactly_and_all_keys_must_match() {
    let issue = Normalized {
        organization: Some("acme".into()),
        environment: Some("production".into()),
        level: Some("error".into()),
        project: Some(project(Some("backend"), Some("Backend"))),
        ..event("error.created")
    };
    for (when, taken) in [
        ("{}", true),
        ("{ organization = \"acme\" }", true),
        ("{ organization = \"Acme\" }", false),
        ("{ organization = [\"other\", \"acme\"] }", true),
        ("{ environment = \"production\" }", true),
        ("{ environment = \"production \" }", false),
        ("{ project = \"backend\" }", true),
        ("{ project = \"Backend\" }", true),
        ("{ project = \"BACKEND\" }", false),
        ("{ level = \"error\", organization = \"other\" }", false),
        ("{ event = \"error.*\", level = [\"fatal\", \"error\"], project = \"backend\" }", true),
        ("{ event = \"issue.*\" }", false),
    ] {
        assert_eq!(decided(&with_when(when), &issue, LookedUp::Yes), if taken { "log<r" } else { "" }, "{when}");
    }
}

#[test]
fn a_metric_alert_of_several_projects_matches_by_any() {
    let alert = Normalized {
        project: Some(project(Some("a"), None)),
        more_projects: vec!["b".into()],
        ..event("metric_alert.critical")
    };
    for (slug, expected) in [("a", "log<r"), ("b", "log<r"), ("c", "")] {
        assert_eq!(decided(&with_when(&format!("{{ project = \"{slug}\" }}")), &alert, LookedUp::No), expected);
    }
}

#[test]
fn a_look_up_is_asked_for_only_where_it_decides() {
    let about_issue = |name: &str| Normalized { issue: Some("7".into()), ..event(name) };
    let with_slug = |name: &str| Normalized { project: Some(project(Some("backend"), None)), ..about_issue(name) };
    let named = Normalized { project: Some(project(Some("backend"), Some("Backend"))), ..about_issue("issue.created") };
    for (when, event, expected) in [
        ("{ project = \"Backend\" }", about_issue("event_alert.triggered"), "?"),
        ("{ project = \"Backend\" }", with_slug("event_alert.triggered"), "?"),
        ("{ project = \"backend\" }", with_slug("event_alert.triggered"), "log<r"),
        ("{ project = \"Backend\" }", with_slug("comment.created"), "?"),
        ("{ project = \"Other\" }", named.clone(), ""),
        ("{ project = \"Backend\" }", event("event_alert.triggered"), ""),
        ("{ project = \"Backend\" }", with_slug("metric_alert.critical"), ""),
        ("{ level = \"error\" }", about_issue("issue.created"), "?"),
        ("{ level = \"error\" }", about_issue("comment.created"), ""),
        ("{ level = \"error\" }", about_issue("seer.pr_created"), ""),
        ("{ organization = \"acme\" }", about_issue("seer.pr_created"), "?"),
        ("{ environment = \"production\" }", about_issue("error.created"), ""),
        ("{ event = \"issue.*\", level = \"error\" }", about_issue("error.created"), ""),
        ("{ project = \"Other\", level = \"error\" }", named.clone(), ""),
        ("{ event = \"issue.*\" }", about_issue("issue.created"), "log<r"),
    ] {
        assert_eq!(decided(&with_when(when), &event, LookedUp::No), expected, "{when} {}", event.event);
        for looked_up in [LookedUp::Yes, LookedUp::Failed] {
            let known = decided(&with_when(when), &event, looked_up);
            assert_eq!(known, if expected == "?" { "" } else { expected }, "{when} {}", event.event);
        }
    }
}

#[test]
fn no_look_up_for_what_is_decided_already() {
    let about_issue = Normalized { issue: Some("7".into()), ..event("issue.created") };
    let first =
        |to: &str, stop: bool| format!("[[route]]\nname = \"first\"\nwhen = {{}}\nto = [{to}]\nstop = {stop}\n");
    let asks = |stop: bool| {
        format!("[[route]]\nname = \"asks\"\nwhen = {{ level = \"error\" }}\nto = [\"log\"]\nstop = {stop}\n")
    };
    let last = "[[route]]\nname = \"last\"\nwhen = {}\nto = [\"phones\"]\n";
    for (text, expected) in [
        // It goes to the log in either case.
        (first("\"log\"", false) + &asks(false), "log<first"),
        (first("\"phones\"", false) + &asks(false), "?"),
        // It would keep the event from what comes behind.
        (first("\"log\"", false) + &asks(true) + last, "?"),
        (first("\"phones\"", true) + &asks(false), "phones<first"),
    ] {
        assert_eq!(decided(&routes(&text), &about_issue, LookedUp::No), expected, "{text}");
    }
}

#[test]
fn several_routes_to_one_destination_make_one_delivery() {
    let routes = routes(
        r#"
[[route]]
name = "a"
when = { event = "issue.*" }
to = ["log", "log"]
[[route]]
name = "b"
when = {}
to = ["phones", "log"]
"#,
    );
    assert_eq!(decided(&routes, &event("issue.created"), LookedUp::No), "log<a phones<b");
    assert_eq!(decided(&routes, &event("error.created"), LookedUp::No), "phones<b log<b");
}

#[test]
fn stop_ends_the_trying_and_a_default_takes_what_is_left() {
    let routes = routes(
        r#"
[[route]]
name = "rest"
default = true
to = ["phones"]
[[route]]
name = "quiet"
when = { event = "comment.*" }
to = ["log"]
stop = true
[[route]]
name = "talk"
when = { event = ["comment.*", "issue.*"] }
to = ["phones"]
"#,
    );
    assert_eq!(decided(&routes, &event("comment.created"), LookedUp::No), "log<quiet");
    assert_eq!(decided(&routes, &event("issue.created"), LookedUp::No), "phones<talk");
    assert_eq!(decided(&routes, &event("error.created"), LookedUp::No), "phones<rest");
}

#[test]
fn every_mistake_is_told_with_its_place_and_what_was_meant() {
    assert_snapshot!("mistakes", mistakes(include_str!("tests/mistakes.toml")));
}

#[test]
fn a_route_cannot_have_the_name_that_stands_for_alert_rules() {
    let file = |name: &str| {
        format!(
            "[[destination]]\nname = \"d\"\ntype = \"console\"\n[[route]]\nname = \"{name}\"\nwhen = {{}}\nto = [\"d\"]\n"
        )
    };
    for name in [crate::alert_rule::ROUTE, crate::alert_rule::ROUTE_OF_PUBLIC] {
        let told = Routes::compile(&file(name)).unwrap_err();
        assert_eq!((told.len(), told[0].line), (1, 5), "{told:?}");
        assert!(told[0].message.contains(name), "{told:?}");
    }
    assert!(Routes::compile(&file("alert rule")).is_ok());
}

#[test]
fn all_mistakes_of_syntax_are_told_at_once() {
    assert_snapshot!("syntax", mistakes("a = \n[[destination]\nname = \"☃\nok = 1\nbad = tru\n\nx = [1,\n"));
    assert_snapshot!("duplicate_key", mistakes("[[route]]\nname = \"a\"\nname = \"b\"\n"));
}

#[test]
fn a_mistake_never_shows_a_secret_that_should_not_be_there() {
    let token = "uQiRzpo4DXghDmr9QzzfQu27cmVRsG";
    for text in [
        format!("[[destination]]\nname = \"a\"\ntype = \"pushover\"\ntoken = \"{token}\"\nuser = \"secret:u\""),
        format!("[[destination]]\nname = \"a\"\ntype = \"pushover\"\ntoken = \"{token}"),
        format!("[[destination]]\nname = \"a\"\ntype = \"pushover\"\ntoken = {token}"),
        format!("destination = [{{ name = 5, user = 'x{token}', type = \"pushover\", token = '{token}' }}]"),
    ] {
        let shown = mistakes(&text);
        assert!(!shown.contains(&token[..6]), "{shown}");
        assert!(!format!("{:?}", Routes::compile(&text)).contains(&token[..6]));
    }
}

#[test]
fn warnings_tell_what_never_matches_and_the_file_is_taken() {
    let text = include_str!("tests/warnings.toml");
    let routes = Routes::compile(text).unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)));
    assert_snapshot!("warnings", shown(routes.warnings()));
}

#[test]
fn a_missing_secret_is_told_where_it_is_asked_for() {
    let routes = routes("");
    let available = BTreeSet::from(["pushover-user".to_owned(), "pushover-tokn".to_owned()]);
    assert_snapshot!("missing_secrets", shown(&routes.missing_secrets(&available)));
    let all = BTreeSet::from(["pushover-user".to_owned(), "pushover-token".to_owned()]);
    assert_eq!(routes.missing_secrets(&all), []);
}

#[test]
fn a_base_url_is_an_origin() {
    let with = |url: &str| {
        let text = format!("[[destination]]\nname = \"log\"\ntype = \"console\"\nbase_url = \"{url}\"\n");
        Routes::compile(&text).map(|routes| routes.destinations().next().unwrap().base_url.clone().unwrap())
    };
    assert_eq!(with("http://127.0.0.1:9000/").unwrap(), "http://127.0.0.1:9000");
    assert_eq!(with("https://proxy.test").unwrap(), "https://proxy.test");
    for bad in ["ftp://a", "proxy.test", "https://a/b", "https://a?b", "https://u:p@a", "", "https://"] {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_long_line_is_shown_in_part() {
    let text = format!("x = [{}]\n", "\"aaaaaaaaaaaaaaaaaaaa\", ".repeat(1_000));
    let shown = mistakes(&format!("{text}y = 1"));
    assert!(shown.lines().all(|line| line.chars().count() < 150), "{shown}");
    let shown = mistakes(&format!("route = [{{ {}zzzz = 1 }}]", " ".repeat(5_000)));
    assert!(shown.lines().any(|line| line.ends_with("| ") || line.contains("zzzz")), "{shown}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,80}", toml in toml_like()) {
        for text in [text, toml] {
            match Routes::compile(&text) {
                Ok(routes) => {
                    routes.decide(&event("issue.created"), &Json::Null, LookedUp::No);
                    routes.explain(&event("issue.created"), &Json::Null, LookedUp::No);
                }
                Err(mistakes) => {
                    prop_assert!(!mistakes.is_empty());
                    for mistake in mistakes {
                        let lines: Vec<&str> = text.split('\n').collect();
                        prop_assert!((1..=lines.len()).contains(&mistake.line));
                        prop_assert!(mistake.column <= lines[mistake.line - 1].chars().count() + 1);
                        prop_assert!(mistake.to_string().contains('^'));
                    }
                }
            }
        }
    }
}

/// Text out of what routes files are made of: mostly broken, sometimes not.
fn toml_like() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "[[destination]]",
        "[[route]]",
        "[route.when]",
        "name",
        "type",
        "when",
        "to",
        "event",
        "level",
        "project",
        "default",
        "stop",
        "token",
        "user",
        "base_url",
        "when.event",
        " = ",
        "=",
        "\n",
        "\n",
        "\n",
        "{ ",
        " }",
        "[",
        "]",
        ", ",
        ".",
        "\"x\"",
        "\"pushover\"",
        "\"console\"",
        "\"secret:x\"",
        "\"issue.*\"",
        "\"error\"",
        "true",
        "1",
        "1.5",
        "'",
        "\"",
        "☃",
        "# x",
        "1979-05-27",
        "unless",
        "prefix",
        "glob",
        "not",
        "any",
        "exists",
        "gte",
        "ignore_case",
        "tag.",
        "data.a",
        "[[test]]",
        "set",
        "expect",
        "\r\n",
        "\\",
        "name = \"a\"\n",
        "type = \"console\"\n",
        "to = [\"a\"]\n",
        "when = {}\n",
    ]);
    prop::collection::vec(token, 0..25).prop_map(|tokens| tokens.concat())
}
