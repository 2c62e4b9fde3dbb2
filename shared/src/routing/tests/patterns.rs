//! What each pattern matches.

use serde_json::json;

use super::*;

/// Whether a route with this `when` takes the event.
fn takes(when: &str, event: &Normalized, raw: &Json) -> bool {
    decided_with(&with_when(when), event, raw, LookedUp::Yes) == "log<r"
}

#[test]
fn each_operator_matches_what_it_says_and_nothing_else() {
    let error = Normalized {
        level: Some("error".into()),
        title: Some("TypeError: x is undefined".into()),
        release: Some("backend@1.4.0".into()),
        tags: [("browser.name".to_owned(), "Firefox".to_owned()), ("empty".to_owned(), String::new())].into(),
        ..event("error.created")
    };
    for (when, expected) in [
        (r#"{ level = "error" }"#, true),
        (r#"{ level = ["fatal", "error"] }"#, true),
        (r#"{ level = ["fatal", { prefix = "err" }] }"#, true),
        (r#"{ release = { prefix = "backend@" } }"#, true),
        (r#"{ release = { prefix = "Backend@" } }"#, false),
        (r#"{ release = { prefix = "Backend@", ignore_case = true } }"#, true),
        (r#"{ release = { prefix = "Backend@", ignore_case = false } }"#, false),
        (r#"{ release = { suffix = ".0" } }"#, true),
        (r#"{ release = { suffix = "1.4" } }"#, false),
        (r#"{ title = { suffix = "UNDEFINED", ignore_case = true } }"#, true),
        (r#"{ title = { glob = "*Error: * is *" } }"#, true),
        (r#"{ title = { glob = "Error*" } }"#, false),
        (r#"{ title = { glob = "typeerror*", ignore_case = true } }"#, true),
        (r#"{ title = "*" }"#, false),
        (r#"{ level = { ignore_case = "ERROR" } }"#, true),
        (r#"{ level = { not = "error" } }"#, false),
        (r#"{ level = { not = ["fatal", "info"] } }"#, true),
        (r#"{ level = { not = { prefix = "err" } } }"#, false),
        (r#"{ title = { not = { glob = "Timeout*" } } }"#, true),
        (r#"{ title = { not = { not = { prefix = "Type" } } } }"#, true),
        ("{ release = { exists = true } }", true),
        ("{ release = { exists = false } }", false),
        ("{ culprit = { exists = false } }", true),
        // An absent key matches only that.
        (r#"{ culprit = { not = "x" } }"#, false),
        (r#"{ culprit = { glob = "*" } }"#, false),
        ("{ culprit = { not = { exists = false } } }", false),
        ("{ level = { not = { exists = false } } }", true),
        (r#"{ culprit = ["x", { exists = false }] }"#, true),
        (r#"{ tag.browser.name = "Firefox" }"#, true),
        (r#"{ "tag.browser.name" = "Firefox" }"#, true),
        (r#"{ tag."browser.name" = { prefix = "Fire" } }"#, true),
        ("{ tag.browser = { exists = false } }", true),
        (r#"{ tag.empty = "" }"#, true),
        ("{ tag.empty = { exists = true } }", true),
        (r#"{ tag.browser.name = { not = "Chrome" } }"#, true),
        (r#"{ tag.os = { not = "Windows" } }"#, false),
        (r#"{ any = [{ level = "fatal" }, { tag.browser.name = "Firefox" }] }"#, true),
        (r#"{ any = [{ level = "fatal" }, { tag.browser.name = "Chrome" }] }"#, false),
        (r#"{ level = "fatal", any = [{ level = "error" }] }"#, false),
        (
            r#"{ level = "error", any = [{ level = "fatal" }, { any = [{ level = "error" }], title = { exists = true } }] }"#,
            true,
        ),
        ("{ any = [{}] }", true),
        (r#"{ resource = "error", action = "created" }"#, true),
    ] {
        assert_eq!(takes(when, &error, &Json::Null), expected, "{when}");
    }
}

#[test]
fn the_payload_is_compared_by_value_and_type() {
    let raw = json!({ "data": { "issue": {
        "count": 12, "ratio": 0.5, "big": u64::MAX, "isPublic": true, "digits": "12", "nothing": null,
        "list": ["a", null, 5], "empty": [], "nested": [["x", 7], []], "object": { "a": 1 },
        "values": [{ "type": "TypeError", "lines": [1, 2] }, { "type": "KeyError" }, 3],
    } } });
    for (pattern, expected) in [
        ("data.issue.count = 12", true),
        ("data.issue.count = 12.0", true),
        ("data.issue.count = \"12\"", false),
        ("data.issue.digits = 12", false),
        ("data.issue.digits = \"12\"", true),
        ("data.issue.isPublic = true", true),
        ("data.issue.isPublic = [false, \"true\"]", false),
        ("data.issue.ratio = 0.5", true),
        ("data.issue.big = { gt = 9223372036854775807 }", true),
        ("data.issue.count = { gt = 11 }", true),
        ("data.issue.count = { gt = 12 }", false),
        ("data.issue.count = { gte = 12, lt = 13 }", true),
        ("data.issue.count = { gt = 1, lte = 11.5 }", false),
        ("data.issue.count = { not = { gte = 12 } }", false),
        ("data.issue.ratio = { gt = 0, lt = 1 }", true),
        ("data.issue.digits = { gte = 0 }", false),
        ("data.issue.nothing = { exists = false }", true),
        ("data.issue.nothing = { not = \"x\" }", false),
        ("data.issue.absent.deeper = { exists = false }", true),
        ("data.issue.count.deeper = { exists = false }", true),
        ("data.issue.list = \"a\"", true),
        ("data.issue.list = { not = \"a\" }", false),
        ("data.issue.list = { not = \"b\" }", true),
        ("data.issue.list = { not = [\"b\", { lt = 9 }] }", false),
        ("data.issue.list.2 = 5", true),
        ("data.issue.list.0 = 5", false),
        ("data.issue.list.7 = { exists = false }", true),
        ("data.issue.empty = { exists = true }", true),
        ("data.issue.empty = { not = \"x\" }", true),
        ("data.issue.nested = 7", true),
        ("data.issue.nested.0.1 = 7", true),
        ("data.issue.object = { exists = true }", true),
        ("data.issue.object = { not = 1 }", true),
        ("data.issue.object.a = 1", true),
        ("data.issue.values.type = \"KeyError\"", true),
        ("data.issue.values.type = { not = \"KeyError\" }", false),
        ("data.issue.values.type = { not = \"ValueError\" }", true),
        ("data.issue.values.lines = 2", true),
        ("data.issue.values.1.type = \"TypeError\"", false),
        ("\"data.issue.count\" = 12", true),
        ("data.\"issue.count\" = 12", true),
    ] {
        assert_eq!(takes(&format!("{{ {pattern} }}"), &event("issue.created"), &raw), expected, "{pattern}");
    }
}

#[test]
fn an_archived_issue_goes_by_both_names() {
    let ignored = event("issue.ignored");
    for (when, expected) in [
        (r#"{ event = "issue.archived" }"#, true),
        (r#"{ event = "issue.ignored" }"#, true),
        (r#"{ event = "issue.arch*" }"#, true),
        (r#"{ event = { suffix = ".archived" } }"#, true),
        (r#"{ event = { glob = "issue.*d" } }"#, true),
        (r#"{ event = { not = "issue.archived" } }"#, false),
        (r#"{ event = { not = ["issue.created", "issue.ignored"] } }"#, false),
        (r#"{ event = { not = "issue.created" } }"#, true),
        (r#"{ event = { not = "issue.*" } }"#, false),
        (r#"{ action = "archived" }"#, true),
        (r#"{ event = "issue.created" }"#, false),
    ] {
        assert_eq!(takes(when, &ignored, &Json::Null), expected, "{when}");
    }
    assert!(!takes(r#"{ event = "issue.archived" }"#, &event("issue.created"), &Json::Null));
}

#[test]
fn unless_takes_away_what_matches_all_of_it() {
    let staging =
        Normalized { level: Some("error".into()), environment: Some("staging".into()), ..event("error.created") };
    for (unless, taken) in [
        (r#"{ environment = "staging" }"#, false),
        (r#"{ environment = "staging", level = "fatal" }"#, true),
        (r#"{ environment = "staging", level = "error" }"#, false),
        (r#"{ environment = "production" }"#, true),
        (r#"{ release = "1" }"#, true),
        (r#"{ any = [{ level = "fatal" }, { environment = { prefix = "stag" } }] }"#, false),
    ] {
        let of_route = routes(&format!("[[route]]\nname = \"r\"\nwhen = {{}}\nunless = {unless}\nto = [\"log\"]\n"));
        assert_eq!(decided(&of_route, &staging, LookedUp::No), if taken { "log<r" } else { "" }, "{unless}");
        let default = format!("[[route]]\nname = \"r\"\ndefault = true\nunless = {unless}\nto = [\"log\"]\n");
        assert_eq!(decided(&routes(&default), &staging, LookedUp::No), if taken { "log<r" } else { "" }, "{unless}");
    }
}

#[test]
fn an_operator_stands_in_braces_and_a_key_is_everything_before_the_value() {
    let tagged = |name: &str| Normalized { tags: [(name.to_owned(), "x".to_owned())].into(), ..event("error.created") };
    for (when, name) in [
        ("when = { tag.prefix = \"x\" }", "prefix"),
        ("when.tag.prefix = \"x\"", "prefix"),
        ("[route.when]\ntag.prefix = \"x\"", "prefix"),
        ("[route.when.tag]\nprefix = \"x\"", "prefix"),
        ("[route.when.tag.a]\nb.c = { prefix = \"x\" }", "a.b.c"),
        ("when = { tag = { prefix.a = \"x\" } }", ""),
    ] {
        let text = format!("{DESTINATIONS}[[route]]\nname = \"r\"\nto = [\"log\"]\n{when}\n");
        let compiled = Routes::compile(&text);
        if name.is_empty() {
            assert!(shown(&compiled.unwrap_err()).contains("a tag is `tag.NAME`"));
        } else {
            assert_eq!(decided(&compiled.unwrap(), &tagged(name), LookedUp::No), "log<r", "{when}");
        }
    }
    let any = "[[route]]\nname = \"r\"\nto = [\"log\"]\n[[route.when.any]]\ntag.a = \"x\"\n[[route.when.any]]\ntag.b = \"x\"\n";
    for (name, expected) in [("a", "log<r"), ("b", "log<r"), ("c", "")] {
        assert_eq!(decided(&routes(any), &tagged(name), LookedUp::No), expected);
    }
}

#[test]
fn every_mistake_in_a_pattern_is_told_with_its_place_and_what_was_meant() {
    insta::assert_snapshot!("patterns", mistakes(include_str!("patterns.toml")));
}

/// A field of the normalized event that nobody can match on was forgotten.
#[test]
fn every_field_of_the_normalized_event_is_a_key() {
    let mut fields = Fields(&[]);
    <Normalized as serde::Deserialize>::deserialize(&mut fields).unwrap_err();
    let named: Vec<&str> = key::NAMED.iter().map(|named| named.name).collect();
    // The slugs in `more_projects` are values of `project`, tags have a name each, and how we came to know the rest is
    // none of the event.
    let others = ["more_projects", "tags", "look_up_failed"];
    for field in fields.0 {
        assert!(named.contains(field) || others.contains(field), "`{field}` has no line in `NAMED`");
    }
    assert!(named.iter().all(|name| fields.0.contains(name)), "{named:?}");
}

/// Learns the names of a struct's fields from its `Deserialize`.
struct Fields(&'static [&'static str]);

impl<'de> serde::Deserializer<'de> for &mut Fields {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("there is no value"))
    }

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[test]
fn no_sample_has_a_key_that_its_resource_is_said_never_to_have() {
    for name in crate::payload::tests::sample_names() {
        let payload = crate::payload::tests::sample(&name);
        let event = Normalized::of(&payload);
        let subject = Subject { event: &event, raw: &payload.raw, looked_up: LookedUp::Yes };
        for named in key::NAMED {
            let key = key::Key::Named(named);
            if key.find(subject, &mut |_| true) == key::Found::Match {
                let resource = event.resource.as_str();
                assert!(named.on.is_none_or(|on| on.contains(&resource)), "{name} has `{}`", named.name);
            }
        }
    }
}
