//! The routes in force, on whatever keeps the settings: changed only if nobody else has changed them meanwhile.

use std::fmt;

use anyhow::{Context, bail};
use jiff::Timestamp;
use shared::ports::{Settings, StoredRoutes, Written};
use similar::TextDiff;

/// `Display` tells a person what has changed.
#[derive(Debug)]
pub(super) struct Pushed {
    version: u64,
    /// As `diff -u` has it; empty if the file was in force already.
    changes: String,
}

/// What a push would change.
#[derive(Debug)]
pub(super) struct Changes {
    /// What is in force; 0: nothing.
    pub(super) version: u64,
    /// As `diff -u` has it; empty if nothing.
    pub(super) lines: String,
}

impl fmt::Display for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return writeln!(f, "version {} is this file already", self.version);
        }
        writeln!(f, "{}version {} is in force within 30 s", self.changes, self.version)
    }
}

/// Brings `text` into force. With `onto`, only if that version is in force.
pub(super) async fn push(
    settings: &impl Settings,
    text: &str,
    onto: Option<u64>,
    now: Timestamp,
) -> anyhow::Result<Pushed> {
    let stored = settings.routes().await?;
    let version = stored.as_ref().map_or(0, |stored| stored.version);
    if let Some(onto) = onto.filter(|onto| *onto != version) {
        let by = stored.map(|stored| format!(", pushed at {}", stored.pushed_at)).unwrap_or_default();
        bail!(
            "version {version} is in force{by}, and not {onto}: somebody has pushed meanwhile. `switchboard routes diff` \
             shows what differs"
        );
    }
    if stored.as_ref().is_some_and(|stored| stored.text == text) {
        return Ok(Pushed { version, changes: String::new() });
    }
    let changes = unified(stored.as_ref(), text);
    match settings.put_routes(text, version, now).await? {
        Written::Done => Ok(Pushed { version: version + 1, changes }),
        Written::Conflict => {
            bail!(
                "somebody has pushed at this very moment: nothing was changed. `switchboard routes diff` shows what differs"
            )
        }
    }
}

pub(super) async fn pull(settings: &impl Settings) -> anyhow::Result<StoredRoutes> {
    settings.routes().await?.context("nothing was ever pushed")
}

pub(super) async fn diff(settings: &impl Settings, text: &str) -> anyhow::Result<Changes> {
    let stored = settings.routes().await?;
    let version = stored.as_ref().map_or(0, |stored| stored.version);
    let is_same = stored.as_ref().is_some_and(|stored| stored.text == text);
    Ok(Changes { version, lines: if is_same { String::new() } else { unified(stored.as_ref(), text) } })
}

fn unified(stored: Option<&StoredRoutes>, text: &str) -> String {
    let (old, version) = stored.map_or(("", 0), |stored| (&*stored.text, stored.version));
    let lines =
        TextDiff::from_lines(old, text).unified_diff().header(&format!("version {version}"), "this file").to_string();
    // An empty file put where there was none has no line to show.
    if lines.is_empty() { format!("--- version {version}\n+++ this file\n") } else { lines }
}

#[cfg(test)]
mod tests {
    use shared::ports::{StoreError, SystemClock};
    use shared_embedded::{SqliteSettings, Store};

    use super::*;

    const OLD: &str = "# one\n[[destination]]\nname = \"log\"\ntype = \"console\"\n";
    const NEW: &str = "# two\n[[destination]]\nname = \"log\"\ntype = \"console\"\n";

    fn store() -> Store<SystemClock> {
        Store::open_in_memory(SystemClock).expect("a database")
    }

    #[tokio::test]
    async fn a_push_tells_what_it_changed_and_a_second_one_changes_nothing() {
        let store = store();
        let settings = store.settings();
        let now = Timestamp::UNIX_EPOCH;
        assert!(pull(settings).await.is_err_and(|error| error.to_string() == "nothing was ever pushed"));
        assert_eq!(diff(settings, OLD).await.expect("a diff").version, 0);
        push(settings, OLD, None, now).await.expect("pushed");
        let changes = diff(settings, NEW).await.expect("a diff");
        insta::assert_snapshot!(changes.lines, @r#"
        --- version 1
        +++ this file
        @@ -1,4 +1,4 @@
        -# one
        +# two
         [[destination]]
         name = "log"
         type = "console"
        "#);
        let pushed = push(settings, NEW, Some(1), now).await.expect("pushed").to_string();
        assert_eq!(pushed, format!("{}version 2 is in force within 30 s\n", changes.lines));
        let again = push(settings, NEW, None, now).await.expect("pushed").to_string();
        assert_eq!(again, "version 2 is this file already\n");
        let stored = pull(settings).await.expect("stored");
        assert_eq!((stored.version, &*stored.text), (2, NEW));
        assert_eq!(diff(settings, NEW).await.expect("a diff").lines, "");
    }

    #[tokio::test]
    async fn a_push_onto_an_old_version_changes_nothing() {
        let store = store();
        let settings = store.settings();
        push(settings, OLD, Some(0), Timestamp::UNIX_EPOCH).await.expect("pushed");
        let error = push(settings, NEW, Some(0), Timestamp::UNIX_EPOCH).await.expect_err("an old version").to_string();
        assert!(error.contains("version 1 is in force") && error.contains("somebody has pushed meanwhile"), "{error}");
        assert_eq!(pull(settings).await.expect("stored").text, OLD);
    }

    /// Between reading and writing.
    #[tokio::test]
    async fn a_push_at_the_same_moment_is_refused() {
        let store = store();
        let settings = Raced(store.settings().clone());
        let error = push(&settings, NEW, None, Timestamp::UNIX_EPOCH).await.expect_err("a race").to_string();
        assert!(error.contains("at this very moment"), "{error}");
        assert_eq!(pull(store.settings()).await.expect("stored").text, OLD);
    }

    struct Raced(SqliteSettings);

    impl Settings for Raced {
        async fn routes_version(&self) -> Result<Option<u64>, StoreError> {
            self.0.routes_version().await
        }

        async fn routes(&self) -> Result<Option<StoredRoutes>, StoreError> {
            let seen = self.0.routes().await?;
            let _ = self.0.put_routes(OLD, seen.as_ref().map_or(0, |seen| seen.version), Timestamp::UNIX_EPOCH).await?;
            Ok(seen)
        }

        async fn put_routes(&self, text: &str, expected: u64, now: Timestamp) -> Result<Written, StoreError> {
            self.0.put_routes(text, expected, now).await
        }
    }
}
