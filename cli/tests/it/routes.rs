//! `switchboard routes …`, as somebody who writes the file sees it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;

use crate::running::write;

/// Exit code, standard output, standard error.
fn routes<A: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = A>) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_switchboard"))
        .arg("routes")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The arguments split at spaces; all that was said, as one text.
fn said(folder: &Path, arguments: &str) -> String {
    let (code, said, complaints) = routes(folder, arguments.split(' '));
    let complaints = if complaints.is_empty() { String::new() } else { format!("--- complaints\n{complaints}") };
    // When it was sent is the one thing that is new each time.
    let is_time = |line: &&str| line.trim().starts_with("timestamp = ");
    let said: String = said.split_inclusive('\n').filter(|line| !is_time(line)).collect();
    format!("{said}{complaints}--- exit {}", code.unwrap())
}

fn check(arguments: &[&Path]) -> (Option<i32>, String, String) {
    routes(Path::new("."), [OsStr::new("check")].into_iter().chain(arguments.iter().map(|path| path.as_os_str())))
}

const FILE: &str = r#"
[[destination]]
name = "phones"
type = "pushover"
user = "secret:pushover-user"
token = "secret:pushover-token"

[[destination]]
name = "log"
type = "console"

[[route]]
name = "backend-rings"
when = { event = "issue.created", project = "Backend", level = ["error", "fatal"] }
unless = { data.issue.status = "ignored" }
to = ["phones", "log"]

[[route]]
name = "quiet"
when = { event = "comment.*" }
to = ["log"]
stop = true

[[route]]
name = "everything-else"
default = true
to = ["log"]

[[test]]
name = "a fatal error in Backend rings"
event = "issue.created"
set = { project = "Backend", level = "fatal" }
expect = ["phones", "log"]

[[test]]
name = "an ignored one does not"
event = "issue.created"
set = { project = "Backend", level = "fatal", data.issue.status = "ignored" }
expect = ["log"]

[[test]]
name = "a recorded one of another project"
event = "issue.recorded.json"
expect = ["log"]
"#;

fn folder(file: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "routes.toml", file);
    let body = r#"{"action":"created","installation":{"uuid":"a8e5d37a-696c-4c54-adb5-b3f28d64c7de"},"data":{"issue":{"id":"7","title":"x","project":{"slug":"other","name":"Other"},"level":"error"}}}"#;
    write(folder.path(), "issue.recorded.json", body);
    (folder, file)
}

#[test]
fn an_event_shows_each_routes_verdict_and_what_is_sent() {
    let (folder, _) = folder(FILE);
    assert_snapshot!(
        "taken",
        said(folder.path(), "test routes.toml --event issue.created --set project=Backend --set level=fatal")
    );
    assert_snapshot!("refused", said(folder.path(), "test routes.toml --event issue.recorded.json"));
    assert_snapshot!(
        "hangs_on_a_look_up",
        said(folder.path(), "test routes.toml --event issue.created --set project=null")
    );
}

const PICKED: &str = r#"[{"name":"destination","value":"phones"},{"name":"note","value":"See_the_runbook"},{"name":"priority","value":"high"}]"#;

