//! One sample of each of Sentry's webhooks, in the binary: what `send` posts.

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::ids::InstallationId;
use shared::ports::Chance;

macro_rules! samples {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../shared/samples/", $name, ".json")))),*]
    };
}

/// Requests with `Sentry-Hook-Signature`: those of UI components go elsewhere and are signed in another header.
const SAMPLES: &[(&str, &str)] = samples![
    "activity_alert.triggered",
    "comment.created",
    "comment.deleted",
    "comment.updated",
    "error.created",
    "event_alert.triggered",
    "installation.created",
    "installation.deleted",
    "issue.assigned",
    "issue.created",
    "issue.ignored",
    "issue.resolved",
    "issue.unresolved",
    "metric_alert.critical",
    "metric_alert.resolved",
    "preprod_artifact.build_distribution_completed",
    "preprod_artifact.size_analysis_completed",
    "seer.coding_completed",
    "seer.pr_created",
    "seer.root_cause_completed",
    "seer.root_cause_started",
    "seer.solution_completed",
];

/// What the documentation calls `issue.ignored`.
const ARCHIVED: &str = "issue.archived";

/// What makes an event this one and not another, by where it stands in the body. An absent one stays absent.
const IDENTITY: &[(&str, Identity)] = &[
    ("/data/issue/id", Identity::DigitsAsText),
    ("/data/issue/firstSeen", Identity::Now),
    ("/data/issue/lastSeen", Identity::Now),
    ("/data/error/event_id", Identity::Hex),
    ("/data/error/datetime", Identity::Now),
    ("/data/event/event_id", Identity::Hex),
    ("/data/event/datetime", Identity::Now),
    ("/data/comment_id", Identity::Digits),
    ("/data/timestamp", Identity::Now),
    ("/data/metric_alert/id", Identity::DigitsAsText),
    ("/data/run_id", Identity::Digits),
    ("/data/buildId", Identity::DigitsAsText),
    ("/data/installation/code", Identity::Hex),
];

#[derive(Clone, Copy)]
enum Identity {
    Digits,
    DigitsAsText,
    Hex,
    Now,
}

/// A webhook's resource and body, before it is signed.
#[derive(Debug)]
pub(crate) struct Sample {
    /// What `Sentry-Hook-Resource` says.
    pub(crate) resource: String,
    pub(crate) user_agent: String,
    body: Value,
    name: &'static str,
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SAMPLES.iter().map(|(name, _)| *name)
}

/// Whether [`Sample::of`] has it.
pub(crate) fn is_one(event: &str) -> bool {
    event == ARCHIVED || names().any(|name| name == event)
}

impl Sample {
    /// The sample of `event` (`issue.created`), or an error that lists all of them and the one that was likely meant.
    pub(crate) fn of(event: &str) -> anyhow::Result<Self> {
        let wanted = if event == ARCHIVED { "issue.ignored" } else { event };
        let Some((name, text)) = SAMPLES.iter().find(|(name, _)| *name == wanted) else {
            let likely =
                shared::names::likely(event, names()).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            let all = names().collect::<Vec<_>>().join("\n  ");
            bail!("there is no sample of `{event}`{likely}\nThese are there:\n  {all}");
        };
        Self::parse(name, text).with_context(|| format!("the sample {name} in this program is broken"))
    }

    fn parse(name: &'static str, text: &str) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Recorded {
            headers: std::collections::BTreeMap<String, String>,
            body: String,
        }
        let mut recorded: Recorded = serde_json::from_str(text)?;
        let mut header =
            |name: &'static str| recorded.headers.remove(name).with_context(|| format!("{name} is missing"));
        Ok(Self {
            resource: header("Sentry-Hook-Resource")?,
            user_agent: header("User-Agent")?,
            body: serde_json::from_slice(&STANDARD.decode(&recorded.body)?)?,
            name,
        })
    }

    /// Makes an event of its own of it: new ids, and the times are now. Where nothing in the sample can be new
    /// (`installation.deleted`), it stays the same event.
    pub(crate) fn renew(&mut self, chance: &impl Chance, now: Timestamp) {
        // 15 digits, so that a reader who takes numbers for floats keeps all of them.
        let number = u64::from_be_bytes(chance.bytes()) % 900_000_000_000_000 + 100_000_000_000_000;
        for (pointer, identity) in IDENTITY {
            if let Some(place) = self.body.pointer_mut(pointer) {
                *place = match identity {
                    Identity::Digits => json!(number),
                    Identity::DigitsAsText => json!(number.to_string()),
                    Identity::Hex => json!(shared::ids::hex(&chance.bytes::<16>())),
                    Identity::Now => json!(format!("{now:.6}")),
                };
            }
        }
    }

    pub(crate) fn of_installation(&mut self, id: InstallationId) {
        for pointer in ["/installation/uuid", "/data/installation/uuid"] {
            if let Some(place) = self.body.pointer_mut(pointer) {
                *place = json!(id.to_string());
            }
        }
    }

    /// Lets it happen in another project: name and slug where the sample has both, else the slug. An error if the
    /// sample names no project.
    pub(crate) fn in_project(&mut self, name: &str) -> anyhow::Result<()> {
        let slug = slug(name);
        if let Some(project) = self.body.pointer_mut("/data/issue/project") {
            project["name"] = json!(name);
            project["slug"] = json!(slug);
            return Ok(());
        }
        for pointer in ["/data/project_slug", "/data/projectSlug", "/data/metric_alert/projects/0"] {
            if let Some(place) = self.body.pointer_mut(pointer) {
                *place = json!(slug);
                return Ok(());
            }
        }
        bail!("--project: a webhook of {} does not name its project", self.name)
    }

    /// Compact, as Sentry writes it.
    pub(crate) fn body(&self) -> Vec<u8> {
        self.body.to_string().into_bytes()
    }
}

