//! What is done, as Sentry asks for it, judges the answer and shows it to its user.

use http::{HeaderMap, Method};
use serde_json::{Value, json};
use simulator::{Field, GitHubIssue, Options, UserSees};

use super::{Asked, GONE, OTHER, PROJECT, REPOSITORY, UNKNOWN, issue_link};

impl Asked<'_> {
    pub(super) async fn sentrys_selects_are_filled(&self) {
        let sentry = &self.setting.sentry;
        let component = |kind: &str| sentry.component(kind).unwrap_or_else(|| panic!("no {kind}"));
        let (rule, link) = (component("alert-rule-action")["settings"].take(), component("issue-link"));
        let given = json!({ "destination": "chat", "project": PROJECT });
        let expected: [(&Value, &str, &[&str]); 8] = [
            (&rule, "destination", &["chat", "phones"]),
            (&rule, "mention", &["<!here>", "<@U1>"]),
            (&rule, "priority", &["low", "normal", "high", "urgent"]),
            (&link["create"], "project", &[PROJECT]),
            (&link["create"], "label", &["bug", "help wanted", "sentry"]),
            (&link["create"], "assignee", &["ada", "grace"]),
            (&link["link"], "project", &[PROJECT]),
            (&link["link"], "ticket", &[]),
        ];
        for (form, name, values) in expected {
            let fields = ["required_fields", "optional_fields"].map(|list| form[list].as_array().cloned());
            let field = fields.into_iter().flatten().flatten().find(|field| field["name"] == name);
            let field = field.unwrap_or_else(|| panic!("the schema has no field `{name}`: {form}"));
            let depends_on: Vec<&str> =
                field["depends_on"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let dependent: serde_json::Map<String, Value> =
                depends_on.iter().map(|name| ((*name).to_owned(), given[name].clone())).collect();
            let dependent = (!dependent.is_empty()).then_some(Value::Object(dependent));
            let uri = field["uri"].as_str().expect("a select has an address");
            let Options { choices, .. } = sentry
                .select_options(uri, Some("backend"), None, dependent.as_ref())
                .await
                .unwrap_or_else(|seen| panic!("{name}: {seen}"));
            let found: Vec<&str> = choices.iter().map(|(value, _)| value.as_str()).collect();
            assert_eq!(found, values, "choices of `{name}`");
        }
    }

    pub(super) async fn a_rule_is_saved_or_its_user_reads_why_not(&self) {
        let sentry = &self.setting.sentry;
        let picked =
            [("destination", "chat"), ("note", "restart <the> till"), ("mention", "<@U1>"), ("priority", "high")];
        sentry.save_rule("right", &picked).await.expect("a rule with all fields is saved");
        sentry.save_rule("least", &picked[..1]).await.expect("a rule with no more than a destination is saved");
        let seen = sentry.save_rule("wrong", &[("destination", "gone")]).await.expect_err("there is no such");
        assert_eq!(seen.status, 400);
        assert!(seen.message.starts_with("Switchboard: ") && seen.message.contains("`destination`"), "{seen}");
        assert_eq!(sentry.rules(), ["least", "right"]);
    }

    pub(super) async fn a_ticket_is_created_once_and_linked_to_another_issue(&self) {
        let Self { setting, .. } = self;
        let fields: [Field<'_>; 5] = [
            ("project", PROJECT),
            ("title", "ValueError: no total"),
            ("description", "line 1\nline 2"),
            ("label", "bug"),
            ("assignee", "ada"),
        ];
        let [first, second] = setting.issues;
        let created =
            setting.sentry.create_link(first, &fields).await.unwrap_or_else(|seen: UserSees| panic!("{seen}"));
        let number = created.identifier.clone();
        assert_eq!(created.project, REPOSITORY);
        // A second click: Sentry sends it all the same.
        let again = self
            .post(
                "issue-link/create",
                &issue_link(
                    &setting.installation,
                    first,
                    json!({
                        "project": PROJECT, "title": "ValueError: no total",
                    }),
                ),
            )
            .await;
        let ticket = json!({ "webUrl": created.web_url, "project": created.project, "identifier": number });
        assert_eq!((again.status, again.json()), (200, ticket), "the first click's ticket");
        let [issue] = &setting.github.issues()[..] else { panic!("two clicks make one ticket") };
        assert_eq!((issue.title.as_str(), issue.number.to_string()), ("ValueError: no total", number.clone()));
        assert!(issue.body.contains("line 1\nline 2"), "{}", issue.body);
        assert_eq!(
            (&issue.labels[..], &issue.assignees[..]),
            (&["bug".to_owned(), "sentry".to_owned()][..], &["ada".to_owned()][..])
        );

        let linked = setting.sentry.link(second, &[("project", PROJECT), ("ticket", &number)]).await;
        let linked = linked.unwrap_or_else(|seen| panic!("{seen}"));
        assert_eq!((linked.web_url, linked.identifier), (created.web_url, number));
        let missing = json!({ "project": PROJECT, "ticket": "99" });
        let answer = self.post("issue-link/link", &issue_link(&setting.installation, 8, missing)).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.message().contains("99"), "{}", answer.text);
    }

    pub(super) async fn hostile_texts_arrive_as_text(&self) {
        let title = format!("\u{0}\u{7}Größe\u{202e} 🎉\n@ada #1 {}", "x".repeat(10_000));
        let description = "@acme/team see #1\n```\n</details> @grace\n````\n<!-- <img src=x> [a](javascript:b)";
        let fields = json!({ "project": PROJECT, "title": title, "description": description });
        let answer = self.post("issue-link/create", &issue_link(&self.setting.installation, 9, fields)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let issues = self.setting.github.issues();
        let GitHubIssue { title, mentions, references, .. } = issues.last().expect("a ticket");
        assert!(title.starts_with("Größe") && title.contains('🎉'), "{title}");
        assert!(!title.contains(char::is_control) && title.chars().count() <= 256, "{title}");
        assert_eq!((&mentions[..], &references[..]), (&[][..], &[][..]), "nobody is called by it");
    }

    pub(super) async fn frames_lead_to_their_line(&self) {
        let here = self.setting.installation.as_str();
        let line = "https://code.example/src/a%20b.rs#L7";
        let opened = self.setting.sentry.stacktrace_link("backend", "src/a b.rs", 7).expect("it is installed");
        let (_, path) = opened.split_once("/components/").expect("an address of ours");
        let cases = [
            (path.to_owned(), 302, Some(line)),
            (frame(OTHER, "backend"), 302, Some(line)),
            (frame(here, "payments"), 302, Some("https://code.acme.example/src/a%20b.rs#L7")),
            (frame(OTHER, "payments"), 404, None),
            (frame(here, "elsewhere"), 404, None),
            (frame(UNKNOWN, "backend"), 404, None),
            (frame(GONE, "backend"), 404, None),
            (frame("../x", "backend"), 404, None),
            ("stacktrace-link?projectSlug=backend&filename=src/main.rs&lineNo=7".to_owned(), 404, None),
            (format!("{}&installationId={UNKNOWN}", frame(here, "backend")), 404, None),
        ];
        for (path, status, location) in cases {
            let answer = self.send(Method::GET, &path, HeaderMap::new(), "").await;
            assert_eq!((answer.status, answer.location.as_deref()), (status, location), "{path}: {}", answer.text);
            assert!(answer.text.contains("<h1>"), "a page for people: {}", answer.text);
        }
    }
}

fn frame(installation: &str, project: &str) -> String {
    format!("stacktrace-link?installationId={installation}&projectSlug={project}&filename=src%2Fa%20b.rs&lineNo=7")
}
