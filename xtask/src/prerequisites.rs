//! What must be on the machine before the parts can be installed: Python with venv, Java, Node, `strip`,
//! a browser.

use std::process::Command;

use anyhow::{Result, bail};

struct Prerequisite {
    what: &'static str,
    command: &'static [&'static str],
    accepts: fn(&str) -> bool,
    how: &'static str,
}

const PREREQUISITES: [Prerequisite; 7] = [
    Prerequisite {
        what: "Python 3.10 or newer",
        command: &["python3", "--version"],
        accepts: |output| version(output).is_some_and(|found| found >= (3, 10)),
        how: "apt-get install python3",
    },
    Prerequisite {
        what: "Python's venv",
        command: &["python3", "-c", "import ensurepip, venv"],
        accepts: |_| true,
        how: "apt-get install python3-venv",
    },
    Prerequisite {
        what: "Java 17 or newer, for DynamoDB Local",
        command: &["java", "-version"],
        accepts: |output| version(output).is_some_and(|found| found >= (17, 0)),
        how: "apt-get install openjdk-17-jre-headless",
    },
    Prerequisite {
        what: "npm, to get DynamoDB Local",
        command: &["npm", "--version"],
        accepts: |output| version(output).is_some(),
        how: "apt-get install nodejs npm",
    },
    Prerequisite {
        what: "strip, to make the functions small enough to send around",
        command: &["strip", "--version"],
        accepts: |_| true,
        how: "apt-get install binutils",
    },
    Prerequisite {
        what: "Chromium, to use the page of `dev` as people do",
        command: &["chromium", "--version"],
        accepts: |output| version(output).is_some(),
        how: "apt-get install chromium",
    },
    Prerequisite {
        what: "chromedriver, to drive Chromium",
        command: &["chromedriver", "--version"],
        accepts: |output| version(output).is_some(),
        how: "apt-get install chromium-driver",
    },
];

/// # Errors
/// Names everything that is missing at once, and how to get it.
pub(crate) fn check() -> Result<()> {
    let missing: Vec<String> = PREREQUISITES
        .iter()
        .filter(|wanted| !is_there(wanted))
        .map(|wanted| format!("{} is missing: {}", wanted.what, wanted.how))
        .collect();
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    Ok(())
}

fn is_there(wanted: &Prerequisite) -> bool {
    let Some((program, arguments)) = wanted.command.split_first() else { return false };
    // Java prints its version to stderr.
    Command::new(program).args(arguments).output().is_ok_and(|output| {
        let text = [output.stdout, output.stderr].concat();
        output.status.success() && (wanted.accepts)(&String::from_utf8_lossy(&text))
    })
}

/// The first number of the text and the one after its dot: `openjdk version "17.0.15"` is (17, 0).
fn version(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text[start..].split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    Some((major, numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_each_program_prints() {
        let cases = [
            ("Python 3.11.7\n", Some((3, 11))),
            ("openjdk version \"17.0.15\" 2025-04-15\n", Some((17, 0))),
            ("openjdk version \"21\" 2023-09-19\n", Some((21, 0))),
            ("10.8.2\n", Some((10, 8))),
            ("java: command not found", None),
        ];
        for (text, expected) in cases {
            assert_eq!(version(text), expected, "{text}");
        }
    }

    #[test]
    fn an_older_python_or_java_is_refused() {
        let [python, _, java, ..] = &PREREQUISITES;
        assert!(!(python.accepts)("Python 3.9.2"));
        assert!((python.accepts)("Python 3.10.0"));
        assert!(!(java.accepts)("openjdk version \"11.0.2\""));
        assert!(!(java.accepts)("java version \"1.8.0_292\""));
    }
}
