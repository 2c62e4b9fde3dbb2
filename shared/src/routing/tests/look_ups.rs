//! What is decided before a look-up stays so after it, whatever it tells.

use serde_json::json;

use super::*;

/// An issue as the payload tells it, and the answer of a look-up: each field there or not.
#[derive(Debug, Clone)]
struct Issue {
    known: [Option<String>; 5],
    answer: [Option<String>; 5],
}

const WORDS: [&str; 3] = ["error", "fatal", "info"];

fn word() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(&WORDS[..]).prop_map(str::to_owned))
}

fn issues() -> impl Strategy<Value = Issue> {
    let five = || [word(), word(), word(), word(), word()];
    (five(), five()).prop_map(|(known, answer)| Issue { known, answer })
}

impl Issue {
    fn known(&self) -> Normalized {
        let [slug, name, level, organization, environment] = self.known.clone();
        let has_project = slug.is_some() || name.is_some();
        Normalized {
            issue: Some("7".into()),
            project: has_project.then_some(Project { id: None, slug, name }),
            level,
            organization,
            environment,
            ..event("error.created")
        }
    }

    /// After the look-up: what was absent may be there. Slug and name that were there stay, as a project that was not
    /// renamed has them.
    fn looked_up(&self) -> Normalized {
        let [slug, name, level, organization, _] = &self.answer;
        let mut event = self.known();
        let project = event.project.get_or_insert_default();
        let slug = project.slug.clone().or(slug.clone());
        let name = project.name.clone().or(name.clone());
        event.fill_from_issue(&json!({
            "project": { "slug": slug, "name": name }, "level": level,
            "url": organization.as_ref().map(|slug| format!("https://s.example/api/0/organizations/{slug}/issues/7/")),
        }));
        event
    }
}

/// A pattern as the file has it, and what it means by definition: of the values that are there.
#[derive(Debug, Clone)]
enum Defined {
    Is(String),
    Prefix(String),
    List(Vec<Defined>),
    Not(Box<Defined>),
    Exists(bool),
}

fn patterns() -> impl Strategy<Value = Defined> {
    let word = || prop::sample::select(&WORDS[..]).prop_map(str::to_owned);
    let leaf = prop_oneof![
        word().prop_map(Defined::Is),
        Just(Defined::Prefix("fa".into())),
        any::<bool>().prop_map(Defined::Exists),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Defined::List),
            inner.prop_map(|pattern| Defined::Not(Box::new(pattern))),
        ]
    })
}

impl Defined {
    fn matches(&self, values: &[&str]) -> bool {
        match self {
            Self::Is(text) => values.iter().any(|value| value == text),
            Self::Prefix(prefix) => values.iter().any(|value| value.starts_with(prefix)),
            Self::List(members) => members.iter().any(|member| member.matches(values)),
            Self::Not(pattern) => !values.is_empty() && !pattern.matches(values),
            Self::Exists(there) => *there != values.is_empty(),
        }
    }

    /// `None`: what the file refuses, a list in a list, or `not` of what is there.
    fn toml(&self) -> Option<String> {
        Some(match self {
            Self::Is(text) => format!("\"{text}\""),
            Self::Prefix(prefix) => format!("{{ prefix = \"{prefix}\" }}"),
            Self::List(members) if members.iter().any(|member| matches!(member, Self::List(_))) => return None,
            Self::List(members) => {
                let members: Option<Vec<String>> = members.iter().map(Self::toml).collect();
                format!("[{}]", members?.join(", "))
            }
            Self::Not(pattern) if pattern.asks_for_presence() => return None,
            Self::Not(pattern) => format!("{{ not = {} }}", pattern.toml()?),
            Self::Exists(there) => format!("{{ exists = {there} }}"),
        })
    }

    fn asks_for_presence(&self) -> bool {
        match self {
            Self::Exists(there) => *there,
            Self::List(members) => members.iter().any(Self::asks_for_presence),
            _ => false,
        }
    }
}

fn values<'e>(event: &'e Normalized, key: &str) -> Vec<&'e str> {
    let project = event.project.as_ref();
    let all = match key {
        "project" => vec![project.and_then(|p| p.slug.as_deref()), project.and_then(|p| p.name.as_deref())],
        "level" => vec![event.level.as_deref()],
        "organization" => vec![event.organization.as_deref()],
        _ => vec![event.environment.as_deref()],
    };
    all.into_iter().flatten().collect()
}

