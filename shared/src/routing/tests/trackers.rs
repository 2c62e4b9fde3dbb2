//! `[[tracker]]`.

use super::*;

fn with(kind: &str, lines: &str) -> Result<Routes, Vec<Mistake>> {
    Routes::compile(&format!("[[tracker]]\nname = \"t\"\ntype = \"{kind}\"\n{lines}\n"))
}

/// Every key that a kind needs, as the file has them.
fn needed(kind: &crate::trackers::TrackerKind) -> String {
    kind.needs.iter().fold(String::new(), |text, key| format!("{text}{key} = \"secret:x\"\n"))
}

#[test]
fn a_tracker_is_read_with_all_that_it_says() {
    let lines = "token = \"secret:t\"\nrepositories = [\"acme/backend\", \"acme/.github\"]\nlabels = [\"sentry\"]\n\
                 organizations = [\"acme\"]\nbase_url = \"https://git.acme.example/\"";
    let routes = with("github", lines).unwrap();
    let tracker = routes.tracker(&"t".parse().unwrap()).unwrap();
    assert_eq!(tracker.kind, "github");
    assert_eq!(tracker.values, [("token".to_owned(), Value::Secret("t".into()))].into());
    assert_eq!(tracker.projects, ["acme/backend", "acme/.github"]);
    assert_eq!(tracker.labels, ["sentry"]);
    assert_eq!(tracker.organizations, Some(vec!["acme".to_owned()]));
    assert_eq!(tracker.base_url.as_deref(), Some("https://git.acme.example"));
    assert_eq!(routes.destinations().count(), 0);
}

#[test]
fn each_kind_is_taken_with_what_it_needs_and_its_own_list() {
    for kind in crate::trackers::KINDS {
        let list = if kind.name == "github" { "acme/x" } else { "X" };
        let routes = with(kind.name, &format!("{}{} = [\"{list}\"]", needed(kind), kind.projects_key))
            .unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)));
        let tracker = routes.trackers().next().unwrap();
        assert_eq!((&tracker.projects[..], &tracker.organizations), (&[list.to_owned()][..], &None), "{}", kind.name);
        assert!(!tracker.values.contains_key(kind.projects_key), "{}", kind.name);
    }
}

#[test]
fn a_trackers_base_url_may_have_a_path_that_leads_nowhere_else() {
    let of = |url: &str| {
        let routes = with("gitlab", &format!("token = \"secret:t\"\nbase_url = \"{url}\""));
        routes.map(|routes| routes.trackers().next().unwrap().base_url.clone().unwrap())
    };
    for (url, base) in [
        ("https://git.example", "https://git.example"),
        ("https://git.example/", "https://git.example"),
        ("https://ghe.example/api/v3", "https://ghe.example/api/v3"),
        ("http://git.example:8080/a-b/c.d_e~/", "http://git.example:8080/a-b/c.d_e~"),
    ] {
        assert_eq!(of(url).unwrap_or_else(|mistakes| panic!("{url}: {}", shown(&mistakes))), base);
    }
    for bad in [
        "git.example/gitlab",
        "ftp://git.example/x",
        "https://git.example/x?y=z",
        "https://git.example/x#y",
        "https://u:p@git.example/x",
        "https://git.example/../x",
        "https://git.example/x//",
        "https://git.example//x",
        "https://git.example/a%2Fb",
        "https://git.example/{x}",
        "https://",
    ] {
        let told = of(bad).expect_err(bad);
        assert!(told.len() == 1 && shown(&told).contains("`https://git.example/api/v3`"), "{bad}: {}", shown(&told));
    }
}

#[test]
fn a_mistake_is_told_once_with_what_was_meant() {
    let token = "token = \"secret:t\"\n";
    for (kind, lines, expected) in [
        ("github", "", "a tracker of type `github` needs `token`"),
        ("githb", token, "did you mean `github`?"),
        ("slack", token, "the types are `github`, `gitlab`, `jira` and `linear`"),
        ("github", "token = \"ghp_abc\"", "`token` must be `secret:NAME`"),
        ("github", &format!("{token}repository = [\"a/b\"]"), "unknown key `repository`"),
        ("github", &format!("{token}repositorys = [\"a/b\"]"), "did you mean `repositories`?"),
        ("github", &format!("{token}projects = [\"a/b\"]"), "`github` calls them `repositories`"),
        ("gitlab", &format!("{token}repositories = [\"a/b\"]"), "`gitlab` calls them `projects`"),
        ("github", &format!("{token}repositories = \"a/b\""), "`repositories` is a list of texts"),
        ("github", &format!("{token}repositories = [5]"), "`repositories` is a list of texts"),
        ("github", &format!("{token}repositories = []"), "`repositories` is an empty list"),
        ("github", &format!("{token}repositories = [\"\"]"), "a text of `repositories` is empty"),
        ("github", &format!("{token}repositories = [\"backend\"]"), "`backend` is not `owner/name`"),
        ("github", &format!("{token}repositories = [\"a/b/c\"]"), "`a/b/c` is not `owner/name`"),
        ("github", &format!("{token}repositories = [\"a/..\"]"), "`a/..` is not `owner/name`"),
        ("github", &format!("{token}repositories = [\"https://github.com/a/b\"]"), "is not `owner/name`"),
        ("github", &format!("{token}label = [\"x\"]"), "did you mean `labels`?"),
        ("github", &format!("{token}labels = [\" \"]"), "a text of `labels` is empty"),
        ("github", &format!("{token}organizations = \"acme\""), "`organizations` is a list of texts"),
        ("github", &format!("{token}mentions = [\"@x\"]"), "unknown key `mentions`"),
        ("github", &format!("{token}base_url = \"https://a/b?c\""), "`base_url` is scheme, host, perhaps port and"),
    ] {
        let told = with(kind, lines).expect_err(lines);
        assert_eq!(told.len(), 1, "{lines}\n{}", shown(&told));
        assert!(shown(&told).contains(expected), "{lines}\n{}", shown(&told));
    }
    let told = mistakes("[[tracker]]\ntype = \"linear\"\ntoken = \"secret:t\"\n");
    assert!(told.starts_with("routes.toml:1:1: a tracker has no `name`"), "{told}");
    let told = mistakes("[[tracker]]\nname = \"a b\"\n");
    assert!(
        told.contains("2:8: `a b` is not a destination's name") && told.contains("a tracker has no `type`"),
        "{told}"
    );
}