#[test]
fn what_an_alert_rule_picks_is_shown_besides_the_routes() {
    let file = FILE.replace("[[route]]\nname = \"quiet\"", "[[destination]]\nname = \"acme\"\ntype = \"console\"\norganizations = [\"acme\"]\n\n[[route]]\nname = \"quiet\"");
    let (folder, _) = folder(&file);
    let test = |event: &str, settings: &str, rest: &str| {
        let place = match event {
            "event_alert.triggered" => "data.issue_alert.settings",
            _ => "data.metric_alert.alert_rule.triggers.0.actions.0.settings",
        };
        said(folder.path(), &format!("test routes.toml --event {event} --set {place}={settings}{rest}"))
    };
    let destination = |name: &str| format!(r#"[{{"name":"destination","value":"{name}"}}]"#);
    let noted = |name: &str| PICKED.replace("phones", name);
    assert_snapshot!("picked_by_an_issue_alert", test("event_alert.triggered", PICKED, ""));
    assert_snapshot!("picked_by_a_metric_alert", test("metric_alert.critical", &noted("log"), ""));
    for (name, rest, expected) in [
        (
            "gone",
            "",
            "(alert rule)     refused, a dead letter: the alert rule `Rule e314b0` picks the destination `gone`, which the routes do not have (any more)",
        ),
        ("acme", " --set organization=other", "which the routes do not offer to `other` (any more)"),
        ("acme", " --set organization=acme", "(alert rule)     taken → acme\n"),
        ("acme", " --set organization=acme --public", "(alert rule, public app)  taken → acme\n"),
        (
            "phones",
            " --public",
            "(alert rule, public app)  refused, a dead letter: the alert rule `Rule e314b0` picks the destination `phones`, which the routes do not offer to",
        ),
        ("log", " --public", "; a route goes there all the same, without the rule's settings"),
    ] {
        let said = test("event_alert.triggered", &destination(name), rest);
        assert!(said.contains(expected), "{name}{rest}: {said}");
        let is_refused = said.contains("  refused");
        assert_eq!(said.contains("by `(alert rule"), !is_refused, "{name}{rest}: {said}");
    }
    let code = |expect: &str| {
        let set = format!("data.issue_alert.settings={}", destination("phones"));
        routes(
            folder.path(),
            ["test", "routes.toml", "--event", "event_alert.triggered", "--set", &set, "--expect", expect],
        )
        .0
    };
    assert_eq!((code("log,phones"), code("log")), (Some(0), Some(1)));
}

#[test]
fn what_is_expected_decides_the_exit_code() {
    let (folder, _) = folder(FILE);
    let with = |rest: &str| routes(folder.path(), format!("test routes.toml {rest}").split(' '));
    for (rest, code) in [
        ("--event comment.created --expect log", 0),
        ("--event comment.created --expect log,phones", 1),
        ("--event comment.created --expect none", 1),
        ("--event issue.created --set project=Backend --set level=error --expect phones,log", 0),
        ("--event issue.created --set project=Backend --set level=info --expect log", 0),
        ("--event issue.created --expect lg", 1),
        ("--event isue.created", 1),
        ("--event issue.created --set colour=red", 1),
    ] {
        let (found, said, complaints) = with(rest);
        assert_eq!(found, Some(code), "{rest}: {said}{complaints}");
    }
    let (_, said, complaints) = with("--event comment.created --expect phones");
    assert!(complaints.contains("expected to phones, delivered to log"), "{complaints}");
    assert!(said.contains("quiet            taken → log; stops here"), "{said}");
}

#[test]
fn the_files_own_tests_are_run_as_a_test_runner_does() {
    let (folder, _) = folder(FILE);
    assert_snapshot!("passed", said(folder.path(), "test routes.toml"));
    write(folder.path(), "routes.toml", &FILE.replace("expect = [\"phones\", \"log\"]", "expect = []"));
    assert_snapshot!("failed", said(folder.path(), "test routes.toml"));
    write(folder.path(), "none.toml", "");
    assert!(said(folder.path(), "test none.toml").contains("none.toml has no [[test]]"));
}

#[test]
fn check_refuses_a_test_without_an_event() {
    let (folder, _) = folder(&FILE.replace("issue.recorded.json", "issue.creatd"));
    assert_snapshot!("test_without_event", said(folder.path(), "check routes.toml"));
    let (folder, _) =
        self::folder(&FILE.replace("data.issue.status = \"ignored\" }\nexpect", "data.issue.id.x = 1 }\nexpect"));
    let complaints = said(folder.path(), "check routes.toml");
    assert!(complaints.contains("routes.toml:37:9: `data.issue.id.x` leads through `data.issue.id`"), "{complaints}");
}

#[test]
fn a_public_app_names_the_organization_in_each_route() {
    let (folder, _) = folder(FILE);
    assert_snapshot!("public", said(folder.path(), "check routes.toml --public"));
    let named = "[[destination]]\nname = \"log\"\ntype = \"console\"\n\
        [[route]]\nname = \"a\"\nwhen = { organization = [\"acme\", \"acme-eu\"] }\nto = [\"log\"]\n\
        [[route]]\nname = \"b\"\nwhen = { any = [{ organization = \"acme\" }, { organization = \"b\", level = \"fatal\" }] }\nto = [\"log\"]\n\
        [[route]]\nname = \"own\"\nwhen = { event = \"switchboard.*\" }\nto = [\"log\"]\n";
    write(folder.path(), "named.toml", named);
    let warned = said(folder.path(), "check named.toml --public");
    assert!(warned.ends_with("--- exit 0"), "{warned}");
    assert!(warned.contains("named.toml:2:8: warning: the destination `log` names no `organizations`"), "{warned}");
    assert!(said(folder.path(), "check named.toml --public --strict").ends_with("--- exit 1"));
    assert!(!said(folder.path(), "check named.toml").contains("organizations"));
    write(folder.path(), "offered.toml", &named.replace("\"console\"\n", "\"console\"\norganizations = [\"acme\"]\n"));
    assert!(said(folder.path(), "check offered.toml --public --strict").ends_with("--- exit 0"));
    let link = "[[stacktrace_link]]\nproject = \"backend\"\nurl = \"https://code.example/{path}\"\n";
    write(folder.path(), "link.toml", link);
    let warned = said(folder.path(), "check link.toml --public");
    assert!(warned.contains("link.toml:3:7: warning: this stack-trace link names no `organizations`"), "{warned}");
    write(folder.path(), "led.toml", &format!("{link}organizations = [\"acme\"]\n"));
    assert!(said(folder.path(), "check led.toml --public --strict").ends_with("--- exit 0"));
    let not = "{ organization = { not = \"acme\" } }";
    write(folder.path(), "not.toml", &named.replace("{ organization = [\"acme\", \"acme-eu\"] }", not));
    assert!(said(folder.path(), "check not.toml --public").ends_with("--- exit 1"));
}

#[test]
fn a_warning_alone_is_good_unless_it_is_strict() {
    let (folder, _) = folder(&FILE.replace("event = \"comment.*\" }", "event = \"comment.*\", level = \"error\" }"));
    for (arguments, exit) in [("check routes.toml", "--- exit 0"), ("check routes.toml --strict", "--- exit 1")] {
        let said = said(folder.path(), arguments);
        assert!(said.contains("warning: events of `comment` never have `level`") && said.ends_with(exit), "{said}");
    }
}

#[test]
fn the_example_is_good_and_its_secrets_are_named() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/routes/example.toml");
    let (code, said, complaints) = check(&[&example]);
    assert_eq!(code, Some(0), "{complaints}");
    assert!(said.contains("routes to") && said.contains("pushover-user"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let secrets = write(folder.path(), "secrets.toml", "pushover-usr = \"x\"\npushover-token = \"y\"\n");
    let (code, _, complaints) = check(&[&example, Path::new("--secrets"), &secrets]);
    assert_eq!(code, Some(1), "a secret that is not there is a mistake");
    assert!(complaints.contains("there is no secret `pushover-user`"), "{complaints}");
    assert!(complaints.contains("did you mean `secret:pushover-usr`?"), "{complaints}");
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_the_likely_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        folder.path(),
        "routes.toml",
        "[[destination]]\nname = \"phones\"\ntype = \"pushovr\"\n\n\
         [[route]]\nname = \"one\"\nwhen = { evnt = \"issue.created\" }\nto = [\"phnes\"]\n",
    );
    let (code, said, complaints) = check(&[&file]);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    for (place, likely) in [("routes.toml:3:", "pushover"), ("routes.toml:7:", "event"), ("routes.toml:8:", "phones")] {
        assert!(complaints.contains(place), "{place}: {complaints}");
        assert!(complaints.contains(&format!("did you mean `{likely}`?")), "{likely}: {complaints}");
    }
}

#[cfg(not(feature = "aws"))]
#[test]
fn what_needs_aws_says_how_to_build_it_in() {
    for arguments in ["push x.toml", "pull", "diff x.toml"] {
        let said = said(Path::new("."), arguments);
        assert!(said.contains("--features aws") && said.ends_with("--- exit 1"), "{said}");
    }
}

/// As in `switchboard routes check FILE | head -0`.
#[test]
fn who_stops_reading_hears_no_complaints() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/routes/example.toml");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_switchboard"))
        .args([OsStr::new("routes"), OsStr::new("check"), example.as_os_str()])
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .env_clear()
        .output()
        .unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}
