//! Part of each function's tests: how it refuses to start.

use std::process::Command;

/// Starts `binary` again and again, each time without one of `variables` but with all others, and checks that it ends
/// at once with one line that names the missing one.
pub(crate) fn names_what_is_missing(binary: &str, variables: &[&str]) {
    for missing in variables {
        let output = Command::new(binary)
            .env_clear()
            .env("AWS_REGION", "eu-central-1")
            .envs(variables.iter().filter(|variable| variable != &missing).map(|variable| (variable, "something")))
            .output()
            .expect("the function's binary can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, format!("{missing} is not set\n"));
        assert_eq!(output.status.code(), Some(1), "without {missing}");
    }
}