#[test]
fn names_are_unique_over_trackers_and_destinations() {
    let tracker = |name: &str| format!("[[tracker]]\nname = \"{name}\"\ntype = \"linear\"\ntoken = \"secret:t\"\n");
    let destination = "[[destination]]\nname = \"x\"\ntype = \"console\"\n";
    let told = mistakes(&[tracker("x"), tracker("x")].concat());
    assert!(told.starts_with("routes.toml:6:8: a second tracker `x`"), "{told}");
    assert!(told.contains("the first is in line 2"), "{told}");
    for (text, line, of_destination) in
        [([destination, &tracker("x")].concat(), 5, 2), ([&tracker("x"), destination].concat(), 2, 6)]
    {
        let told = mistakes(&text);
        assert!(
            told.starts_with(&format!("routes.toml:{line}:8: the tracker `x` is named as a destination")),
            "{told}"
        );
        assert!(told.contains(&format!("the destination is in line {of_destination};")), "{told}");
    }
    assert!(Routes::compile(&[destination, &tracker("y")].concat()).is_ok());
}

#[test]
fn secrets_of_trackers_are_looked_for_as_those_of_destinations_and_never_shown() {
    let routes = with("github", "token = \"secret:github-token\"").unwrap();
    assert_eq!(routes.secret_names(), BTreeSet::from(["github-token".to_owned()]));
    let told = shown(&routes.missing_secrets(&BTreeSet::from(["github-tokn".to_owned()])));
    assert!(told.starts_with("routes.toml:4:9: there is no secret `github-token`"), "{told}");
    assert!(told.contains("did you mean `secret:github-tokn`?"), "{told}");
    assert_eq!(routes.missing_secrets(&routes.secret_names()), []);
    for kind in crate::trackers::KINDS {
        let text = needed(kind).replace("secret:x", "ghp_0123456789");
        let told = shown(&with(kind.name, &text).expect_err("a secret in the file"));
        assert!(!told.contains("ghp_"), "{told}");
    }
}

#[test]
fn what_a_public_app_offers_to_nobody_is_told_where_it_is_named() {
    let routes = Routes::compile(
        "[[destination]]\nname = \"log\"\ntype = \"console\"\n\
         [[destination]]\nname = \"team\"\ntype = \"console\"\norganizations = [\"acme\"]\n\
         [[tracker]]\nname = \"tickets\"\ntype = \"linear\"\ntoken = \"secret:t\"\n\
         [[tracker]]\nname = \"closed\"\ntype = \"linear\"\ntoken = \"secret:t\"\norganizations = []\n",
    )
    .unwrap();
    let told = routes.offered_to_nobody();
    let places: Vec<_> = told.iter().map(|warning| (warning.line, warning.column, warning.severity)).collect();
    assert_eq!(places, [(2, 8, Severity::Warning), (9, 8, Severity::Warning)], "{}", shown(told));
    assert!(told[0].message.contains("the destination `log`") && told[1].message.contains("the tracker `tickets`"));
    assert_eq!(routes.warnings(), []);
}

#[test]
fn the_documentation_has_each_type_with_its_keys() {
    let text = include_str!("../../../../docs/ui-components.md");
    let quoted = |name: &str| format!("`{name}`");
    for kind in crate::trackers::KINDS {
        let begin = format!("| {} | ", quoted(kind.name));
        let row = text.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("no row: {begin}"));
        let keys = row[begin.len()..].split(" | ").next().unwrap();
        let (required, optional) = keys.split_once("; ").unwrap_or_else(|| panic!("nothing is optional: {row}"));
        for name in kind.keys.iter().map(|key| key.name).chain([kind.projects_key]) {
            let at = if kind.needs.contains(&name) { required } else { optional };
            assert!(at.contains(&quoted(name)), "{name} of {row}");
        }
    }
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    for name in crate::routing::compile::tracker::COMMON {
        assert!(rows.iter().any(|row| row.starts_with(&format!("| {} |", quoted(name)))), "{name}");
    }
}
