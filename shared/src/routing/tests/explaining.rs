//! Why a route takes an event, or does not, in words.

use serde_json::json;

use super::*;

fn explained(routes: &Routes, event: &Normalized, raw: &Json, looked_up: LookedUp) -> String {
    let lines = routes.explain(event, raw, looked_up);
    let lines: Vec<String> = lines.iter().map(|line| format!("{}: {}\n", line.route, line.outcome)).collect();
    lines.concat()
}

#[test]
fn each_route_tells_what_it_did_or_which_key_refused() {
    let routes = routes(
        r#"
[[route]]
name = "rest"
default = true
to = ["log"]
[[route]]
name = "fatal"
when = { event = "issue.*", level = "fatal" }
to = ["phones"]
[[route]]
name = "elsewhere"
when = { project = ["frontend", { prefix = "shop-" }] }
to = ["phones"]
[[route]]
name = "frames"
when = { data.frames.line = { gt = 9 } }
to = ["phones"]
[[route]]
name = "absent"
when = { release = { prefix = "1." } }
to = ["phones"]
[[route]]
name = "not here"
when = {}
unless = { level = "error" }
to = ["phones"]
[[route]]
name = "one of these"
when = { any = [{ level = "fatal" }, { environment = "production" }] }
to = ["phones"]
[[route]]
name = "looked up"
when = { organization = "acme" }
to = ["phones"]
[[route]]
name = "takes it"
when = { event = "issue.created" }
to = ["phones", "log"]
[[route]]
name = "again"
when = { level = { not = "info" } }
to = ["log"]
stop = true
[[route]]
name = "behind"
when = {}
to = ["log"]
"#,
    );
    let issue = Normalized {
        issue: Some("7".into()),
        level: Some("error".into()),
        project: Some(project(Some("backend"), Some("Backend"))),
        ..event("issue.created")
    };
    let raw = json!({ "data": { "frames": [{ "line": 1 }, { "line": 2 }, { "line": 3 }, { "line": 4 }] } });
    assert_snapshot!(explained(&routes, &issue, &raw, LookedUp::No));
    let other = Normalized { level: Some("info".into()), release: Some("2.0".into()), ..event("weather.rain") };
    let told = explained(&routes, &other, &raw, LookedUp::Yes);
    assert!(told.contains("absent: `release` is \"2.0\", wanted: { prefix = \"1.\" }\n"), "{told}");
    assert!(told.starts_with("rest: the default: another route took the event\n"), "{told}");
}
