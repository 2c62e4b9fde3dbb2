#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use super::*;
use crate::normalized::Project;
use crate::payload::tests::{sample, sample_names};

const BASE: &str = "https://sentry.example";

fn shown(message: &Message) -> String {
    let mut shown = format!("{:?}: {}\n", message.tone, message.title);
    for line in message.text.lines() {
        writeln!(shown, "    {line}").unwrap();
    }
    for Field { name, value } in &message.fields {
        writeln!(shown, "    {name}: {value}").unwrap();
    }
    if let Some(link) = &message.link {
        writeln!(shown, "    -> {link}").unwrap();
    }
    shown
}

#[test]
fn every_sample_has_its_default_message() {
    let mut all = String::new();
    for name in sample_names() {
        let event = Normalized::of(&sample(&name));
        writeln!(all, "{name}\n{}", shown(&Message::of(&event, BASE))).unwrap();
    }
    insta::assert_snapshot!(all);
}

fn event(name: &str) -> Normalized {
    let (resource, action) = name.split_once('.').unwrap();
    Normalized { event: name.into(), resource: resource.into(), action: action.into(), ..Normalized::default() }
}

#[expect(clippy::unnecessary_wraps, reason = "every key is optional")]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The title of the message, with what is given besides the event's name.
fn title(name: &str, given: impl FnOnce(&mut Normalized)) -> String {
    let mut event = event(name);
    given(&mut event);
    Message::of(&event, BASE).title
}

#[test]
fn the_title_says_what_happened_and_to_what() {
    let titled = |event: &mut Normalized| event.title = text("T");
    let with = |set: fn(&mut Normalized)| {
        move |event: &mut Normalized| {
            event.title = text("T");
            set(event);
        }
    };
    let cases = [
        (title("issue.created", titled), "T"),
        (title("error.created", titled), "T"),
        (title("issue.resolved", titled), "Resolved: T"),
        (title("issue.resolved", with(|e| e.actor = text("Ada"))), "Resolved by Ada: T"),
        (title("issue.resolved", with(|e| e.actor = text("Sentry"))), "Resolved: T"),
        (title("issue.ignored", with(|e| e.actor = text("Ada"))), "Archived by Ada: T"),
        (title("issue.archived", titled), "Archived: T"),
        (title("issue.assigned", titled), "Assigned: T"),
        (title("issue.assigned", with(|e| e.assignee = text("Zoë"))), "Assigned to Zoë: T"),
        (title("issue.unresolved", with(|e| e.substatus = text("regressed"))), "Regressed: T"),
        (title("issue.unresolved", with(|e| e.substatus = text("escalating"))), "Escalating: T"),
        (title("issue.unresolved", with(|e| e.actor = text("Ada"))), "Unresolved by Ada: T"),
        (title("issue.merged", titled), "issue.merged: T"),
        (title("event_alert.triggered", with(|e| e.rule = text("Rings"))), "Rings: T"),
        (title("event_alert.triggered", titled), "Alert: T"),
        (title("activity_alert.triggered", with(|e| e.rule = text("Rings"))), "Rings: T"),
        (title("metric_alert.critical", with(|e| e.title = text("Critical: Rate"))), "Critical: Rate"),
        (title("metric_alert.warning", with(|e| e.title = text("Rate"))), "Warning: Rate"),
        (title("metric_alert.resolved", |e| e.rule = text("Rate")), "Resolved: Rate"),
        (title("metric_alert.open", |_| ()), "Open: metric alert"),
        (title("comment.created", titled), "Somebody commented on T"),
        (title("comment.deleted", with(|e| e.actor = text("Ada"))), "Ada deleted a comment on T"),
        (title("comment.pinned", titled), "Comment pinned: T"),
        (title("seer.iteration_started", titled), "Seer works on its pull request: T"),
        (title("seer.triage_completed", titled), "Seer: triage completed: T"),
        (title("preprod_artifact.size_analysis_completed", |_| ()), "Mobile build: size analysis ended"),
        (title("switchboard.destination_paused", |e| e.destination = text("phones")), "Destination phones is paused"),
        (
            title("switchboard.destination_resumed", |e| e.destination = text("phones")),
            "Destination phones delivers again",
        ),
        (
            title("switchboard.ticket_opened", with(|e| e.value = text("acme/backend#12"))),
            "Ticket opened: acme/backend#12",
        ),
        (title("uninstallation.deleted", |e| e.organization = text("acme")), "Uninstalled from acme"),
        (title("new_thing.happened", |_| ()), "new_thing.happened"),
        (title("new_thing.happened", titled), "new_thing.happened: T"),
        // Without a title, the issue is named by what is known of it.
        (title("issue.created", |_| ()), "New issue"),
        (title("issue.created", |e| e.issue = text("7")), "New issue 7"),
        (title("issue.resolved", |e| e.short_id = text("BACKEND-1A")), "Resolved: issue BACKEND-1A"),
        (title("comment.created", |_| ()), "Somebody commented on an issue"),
        (title("comment.created", |e| e.issue = text("7")), "Somebody commented on issue 7"),
    ];
    for (title, expected) in cases {
        assert_eq!(title, expected);
    }
}