/// A table with one pattern a key, perhaps an `any` of two more, perhaps an `unless`.
fn tables() -> impl Strategy<Value = (String, Vec<(&'static str, Defined)>)> {
    let keys = prop::sample::subsequence(vec!["project", "level", "organization", "environment"], 0..=3);
    (keys, prop::collection::vec(patterns(), 3)).prop_filter_map("the file refuses it", |(keys, patterns)| {
        let pairs: Vec<(&str, Defined)> = keys.into_iter().zip(patterns).collect();
        let toml: Option<Vec<String>> =
            pairs.iter().map(|(key, pattern)| Some(format!("{key} = {}", pattern.toml()?))).collect();
        Some((toml?.join(", "), pairs))
    })
}

fn all_match(pairs: &[(&str, Defined)], event: &Normalized) -> bool {
    pairs.iter().all(|(key, pattern)| pattern.matches(&values(event, key)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn a_route_means_what_its_definition_says_and_a_look_up_changes_no_decision(
        issue in issues(), own in tables(), first in tables(), second in tables(), unless in tables(),
    ) {
        let any = format!("any = [{{ {} }}, {{ {} }}]", first.0, second.0);
        let own_keys = if own.0.is_empty() { any } else { format!("{}, {any}", own.0) };
        let unless_line = if unless.0.is_empty() { String::new() } else { format!("unless = {{ {} }}\n", unless.0) };
        let routes = routes_leniently(&format!(
            "{DESTINATIONS}[[route]]\nname = \"r\"\nwhen = {{ {own_keys} }}\n{unless_line}to = [\"log\"]\n"
        ));
        let defined = |event: &Normalized| {
            let any = all_match(&first.1, event) || all_match(&second.1, event);
            let unless = !unless.0.is_empty() && all_match(&unless.1, event);
            if all_match(&own.1, event) && any && !unless { "log<r" } else { "" }
        };
        let (known, looked_up) = (issue.known(), issue.looked_up());
        prop_assert_eq!(decided(&routes, &looked_up, LookedUp::Yes), defined(&looked_up));
        prop_assert_eq!(decided(&routes, &known, LookedUp::Failed), defined(&known));
        let at_once = decided(&routes, &known, LookedUp::No);
        if at_once != "?" {
            prop_assert_eq!(&at_once, defined(&looked_up), "{:?}", looked_up);
        }
        // What `explain` says is what is done.
        for (event, looked_up, decided) in [(&known, LookedUp::No, &*at_once), (&looked_up, LookedUp::Yes, defined(&looked_up))] {
            let explained = &routes.explain(event, &Json::Null, looked_up)[0].outcome;
            let said = match explained {
                Outcome::Taken { .. } => "log<r",
                Outcome::NeedsIssue { .. } => "?",
                _ => "",
            };
            prop_assert_eq!(said, decided);
        }
    }
}

/// `level` takes only levels, and these words are.
fn routes_leniently(text: &str) -> Routes {
    Routes::compile(text).unwrap_or_else(|mistakes| panic!("{text}\n{}", shown(&mistakes)))
}

#[test]
fn a_look_up_that_fills_a_key_is_known_to_fill_it() {
    let answer = json!({
        "id": "7", "shortId": "BACKEND-1A", "title": "t", "culprit": "c", "level": "error", "platform": "python",
        "metadata": { "value": "v" }, "project": { "id": "1", "slug": "s", "name": "n" },
        "permalink": "https://s.example/organizations/acme/issues/7/", "status": "resolved", "substatus": "ongoing",
        "firstSeen": "2026-01-01T00:00:00Z", "count": "3", "userCount": 2,
        "assignedTo": { "type": "user", "id": "1", "name": "Ada", "email": "ada@example.com" },
        "url": "https://s.example/api/0/organizations/acme/issues/7/",
    });
    let before = Normalized { issue: Some("7".into()), ..event("issue.created") };
    let mut after = before.clone();
    after.fill_from_issue(&answer);
    let subject = |event, looked_up| Subject { event, raw: &Json::Null, looked_up };
    for named in key::NAMED {
        let key = key::Key::Named(named);
        let has = |event| key.find(subject(event, LookedUp::Yes), &mut |_| true) == key::Found::Match;
        assert_eq!(
            key.may_be_told(subject(&before, LookedUp::No)),
            !has(&before) && has(&after),
            "a look-up and `{}`",
            named.name
        );
        for looked_up in [LookedUp::Yes, LookedUp::Failed] {
            assert!(!key.may_be_told(subject(&before, looked_up)));
        }
    }
}
