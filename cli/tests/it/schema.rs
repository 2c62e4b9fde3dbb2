//! `switchboard schema`: what is pasted into Sentry's form.

use std::path::{Path, PathBuf};
use std::process::Command;

fn infra() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra")
}

/// Exit code, standard output, standard error.
fn schema(file: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_switchboard"))
        .arg("schema")
        .arg(file)
        .args(more)
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn with(text: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.toml");
    std::fs::write(&file, text).unwrap();
    schema(&file, more)
}

#[test]
fn the_files_in_infra_are_what_the_command_prints() {
    let recipe = infra().join("routes/ui-components.toml");
    let (code, printed, complaints) = schema(&recipe, &[]);
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    let kept = std::fs::read_to_string(infra().join("sentry-app.schema.json")).unwrap();
    assert_eq!(printed, kept, "print it anew: switchboard schema infra/routes/ui-components.toml");
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    simulator::check_schema(&json).unwrap();

    let (code, form, _) = schema(&recipe, &["--form"]);
    assert_eq!(code, Some(0));
    let page = std::fs::read_to_string(infra().join("sentry-app.md")).unwrap();
    let kept = format!("<!-- switchboard schema infra/routes/ui-components.toml --form -->\n{form}<!-- end -->");
    assert!(page.contains(&kept), "between its marks infra/sentry-app.md wants this:\n{form}");
}

#[test]
fn why_names_the_routes_and_components_that_need_something() {
    let text = "[[destination]]\nname = \"log\"\ntype = \"console\"\n\
        [[route]]\nname = \"comments\"\nwhen = { event = \"comment.created\" }\nto = [\"log\"]\n\
        [[route]]\nname = \"alerts\"\nwhen = { event = \"event_alert.triggered\", project = \"x\" }\nto = [\"log\"]\n\
        [[route]]\nname = \"rest\"\ndefault = true\nto = [\"log\"]\n";
    let (code, why, _) = with(text, &["--why"]);
    assert_eq!(code, Some(0));
    for line in [
        "| permission `event:read` | webhook `comment` |",
        "| permission `event:read` | route `alerts`: looks the issue up for `project` |",
        "| webhook `comment` | route `comments` |",
        "| webhook `issue` | route `rest`, if you want it there |",
        "| switch `Alert Rule Action` | component `alert-rule-action` |",
        "| switch `Alert Rule Action` | route `alerts` |",
    ] {
        assert!(why.lines().any(|own| own == line), "{line}\n{why}");
    }
    let (_, form, _) = with(text, &["--form"]);
    assert!(form.contains("| Webhooks → comment | **on**: `created` |"), "{form}");
    assert!(form.contains("| Webhooks → error | as you like: route `rest` would take it |"), "{form}");
    assert!(form.contains("| Permissions → Project | Read (`project:read`) if you switch"), "{form}");
}

#[test]
fn a_file_without_components_or_with_mistakes_makes_no_schema() {
    let (code, printed, complaints) = with("", &[]);
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    for word in ["configures no UI component", "[[destination]]", "[[tracker]]", "[[stacktrace_link]]"] {
        assert!(complaints.contains(word), "{complaints}");
    }
    let (code, form, _) = with("", &["--form"]);
    assert_eq!(code, Some(0));
    assert!(form.contains("| Schema | empty |") && form.contains("| Alert Rule Action | off |"), "{form}");
    let (code, printed, complaints) = with("[[tracker]]\nname = \"t\"\ntype = \"githb\"\n", &[]);
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    assert!(complaints.contains("routes.toml:3:8: unknown type `githb`"), "{complaints}");
    let (code, _, complaints) = schema(Path::new("/nowhere/routes.toml"), &[]);
    assert_eq!(code, Some(1));
    assert!(complaints.contains("/nowhere/routes.toml cannot be read"), "{complaints}");
}