/// As Sentry makes one of a project's name: lower case, words joined by hyphens.
fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    lower
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

#[cfg(test)]
mod tests {
    use shared::ports::SystemChance;

    use super::*;

    fn sample(name: &str) -> Sample {
        Sample::of(name).expect(name)
    }

    #[test]
    fn every_webhook_sample_is_there_and_nothing_else() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples");
        let mut signed: Vec<String> = std::fs::read_dir(folder)
            .expect(folder)
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter(|path| std::fs::read_to_string(path).expect("a sample").contains("\"Sentry-Hook-Signature\": "))
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        signed.sort();
        assert_eq!(names().collect::<Vec<_>>(), signed);
    }

    #[test]
    fn each_send_is_an_event_of_its_own() {
        for name in names().filter(|name| *name != "installation.deleted") {
            let renewed = || {
                let mut sample = sample(name);
                sample.renew(&SystemChance, Timestamp::UNIX_EPOCH);
                sample
            };
            let (first, second) = (renewed(), renewed());
            assert_ne!(first.body(), second.body(), "{name}");
            if first.resource == "issue" {
                let id = |sample: &Sample| sample.body["data"]["issue"]["id"].clone();
                assert!(id(&first).is_string());
                assert_ne!(id(&first), id(&second), "{name}");
            }
        }
    }

    #[test]
    fn a_renewed_sample_is_still_what_sentry_sends() {
        for name in names() {
            let mut sample = sample(name);
            sample.renew(&SystemChance, Timestamp::now());
            let resource = sample.resource.parse().expect(name);
            let event = shared::payload::Event::parse(&resource, &sample.body());
            assert_eq!(event.expect(name).name(), name);
        }
    }

    #[test]
    fn the_installation_is_replaced_wherever_it_stands() {
        const ID: &str = "a8e5d37a-696c-4c54-adb5-b3f28d64c7de";
        for name in ["issue.created", "installation.created"] {
            let mut sample = sample(name);
            let old = sample.body["installation"]["uuid"].as_str().expect("a uuid").to_owned();
            sample.of_installation(ID.parse().expect("a uuid"));
            let text = String::from_utf8(sample.body()).expect("text");
            assert!(text.contains(ID) && !text.contains(&old), "{name}");
        }
    }

    #[test]
    fn the_project_is_replaced_or_the_sample_has_none() {
        let cases = [
            ("issue.created", Some(r#""name":"My Shop","platform":"python","slug":"my-shop""#)),
            ("comment.created", Some(r#""project_slug":"my-shop""#)),
            ("metric_alert.critical", Some(r#""projects":["my-shop"]"#)),
            ("preprod_artifact.size_analysis_completed", Some(r#""projectSlug":"my-shop""#)),
            ("error.created", None),
            ("event_alert.triggered", None),
            ("seer.pr_created", None),
            ("installation.created", None),
        ];
        for (name, expected) in cases {
            let mut sample = sample(name);
            match (sample.in_project("My Shop"), expected) {
                (Ok(()), Some(expected)) => {
                    let text = String::from_utf8(sample.body()).expect("text");
                    assert!(text.contains(expected), "{name}: {text}");
                }
                (Err(error), None) => assert!(error.to_string().contains(name), "{error}"),
                (result, _) => panic!("{name}: {result:?}"),
            }
        }
    }

    #[test]
    fn an_unknown_event_lists_all_and_suggests_the_nearest() {
        let error = Sample::of("issue.creatd").expect_err("a slip").to_string();
        assert!(error.contains("did you mean issue.created?"), "{error}");
        assert!(names().all(|name| error.contains(name)), "{error}");
        let error = Sample::of("weather.rain").expect_err("another word").to_string();
        assert!(!error.contains("did you mean"), "{error}");
        assert_eq!(sample("issue.archived").name, "issue.ignored");
    }
}
