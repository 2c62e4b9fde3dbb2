#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use super::*;
use crate::alert_rule::Priority;
use crate::normalized::Project;
use crate::payload::tests::sample;

#[expect(clippy::unnecessary_wraps, reason = "every template is optional")]
fn template(source: &str) -> Option<Template> {
    Some(Template::parse(source).unwrap())
}

fn form(
    route: Option<&Templates>,
    destination: &Templates,
    mentions: &[String],
    event: &Normalized,
    default: Message,
) -> (Message, Option<String>) {
    Form { route: route.cloned(), destination: destination.clone(), mentions: mentions.to_vec() }
        .message(event, default, None)
}

fn event() -> Normalized {
    Normalized {
        project: Some(Project { slug: Some("backend".into()), name: Some("Backend".into()), ..Project::default() }),
        ..Normalized::of(&sample("error.created"))
    }
}

/// The title that a template makes, and the warning.
fn title_of(source: &str, event: &Normalized) -> (String, Option<String>) {
    let templates = Templates { title: template(source), ..Templates::default() };
    let default = Message::of(event, "https://sentry.example");
    let (message, warning) = form(None, &templates, &[], event, default);
    (message.title, warning)
}

#[test]
fn a_template_names_what_the_event_has() {
    let event = event();
    for (source, expected) in [
        ("{{ project }}: {{ title }}", "backend: ValueError: division by zero"),
        ("{{ project_name }}", "Backend"),
        ("{{ event }} {{ resource }} {{ action }}", "error.created error created"),
        ("{{ tags.customer }} on {{ tags[\"server_name\"] }}", "Zoë & Søn <co> on web-1"),
        ("[{{ short_id }}]", "[]"),
        ("[{{ tags.nobody.knows }}]", "[]"),
        ("{% if short_id %}{{ short_id }}{% else %}none{% endif %}", "none"),
        ("{{ short_id or level }}", "error"),
        ("{{ short_id|default(\"none\") }}", "none"),
        ("{{ level|upper }} {{ \"É\"|lower }} {{ \"élan Vital\"|capitalize }}", "ERROR é Élan vital"),
        ("{{ title|replace(\"zero\", \"0\") }}", "ValueError: division by 0"),
        ("{{ title|truncate(12) }}", "ValueError:…"),
        ("{{ title[:10] }}", "ValueError"),
        ("{{ \" a\nb\"|first_line }}{{ \" x \"|trim }}", "ax"),
        ("{{ title|length }} {{ tags|length }}", "28 7"),
        ("{{ {\"error\": \"!\", \"fatal\": \"!!\"}[level] }} {{ title }}", "! ValueError: division by zero"),
        ("{{ \"bad\" if level in [\"error\", \"fatal\"] else \"fine\" }}", "bad"),
        ("{{ \"yes\" if \"zero\" in title and title is startingwith(\"Value\") }}", "yes"),
        ("{{ \"yes\" if release is defined and short_id is undefined and not title is endingwith(\"x\") }}", "yes"),
        (
            "{% for name, value in tags|items %}{% if loop.first %}{{ name }}={{ value }}{% endif %}{% endfor %}",
            "customer=Zoë & Søn <co>",
        ),
        ("{{ [level, environment]|join(\", \") }}{{ more_projects|join(\", \") }}", "error, production"),
        ("{{ default_title ~ \"!\" }}", "ValueError: division by zero!"),
        ("{{ link|truncate(20) }}", "http://127.0.0.1:29…"),
        ("{{ count }}{{ users }}{% if is_regression or look_up_failed %}x{% endif %}.", "."),
        ("a{# a comment #}b{%- if true %} c{% endif %}", "ab c"),
    ] {
        let (title, warning) = title_of(source, &event);
        assert_eq!((title.as_str(), warning), (expected, None), "{source}");
    }
    let counted = Normalized { count: Some(250), ..event };
    assert_eq!(title_of("{{ \"often\" if count > 100 }}", &counted).0, "often");
}

