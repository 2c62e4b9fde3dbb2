//! What stands at the keys of a destination.

use std::time::Duration;

use super::*;

fn with(kind: &str, lines: &str) -> Result<Destination, Vec<Mistake>> {
    let routes = Routes::compile(&format!("[[destination]]\nname = \"d\"\ntype = \"{kind}\"\n{lines}\n"))?;
    Ok(routes.destinations().next().unwrap().clone())
}

const PUSHOVER: &str = "user = \"secret:u\"\ntoken = \"secret:t\"\n";

#[test]
fn a_value_keeps_its_type() {
    let lines = format!("{PUSHOVER}device = \"phone\"\nsound = \"secret:tune\"\nexpire = 3600\npriority = 1");
    let values = with("pushover", &lines).unwrap().values;
    assert_eq!(values["device"], Value::Text("phone".into()));
    assert_eq!(values["sound"], Value::Secret("tune".into()));
    assert_eq!((&values["expire"], &values["priority"]), (&Value::Number(3600), &Value::Number(1)));
    let by_level = Value::NumberByLevel([("fatal".to_owned(), 2), ("info".to_owned(), -1)].into());
    for table in ["priority = { fatal = 2, info = -1 }", "priority.fatal = 2\npriority.info = -1"] {
        assert_eq!(with("pushover", &format!("{PUSHOVER}{table}")).unwrap().values["priority"], by_level, "{table}");
    }
    let webhook = "url = \"secret:a\"\nsecret = \"secret:b\"\nbody = \"original\"";
    assert_eq!(with("webhook", webhook).unwrap().values["body"], Value::Text("original".into()));
}

#[test]
fn what_every_destination_takes_has_its_unit() {
    let lines =
        "retry = [5, \"30s\", \"5m\", \"12h\"]\nconcurrency = 3\norganizations = [\"acme\"]\nmentions = [\"@here\"]";
    let destination = with("console", lines).unwrap();
    let waits = [5, 30, 300, 43_200].map(Duration::from_secs);
    assert_eq!(destination.retry.as_deref(), Some(&waits[..]));
    assert_eq!(destination.concurrency, Some(3));
    assert_eq!(destination.organizations, Some(vec!["acme".to_owned()]));
    assert_eq!(destination.mentions, ["@here"]);
    let bare = with("console", "").unwrap();
    assert_eq!((bare.retry, bare.concurrency, bare.organizations), (None, None, None));
    assert_eq!(with("console", "retry = []").unwrap().retry, Some(Vec::new()), "one try");
}

#[test]
fn a_value_of_a_wrong_type_or_size_is_told_once_with_what_it_takes() {
    let slack = "a destination of type `slack` needs";
    for (kind, lines, expected) in [
        ("pushover", "device = 5", "`device` is text, not a number"),
        ("pushover", "priority = 3", "`priority` is a whole number from -2 to 2"),
        ("pushover", "priority = { fatl = 1 }", "unknown level `fatl`"),
        ("pushover", "priority = { fatal = \"high\" }", "`fatal` is a whole number from -2 to 2"),
        ("pushover", "expire = 1.5", "`expire` is a whole number from"),
        ("pushover", "sund = \"siren\"", "did you mean `sound`?"),
        ("webhook", "url = \"secret:a\"\nsecret = \"secret:b\"\nbody = \"orignal\"", "did you mean `original`?"),
        ("webhook", "url = \"https://x.example\"\nsecret = \"secret:b\"", "`url` must be `secret:NAME`"),
        ("slack", "bot_token = \"secret:a\"", &format!("{slack} `channel`")),
        ("slack", "", &format!("{slack} `url`, or `bot_token` and `channel`")),
        ("console", "retry = 5", "`retry` is a list of waits, not a number"),
        ("console", "retry = [\"5d\"]", "a wait is from 1 second to 12 hours"),
        ("console", "retry = [0]", "a wait is from 1 second to 12 hours"),
        ("console", "retry = [\"13h\"]", "a wait is from 1 second to 12 hours"),
        ("console", "retry = [\"☃\", -5]", "a wait is from 1 second to 12 hours"),
        ("console", "concurrency = 0", "`concurrency` is a whole number from 1 to 100"),
        ("console", "mentions = \"@here\"", "`mentions` is a list of texts"),
        ("console", "organizations = [5]", "`organizations` is a list of texts"),
    ] {
        let lines = if kind == "pushover" { format!("{PUSHOVER}{lines}") } else { lines.to_owned() };
        let told = shown(&with(kind, &lines).expect_err(&lines));
        assert_eq!(told.matches(expected).count(), if lines.contains('☃') { 2 } else { 1 }, "{lines}\n{told}");
    }
}

#[test]
fn a_type_that_a_build_lacks_is_told_at_each_of_its_destinations() {
    let routes =
        Routes::compile(&format!("{DESTINATIONS}[[destination]]\nname = \"log2\"\ntype = \"console\"\n")).unwrap();
    let told = routes.mistakes_of_kind("console", "this build has no console");
    let places: Vec<_> = told.iter().map(|mistake| (mistake.line, mistake.column, &*mistake.message)).collect();
    assert_eq!(places, [(10, 8, "this build has no console"), (13, 8, "this build has no console")]);
    assert_eq!(routes.mistakes_of_kind("eventbridge", "x"), []);
}
