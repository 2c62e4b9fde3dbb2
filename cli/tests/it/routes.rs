//! `switchboard routes check`, as somebody who writes the file sees it.

use std::path::Path;
use std::process::Command;

use crate::running::write;

/// Exit code, standard output, standard error.
fn check(arguments: &[&Path]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_switchboard"))
        .args(["routes", "check"])
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
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
fn push_says_how_to_build_it_in() {
    let output = Command::new(env!("CARGO_BIN_EXE_switchboard")).args(["routes", "push", "x.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--features aws"));
}