#[test]
fn the_text_is_what_the_event_says_and_never_empty() {
    let mut event = event("issue.resolved");
    let of = |event: &Normalized| Message::of(event, BASE).text;
    assert_eq!(of(&event), "Resolved");
    event.title = text("T");
    assert_eq!(of(&event), "Resolved: T");
    event.culprit = text("app.main");
    assert_eq!(of(&event), "app.main");
    event.value = text("division by zero");
    assert_eq!(of(&event), "division by zero\napp.main");
    event.value = text(" \r\n\u{0}\u{202e}");
    assert_eq!(of(&event), "app.main");
    event.look_up_failed = true;
    assert_eq!(of(&event), format!("app.main\n{NOT_LOOKED_UP}"));
    let comment = Normalized { value: text("I see"), culprit: text("app.main"), ..self::event("comment.created") };
    assert_eq!(of(&comment), "I see");
}

#[test]
fn fields_are_what_is_known_in_one_order_and_short() {
    let mut event = event("issue.created");
    assert!(Message::of(&event, BASE).fields.is_empty());
    event.users = Some(2);
    event.count = Some(1);
    event.assignee = text("Zoë\n\u{202e}");
    event.environment = text(" ");
    event.release = text(&"r".repeat(1000));
    event.project = Some(Project { slug: text("backend"), name: text("Backend"), ..Project::default() });
    event.more_projects = vec!["web".into()];
    let fields: Vec<(String, String)> =
        Message::of(&event, BASE).fields.into_iter().map(|Field { name, value }| (name, value)).collect();
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let release = format!("{}…", "r".repeat(199));
    let expected =
        [field("Project", "Backend, web"), field("Release", &release), field("Assignee", "Zoë"), field("Users", "2")];
    assert_eq!(fields, expected);
}

#[test]
fn hostile_text_shows_as_text() {
    let hostile = [
        "",
        " ",
        "\u{0}",
        "\u{202e}",
        "\r\n",
        "\u{2066}\u{2069}",
        "\u{feff}",
        "a\u{202e}gpj.exe",
        "\u{1b}[31mred",
        "line\u{2028}break",
        "שלום עולם",
        "مرحبا",
        "e\u{301}\u{301}\u{301}",
        "👩‍👩‍👧‍👦",
        "{{ title }}",
        "<!channel> @everyone",
    ];
    let all_events = sample_names().into_iter().chain(["new_thing.happened".to_owned(), "\u{0}.\u{0}".to_owned()]);
    for name in all_events {
        for text in hostile {
            let given = Some(text.to_owned());
            let message = Message::of(
                &Normalized {
                    title: given.clone(),
                    value: given.clone(),
                    culprit: given.clone(),
                    actor: given.clone(),
                    rule: given.clone(),
                    assignee: given.clone(),
                    short_id: given.clone(),
                    release: given.clone(),
                    organization: given.clone(),
                    destination: given.clone(),
                    project: Some(Project { name: given, ..Project::default() }),
                    ..event(&name)
                },
                BASE,
            );
            let fields = message.fields.iter().map(|field| &field.value);
            for line in fields.chain([&message.title]) {
                assert!(!is_blank(line), "{name} {text:?}");
                assert!(!line.contains(|c: char| c.is_control() || c == '\u{2028}'), "{name} {text:?}: {line:?}");
            }
            let everything = [&message.title, &message.text].into_iter().chain(message.fields.iter().map(|f| &f.value));
            for shown in everything {
                assert!(!is_blank(shown), "{name} {text:?}");
                assert!(!shown.contains(['\u{202e}', '\u{2066}', '\u{0}', '\u{1b}']), "{name} {text:?}: {shown:?}");
            }
        }
    }
    let hebrew = title("issue.created", |e| e.title = text("שלום עולם"));
    assert_eq!(hebrew, "שלום עולם", "text that is right to left by itself stays as it is");
}

#[test]
fn a_megabyte_stays_whole_for_the_destination_to_cut() {
    let long = "ü".repeat(500_000);
    let message = Message::of(&Normalized { value: text(&long), ..event("comment.created") }, BASE);
    assert_eq!(message.text, long);
}
