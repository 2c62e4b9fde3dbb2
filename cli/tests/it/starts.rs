//! Bad starts.

use std::process::{Command, Stdio};

use crate::running::{Serve, command, free_port, write};

/// Runs `serve` until it ends, which it must at once; returns its exit code and what it said.
fn refused(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// What a case does to an otherwise good command.
type Change<'a> = Box<dyn Fn(&mut Command) + 'a>;

#[tokio::test]
async fn a_bad_start_is_one_line_that_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let broken = write(
        folder.path(),
        "broken.toml",
        "[[route]]\nname = \"x\"\nwhen = { evnt = \"issue.created\" }\nto = [\"nowhere\"]\n",
    );
    let to_aws =
        write(folder.path(), "aws.toml", "[[destination]]\nname = \"bus\"\ntype = \"eventbridge\"\nbus = \"sentry\"\n");
    let not_toml = write(folder.path(), "secrets.toml", "hello\n");
    let with_secrets = |command: &mut Command| {
        command.env("SENTRY_CLIENT_ID", "id").env("SENTRY_CLIENT_SECRET", "0123abcd");
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    let cases: Vec<(&str, u16, Change<'_>, &str)> = vec![
        ("no client id", free_port(), Box::new(|_| {}), "SENTRY_CLIENT_ID"),
        (
            "no client secret",
            free_port(),
            Box::new(|c| {
                c.env("SENTRY_CLIENT_ID", "id");
            }),
            "SENTRY_CLIENT_SECRET",
        ),
        (
            "a client secret with a line break",
            free_port(),
            Box::new(|c| {
                c.env("SENTRY_CLIENT_ID", "id").env("SENTRY_CLIENT_SECRET", "abc\n");
            }),
            "SENTRY_CLIENT_SECRET",
        ),
        (
            "a token key that is too short",
            free_port(),
            Box::new(|c| {
                with_secrets(c);
                c.env("TOKEN_KEY", "short");
            }),
            "TOKEN_KEY",
        ),
        (
            "a secrets file that is not TOML",
            free_port(),
            Box::new(|c| {
                with_secrets(c);
                c.arg("--secrets").arg(&not_toml);
            }),
            "secrets.toml line 1",
        ),
        (
            "a broken routes file",
            free_port(),
            Box::new(|c| {
                with_secrets(c);
                c.arg("--routes").arg(&broken);
            }),
            "broken.toml:3:",
        ),
        (
            "a routes file for AWS where no AWS is",
            free_port(),
            Box::new(|c| {
                with_secrets(c);
                c.arg("--routes").arg(&to_aws);
            }),
            "aws.toml:3:8: `eventbridge` needs AWS",
        ),
        ("a taken port", taken_port, Box::new(with_secrets), "is taken by another program"),
    ];
    for (name, port, change, expected) in cases {
        let mut command = command(&data_dir, port);
        change(&mut command);
        let (code, said) = refused(&mut command);
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(said.contains(expected), "{name}: {said}");
        assert!(!said.contains("0123abcd") && !said.contains("short\""), "{name} shows a secret: {said}");
    }

    let port = free_port();
    let mut first = command(&data_dir, port);
    with_secrets(&mut first);
    let _serve = Serve::start(first, port).await;
    let mut second = command(&data_dir, free_port());
    with_secrets(&mut second);
    let (code, said) = refused(&mut second);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another `serve` or `dev` runs on"), "{said}");
}