#[test]
fn every_name_is_given_a_value() {
    let default = Message::of(&event(), "https://sentry.example");
    let known: Vec<&str> = context::names().collect();
    let full = Normalized {
        count: Some(1),
        users: Some(1),
        more_projects: vec!["web".into()],
        ..serde_json::from_value(
            known
                .iter()
                .filter(|name| !["count", "users", "more_projects", "tags", "project", "look_up_failed"].contains(name))
                .map(|name| ((*name).to_owned(), serde_json::json!("x")))
                .collect::<serde_json::Value>(),
        )
        .unwrap()
    };
    let full = Normalized { project: event().project, tags: event().tags, ..full };
    let rule = RuleSettings { note: Some("n".into()), priority: Some(Priority::Low), ..RuleSettings::default() };
    let context = context::of(&full, &default, Some(&rule));
    for name in known {
        assert!(!context.get_attr(name).unwrap().is_undefined(), "{name}");
    }
}

#[test]
fn what_cannot_be_meant_or_bounded_is_a_mistake_with_its_place() {
    let mut missing: Vec<String> = Vec::new();
    for (source, place, message) in [
        ("a {{ projct }}", "projct", "unknown name `projct`"),
        ("{{ tag.browser }}", "tag", "unknown name `tag`"),
        ("{{ title|uper }}", "uper", "unknown filter `uper`"),
        ("{{ title|safe }}", "safe", "unknown filter `safe`"),
        ("{{ \"x\"|format(1) }}", "format(1)", "unknown filter `format`"),
        ("{{ title|center(9) }}", "center(9)", "unknown filter `center`"),
        ("{{ title|indent(9) }}", "indent(9)", "unknown filter `indent`"),
        ("{% if title is divisibleby(3) %}{% endif %}", "divisibleby(3)", "unknown test `divisibleby`"),
        ("{{ title|truncate }}", "truncate", "`truncate` takes one value"),
        ("{{ title|upper(1) }}", "upper(1)", "`upper` takes no value"),
        ("{{ title|truncate(max=3) }}", "truncate(max=3)", "`truncate` takes values without names"),
        ("{{ project.slug }}", "project.slug", "`project` has no parts"),
        ("{% for t in tags %}{{ loop.frist }}{% endfor %}", "loop.frist", "unknown part of `loop` `frist`"),
        ("{{ loop.first }}", "loop", "unknown name `loop`"),
        ("{{ range(1000000000) }}", "range(1000000000)", "a template cannot call anything"),
        ("{{ title.upper() }}", ".upper()", "a template cannot call anything"),
        ("{{ \"x\" * 1000000000 }}", "\"x\" * 1000000000", "a template has no arithmetic"),
        ("{{ 9 ** 9 ** 9 }}", "9 ** 9 ** 9", "a template has no arithmetic"),
        ("{{ title + title }}", "title + title", "a template has no arithmetic"),
        ("{% set x = title ~ title %}{{ x }}", "set x = title ~ title", "a template has no variables of its own"),
        ("{% set x %}a{% endset %}", "set x %}a{% endset", "a template has no variables of its own"),
        (
            "{% with x = title %}{{ x }}{% endwith %}",
            "with x = title %}{{ x }}{% endwith",
            "a template has no variables of its own",
        ),
        (
            "{% filter upper %}a{% endfilter %}",
            "filter upper %}a{% endfilter",
            "this statement cannot be used in a template",
        ),
        (
            "{% autoescape true %}a{% endautoescape %}",
            "autoescape true %}a{% endautoescape",
            "this statement cannot be used in a template",
        ),
        (
            "{% for x in tags recursive %}{{ x }}{% endfor %}",
            "for x in tags recursive %}{{ x }}{% endfor",
            "a loop cannot be `recursive`",
        ),
        ("{% macro m() %}{% endmacro %}", "macro", "unknown statement macro"),
        ("{% include \"x\" %}", "include", "unknown statement include"),
        ("{{ title", "title", "unexpected end of input, expected end of variable block"),
        ("{% if title %}", "%}", "unexpected end of input, expected end of block"),
    ] {
        let flaws = Template::parse(source).unwrap_err();
        let told: Vec<(&str, &str)> =
            flaws.iter().map(|flaw| (&source[flaw.at.clone()], flaw.message.as_str())).collect();
        if !told.contains(&(place, message)) {
            missing.push(format!("{source}: {told:?}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    let twice = Template::parse("{{ a }} {{ title }} {{ b }}").unwrap_err();
    assert_eq!(twice.len(), 2, "all are told: {twice:?}");
}

#[test]
fn what_is_too_long_or_too_deep_is_a_mistake_and_no_crash() {
    let nested = |begin: &str, end: &str, times: usize| format!("{}title{}", begin.repeat(times), end.repeat(times));
    let cases = [
        format!("{{{{ title{} }}}}", "|upper".repeat(600)),
        format!("{{{{ title{} }}}}", ".a".repeat(1500)),
        format!("{{{{ {} }}}}", nested("(", ")", 1500)),
        format!("{{{{ {} }}}}", nested("[", "]", 1500)),
        format!("{{{{ {} }}}}", nested("not ", "", 900)),
        format!("{{{{ title{} }}}}", " ~ title".repeat(400)),
        format!("{{{{ title{} }}}}", " if title else title".repeat(180)),
        nested("{% if title %}", "{% endif %}", 150),
        nested("{% for x in tags %}", "{% endfor %}", 100),
        "x".repeat(MAX_TEMPLATE_BYTES + 1),
    ];
    for source in cases {
        let start: String = source.chars().take(60).collect();
        assert!(Template::parse(&source).is_err(), "{start}");
    }
}

/// Values as somebody would choose them who writes an error's title to hurt.
fn hostile() -> Normalized {
    let long = "aß\u{fb03}{{ title }}".repeat(5_000);
    Normalized {
        title: Some(long.clone()),
        value: Some(long.clone()),
        culprit: Some("a".repeat(100_000)),
        release: Some("{% for x in tags %}{{ x }}{% endfor %}".into()),
        tags: (0..2000).map(|index| (format!("tag{index}"), long.chars().take(2000).collect())).collect(),
        more_projects: vec![long; 50],
        ..event()
    }
}

#[test]
fn a_template_that_blows_up_ends_soon_and_leaves_the_default() {
    let event = hostile();
    let default = Message::of(&event, "https://sentry.example");
    let tags = |body: &str, depth: usize| {
        format!("{}{body}{}", "{% for a in tags %}".repeat(depth), "{% endfor %}".repeat(depth))
    };
    let replaced = "|replace(\"a\", title)".repeat(30);
    for source in [
        tags("x", 4),
        tags("", 4),
        tags("{{ title }}", 2),
        tags("{{ title|upper|lower|upper }}", 3),
        tags("{% if \"zzz\" in title %}{% endif %}", 3),
        tags("{% if title == default_title %}{% endif %}", 3),
        tags("{% if culprit is startingwith(culprit) %}{% endif %}", 3),
        tags("{{ [title, title]|join(title) }}", 2),
        tags("{% for t in [title ~ title ~ title ~ title] %}{{ t|length }}{% endfor %}", 3),
        tags("{% for name, value in tags|items %}{{ value|length }}{% endfor %}", 3),
        tags("{% if tags in [tags, tags] %}{% endif %}", 3),
        tags("{% if [tags, more_projects] == [tags, more_projects] %}{% endif %}", 3),
        tags("{{ tags }}{{ [tags, tags] ~ [tags, tags] }}", 1),
        tags("{{ title[::-1]|trim }}", 3),
        format!("{{{{ culprit{replaced} }}}}"),
        "{{ culprit|replace(\"a\", culprit) }}".to_owned(),
        "{{ culprit|replace(\"\", culprit) }}".to_owned(),
        format!("{{{{ [{}]|join }}}}", vec!["title"; 300].join(", ")).replace("|join", "|join(title)"),
        "{{ title ~ title ~ title ~ title ~ title ~ title ~ title ~ title }}".to_owned(),
        "{{ title|truncate(title) }}".to_owned(),
        "{% for x in 5 %}{{ x }}{% endfor %}".to_owned(),
        "{{ tags|upper }}".to_owned(),
        "{% if level > 3 and 3 > title %}{% endif %}{{ title|items }}".to_owned(),
    ] {
        let templates = Templates { message: template(&source), ..Templates::default() };
        let begun = Instant::now();
        let (message, warning) = form(None, &templates, &[], &event, default.clone());
        let took = begun.elapsed();
        assert_eq!(message, default, "{source}");
        let warning = warning.unwrap_or_else(|| panic!("no warning of {source}"));
        assert!(warning.starts_with("the template of `message` failed: ") && warning.len() < 300, "{warning}");
        // Milliseconds in truth; a slow machine and a debug build are no reason to fail.
        assert!(took < Duration::from_secs(2), "{source}: {took:?}");
    }
}

#[test]
fn a_long_value_is_given_in_part_and_never_read_as_a_template() {
    let event = hostile();
    let (title, warning) = title_of("{{ culprit }}", &event);
    assert_eq!((title.len(), warning), (16 * 1024, None));
    assert_eq!(title_of("{{ release }}", &event).0, "{% for x in tags %}{{ x }}{% endfor %}");
    assert_eq!(title_of("{{ tags|length }}", &event).0, "100");
}

#[test]
fn the_routes_part_wins_over_the_destinations_key_by_key() {
    let event = event();
    let default = Message::of(&event, "https://sentry.example");
    let destination = Templates {
        title: template("destination's title"),
        message: template("destination's message"),
        fields: Some(vec![("D".to_owned(), Template::parse("{{ level }}").unwrap())].into()),
        ..Templates::default()
    };
    let route = Templates {
        title: template("route's title"),
        fields: Some(
            ["b", "a", "empty"]
                .map(|name| {
                    let source = if name == "empty" { "{{ short_id }}" } else { "{{ project }}\n{{ level }}" };
                    (name.to_owned(), Template::parse(source).unwrap())
                })
                .to_vec()
                .into(),
        ),
        ..Templates::default()
    };
    let (message, warning) = form(Some(&route), &destination, &[], &event, default.clone());
    assert_eq!((message.title.as_str(), message.text.as_str()), ("route's title", "destination's message"));
    let field = |name: &str| Field { name: name.into(), value: "backend error".into() };
    assert_eq!(message.fields, [field("b"), field("a")], "in order, one line each, without those that say nothing");
    assert_eq!(warning, None);
    assert_eq!((message.link, message.tone), (default.link.clone(), default.tone));
    let (message, _) = form(None, &destination, &[], &event, default.clone());
    assert_eq!((message.title.as_str(), message.fields.len()), ("destination's title", 1));
    assert_eq!(form(None, &Templates::default(), &[], &event, default.clone()), (default, None));
}

#[test]
fn a_blank_title_or_message_is_the_default_and_a_title_is_one_line() {
    let event = event();
    let default = Message::of(&event, "https://sentry.example");
    let blank =
        Templates { title: template("{{ short_id }} \u{feff}"), message: template(" \n "), ..Templates::default() };
    assert_eq!(form(None, &blank, &[], &event, default.clone()), (default, None));
    assert_eq!(title_of("a\nb\u{202e}c\u{0}", &event).0, "a bc");
}

#[test]
fn a_mention_is_one_that_the_destination_allows_or_none() {
    let event = event();
    let default = Message::of(&event, "https://sentry.example");
    let allowed = ["@here".to_owned(), "@backend".to_owned()];
    let mention = |source: &str| {
        let templates = Templates { mention: template(source), ..Templates::default() };
        let (message, warning) = form(Some(&templates), &Templates::default(), &allowed, &event, default.clone());
        (message.mention, warning)
    };
    assert_eq!(mention("@here"), (Some("@here".to_owned()), None));
    assert_eq!(mention(" @{{ project }}\n"), (Some("@backend".to_owned()), None));
    assert_eq!(mention("{% if level == \"fatal\" %}@here{% endif %}"), (None, None));
    let (none, warning) = mention("@{{ level }}");
    assert_eq!(none, None);
    assert_eq!(warning.unwrap(), "`@error` is not among the destination's `mentions`: nobody is mentioned");
}

#[test]
fn what_an_alert_rule_says_wins_over_the_templates() {
    let event = event();
    let default = Message::of(&event, "https://sentry.example");
    let templates = Templates {
        message: template("of the route"),
        mention: template("@here"),
        fields: Some((0..MAX_FIELDS).map(|n| (format!("f{n}"), Template::parse("v").unwrap())).collect()),
        ..Templates::default()
    };
    let rule = RuleSettings {
        note: Some("The runbook\nis in the wiki".to_owned()),
        mention: Some("@backend".to_owned()),
        priority: Some(Priority::High),
        ..RuleSettings::default()
    };
    let mentions = vec!["@here".to_owned(), "@backend".to_owned()];
    for (route, text) in [(Some(templates), "of the route"), (None, default.text.as_str())] {
        let is_templated = route.is_some();
        let form = Form { route, destination: Templates::default(), mentions: mentions.clone() };
        let (message, warning) = form.message(&event, default.clone(), Some(&rule));
        assert_eq!(message.text, format!("The runbook\nis in the wiki\n\n{text}"));
        assert_eq!(
            (message.mention.as_deref(), message.priority, warning),
            (Some("@backend"), Some(Priority::High), None)
        );
        assert_eq!((message.fields[0].name.as_str(), message.fields[0].value.as_str()), ("Priority", "high"));
        assert_eq!(message.fields.len(), if is_templated { MAX_FIELDS } else { default.fields.len() + 1 });

        let gone = Form { mentions: vec!["@here".to_owned()], ..form.clone() };
        let (message, warning) = gone.message(&event, default.clone(), Some(&rule));
        assert_eq!(message.mention, None, "nor the route's: the rule asked for somebody else");
        assert_eq!(warning.unwrap(), "`@backend` is not among the destination's `mentions`: nobody is mentioned");

        let bare = RuleSettings { rule: rule.rule.clone(), ..RuleSettings::default() };
        let said = |rule| form.message(&event, default.clone(), rule);
        assert_eq!(said(Some(&bare)), said(None), "a rule that says nothing changes nothing");
    }
}

#[test]
fn a_rules_note_and_priority_stand_where_the_templates_name_them_and_else_where_they_always_do() {
    let event = event();
    let default = Message::of(&event, "https://sentry.example");
    let rule = RuleSettings {
        note: Some(" Look at\n{{ title }}\u{202e} ".to_owned()),
        priority: Some(Priority::Urgent),
        ..RuleSettings::default()
    };
    let fields = |source: &str| Some(vec![("How bad".to_owned(), Template::parse(source).unwrap())].into());
    let text = |source: &str| Templates { message: template(source), ..Templates::default() };
    let note = "Look at\n{{ title }}";
    for (templates, with, without) in [
        (text("{% if note %}{{ note }}{% else %}no note{% endif %}"), note.to_owned(), "no note"),
        (text("{{ note|first_line }} {{ priority|upper }}."), "Look at URGENT.".to_owned(), "."),
        (text("a note:{# note #} {{ 'note' }}"), format!("{note}\n\na note: note"), "a note: note"),
        // The loop's own.
        (text("{% for note in ['x'] %}{{ note }}{% endfor %}"), format!("{note}\n\nx"), "x"),
        // What fails or says nothing has not said it.
        (
            text("{% if note %}{{ note|items }}{% endif %}"),
            format!("{note}\n\n{}", default.text),
            default.text.as_str(),
        ),
        (text("{% if note %} {% endif %}"), format!("{note}\n\n{}", default.text), default.text.as_str()),
    ] {
        let source = templates.message.clone().unwrap();
        let form = Form { route: Some(templates), ..Form::default() };
        assert_eq!(form.message(&event, default.clone(), Some(&rule)).0.text, with, "{source:?}");
        assert_eq!(form.message(&event, default.clone(), None).0.text, without, "{source:?}");
    }
    for (templates, expected) in [
        (Templates { fields: fields("{{ priority }}!"), ..Templates::default() }, vec![("How bad", "urgent!")]),
        (
            Templates { fields: fields("{{ level }}"), ..Templates::default() },
            vec![("Priority", "urgent"), ("How bad", "error")],
        ),
        (
            Templates { fields: fields("{% if priority %} {% endif %}"), ..Templates::default() },
            vec![("Priority", "urgent")],
        ),
    ] {
        let form = Form { route: Some(templates), ..Form::default() };
        let (message, _) = form.message(&event, default.clone(), Some(&rule));
        let found: Vec<_> = message.fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
        assert_eq!((found, message.priority), (expected, Some(Priority::Urgent)));
    }
    // A note mentions nobody, whatever a template makes of it, and is given in part where it is long.
    let rule = RuleSettings { note: Some(format!("@here{}", "n".repeat(100_000))), ..RuleSettings::default() };
    let templates =
        Templates { mention: template("{{ note[:5] }}"), title: template("{{ note }}"), ..Templates::default() };
    let form = Form { route: Some(templates), mentions: vec!["@backend".to_owned()], ..Form::default() };
    let (message, warning) = form.message(&event, default, Some(&rule));
    assert_eq!((message.mention, message.title.len()), (None, 16 * 1024));
    assert_eq!(warning.unwrap(), "`@here` is not among the destination's `mentions`: nobody is mentioned");
}

#[test]
fn a_failed_part_harms_no_other() {
    let event = event();
    let default = Message::of(&event, "https://sentry.example");
    let templates =
        Templates { title: template("{{ 1 < title|items }}"), message: template("fine"), ..Templates::default() };
    let (message, warning) = form(None, &templates, &[], &event, default.clone());
    assert_eq!((message.title, message.text.as_str()), (default.title, "fine"));
    assert_eq!(warning.unwrap(), "the template of `title` failed: `items` takes a map, such as `tags`");
}

fn documented() -> &'static str {
    let docs = include_str!("../../../docs/routes.md");
    docs.split_once("## Templates").unwrap().1
}

#[test]
fn the_documented_example_renders_as_it_reads() {
    let file = documented().split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let routes = Routes::compile(file).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let destination = routes.destinations().next().unwrap();
    let message = |route: &str, event: &Normalized| {
        let default = Message::of(event, "https://sentry.example");
        Form::of(&routes, route, destination).message(event, default, None)
    };
    let (formed, warning) = message("backend", &event());
    assert_eq!(formed.title, "❗ ValueError: division by zero");
    assert_eq!(formed.text, "division by zero\nsince app@1.0.0");
    let fields: Vec<(&str, &str)> = formed.fields.iter().map(|field| (&*field.name, &*field.value)).collect();
    assert_eq!(fields, [("Environment", "production"), ("Customer", "Zoë & Søn <co>")]);
    assert_eq!((formed.mention, warning), (None, None));

    let fatal = Normalized { level: Some("fatal".into()), value: None, release: None, environment: None, ..event() };
    let (formed, _) = message("backend", &fatal);
    assert_eq!((formed.text.as_str(), formed.mention.as_deref()), ("app.main in handle_rlkseunr", Some("@here")));
    assert_eq!(formed.fields[0].value, "unknown");
    let (formed, _) = message("a route that is gone", &event());
    assert_eq!(formed.title, "backend: ValueError: division by zero");
}

#[test]
fn every_filter_test_and_name_is_documented() {
    let docs = documented();
    let filters = language::FILTERS.iter().chain(language::TESTS).map(|(name, ..)| *name);
    for name in filters.chain(context::OWN) {
        assert!(docs.contains(&format!("`{name}`")) || docs.contains(&format!("`{name}(")), "{name}");
    }
}
