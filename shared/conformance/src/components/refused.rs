//! What is refused, and with which words.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use shared::components::MAX_BODY_BYTES;
use simulator::Fault;

use super::recorded::Recorded;
use super::{Asked, GONE, OTHER, PROJECT, UNKNOWN, headers, issue_link, rule};

const RULE: &str = "alert-rule-action";
const CREATE: &str = "issue-link/create";
const LINK: &str = "issue-link/link";

impl Asked<'_> {
    pub(super) async fn unsigned_requests_are_refused(&self) {
        let body = rule(&self.setting.installation, &[("destination", "chat")]).to_string();
        let get = format!("options/destinations?installationId={}", self.setting.installation);
        let (of_body, of_nothing) = (self.setting.sentry.sign(body.as_bytes()), self.setting.sentry.sign(b""));
        let (app, hook) = ("sentry-app-signature", "sentry-hook-signature");
        let cases = [
            ("missing", vec![], vec![]),
            ("of a webhook", vec![(hook, &of_body[..])], vec![(hook, &of_nothing[..])]),
            ("of something else", vec![(app, &of_nothing)], vec![(app, &of_body)]),
            ("cut off", vec![(app, &of_body[..63])], vec![(app, &of_nothing[..63])]),
            ("twice", vec![(app, &of_body), (app, &of_body)], vec![(app, &of_nothing), (app, &of_nothing)]),
        ];
        for (name, post, of_get) in cases {
            for path in [RULE, CREATE, LINK] {
                let answer = self.send(Method::POST, path, headers(&post), body.clone()).await;
                assert_eq!(answer.status, 401, "{name}, {path}: {}", answer.text);
                assert!(!answer.message().contains(&of_body), "{name}: {}", answer.text);
            }
            let answer = self.send(Method::GET, &get, headers(&of_get), "").await;
            assert_eq!(answer.status, 401, "{name}: {}", answer.text);
            answer.message();
        }
        let answer = self.send(Method::POST, RULE, headers(&[(app, &of_body)]), body).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})), "the right signature is enough");
    }

    /// Their signature and installation are right, and their fields another app's.
    pub(super) async fn recorded_requests_are_refused_for_their_form_alone(&self) {
        for (sample, path, named) in [
            ("alert_rule_action.requested", RULE, "`destination`"),
            ("external_issue.created", CREATE, "`project`"),
            ("external_issue.linked", LINK, "`project`"),
            ("select_options.requested", "options/options", "`options`"),
        ] {
            let recorded = Recorded::read(sample);
            let path = if recorded.query.is_empty() { path.to_owned() } else { format!("{path}?{}", recorded.query) };
            let answer = self.send(recorded.method, &path, recorded.headers, recorded.body).await;
            assert_eq!(answer.status, 400, "{sample}: {}", answer.text);
            assert!(answer.message().contains(named), "{sample}: {}", answer.text);
        }
    }

    /// Shape, then installation, then fields.
    pub(super) async fn forms_are_refused_with_what_is_wrong_of_them(&self) {
        let here = self.setting.installation.as_str();
        let good = json!({ "project": PROJECT, "title": "t", "ticket": "1" });
        let without = |mut body: Value, name: &str| {
            body.as_object_mut().expect("an object").remove(name);
            body
        };
        let with = |name: &str, value: Value| {
            let mut fields = good.clone();
            fields[name] = value;
            issue_link(here, 7, fields)
        };
        let chat = rule(here, &[("destination", "chat")]);
        let to_chat = |name: &str, value: &str| rule(here, &[("destination", "chat"), (name, value)]);
        let cases = [
            ("a list", RULE, 400, json!([1]), "JSON object"),
            ("no installation", RULE, 400, without(chat.clone(), "installationId"), "`installationId`"),
            ("an odd installation", RULE, 400, rule("../x", &[]), "`installationId`"),
            ("no fields", RULE, 400, without(chat.clone(), "fields"), "`fields`"),
            ("an object of fields", RULE, 400, json!({ "fields": {}, "installationId": here }), "`fields`"),
            (
                "a nameless field",
                RULE,
                400,
                json!({ "fields": [{ "value": 1 }], "installationId": UNKNOWN }),
                "`fields`",
            ),
            ("an unknown installation", RULE, 404, rule(UNKNOWN, &[]), "install it again"),
            ("a removed installation", RULE, 404, rule(GONE, &[]), "install it again"),
            ("no destination", RULE, 400, rule(here, &[("note", "x")]), "`destination`"),
            ("an unknown one", RULE, 400, rule(here, &[("destination", "nowhere")]), "`destination`"),
            ("one that is no name", RULE, 400, rule(here, &[("destination", "a b")]), "`destination`"),
            ("one of nobody", RULE, 400, rule(here, &[("destination", "nobodys")]), "`destination`"),
            ("one of others", RULE, 400, rule(OTHER, &[("destination", "phones")]), "`destination`"),
            ("a mention of nobody", RULE, 400, to_chat("mention", "<@U2>"), "`mention`"),
            (
                "a mention elsewhere",
                RULE,
                400,
                rule(here, &[("destination", "phones"), ("mention", "<@U1>")]),
                "`mention`",
            ),
            ("an odd priority", RULE, 400, to_chat("priority", "High"), "`priority`"),
            ("a long note", RULE, 400, to_chat("note", &"x".repeat(1001)), "`note`"),
            ("a list of fields", CREATE, 400, rule(here, &[]), "`fields`"),
            ("no issue", CREATE, 400, without(issue_link(here, 7, good.clone()), "issueId"), "`issueId`"),
            ("unknown", LINK, 404, issue_link(UNKNOWN, 7, json!({})), "install it again"),
            ("removed", CREATE, 404, issue_link(GONE, 7, json!({})), "install it again"),
            ("no title", CREATE, 400, issue_link(here, 7, without(good.clone(), "title")), "`title`"),
            ("a title of blanks", CREATE, 400, with("title", json!(" ")), "`title`"),
            ("a long title", CREATE, 400, with("title", json!("x".repeat(20_001))), "`title`"),
            ("a number", CREATE, 400, with("project", json!(1)), "`project`"),
            ("no tracker", CREATE, 400, with("project", json!("acme")), "`project`"),
            ("a tracker of others", CREATE, 400, issue_link(OTHER, 7, good.clone()), "`project`"),
            ("a project not listed", CREATE, 400, with("project", json!("board/acme/x")), "`project`"),
            ("no ticket", LINK, 400, issue_link(here, 7, without(good.clone(), "ticket")), "`ticket`"),
        ];
        for (name, path, status, body, part) in cases {
            let answer = self.post(path, &body).await;
            assert_eq!(answer.status, status, "{name}: {}", answer.text);
            assert!(answer.message().contains(part), "{name}: {}", answer.text);
        }
        assert_eq!(self.setting.github.issues(), [], "no ticket was opened for any of it");
    }

    pub(super) async fn what_is_not_offered_is_answered_like_what_does_not_exist(&self) {
        for (list, field, hidden, absent) in [
            ("mentions", "destination", "phones", "nowhere"),
            ("labels", "project", PROJECT, "nowhere/acme/web"),
            ("assignees", "project", PROJECT, "nowhere/acme/web"),
            ("tickets", "project", PROJECT, "nowhere/acme/web"),
        ] {
            let of = |value: &str| json!({ field: value });
            // From now on the tracker's answer is kept.
            let shown = self.options(list, &self.setting.installation, "", &of(hidden)).await;
            assert_eq!(shown.status, 200, "{list}: {}", shown.text);
            let (hidden, absent) =
                (self.options(list, OTHER, "", &of(hidden)).await, self.options(list, OTHER, "", &of(absent)).await);
            assert_eq!((hidden.status, absent.status), (400, 400), "{list}: {}", hidden.text);
            assert_eq!(hidden.text, absent.text, "{list}");
        }
        let rules = ["phones", "nowhere"].map(|name| rule(OTHER, &[("destination", name), ("mention", "<@U1>")]));
        let (hidden, absent) = (self.post(RULE, &rules[0]).await, self.post(RULE, &rules[1]).await);
        assert_eq!((hidden.status, hidden.text), (400, absent.text), "a rule");
        let lists = [("destinations", json!(["chat"])), ("projects", json!([]))];
        for (list, expected) in lists {
            let answer = self.options(list, OTHER, "", &json!({})).await;
            let values: Vec<Value> =
                answer.json().as_array().expect("a list").iter().map(|entry| entry["value"].clone()).collect();
            assert_eq!(Value::from(values), expected, "{list} of the other organization");
        }
        for (list, installation, status, part) in [
            ("nothing", self.setting.installation.as_str(), 400, "`nothing`"),
            ("labels", &self.setting.installation, 400, "`project`"),
            ("destinations", UNKNOWN, 404, "install it again"),
            ("destinations", GONE, 404, "install it again"),
        ] {
            let answer = self.options(list, installation, "", &json!({})).await;
            assert_eq!(answer.status, status, "{list}: {}", answer.text);
            assert!(answer.message().contains(part), "{list}: {}", answer.text);
        }
    }

    /// A gateway may have said 404 before us.
    pub(super) async fn other_paths_and_methods_are_refused(&self) {
        let cases = [
            (Method::GET, RULE, 405),
            (Method::GET, CREATE, 405),
            (Method::POST, "options/destinations", 405),
            (Method::POST, "stacktrace-link", 405),
            (Method::GET, "options", 404),
            (Method::GET, "options/a/b", 404),
            (Method::POST, "issue-link", 404),
        ];
        for (method, path, expected) in cases {
            let answer = self.send(method.clone(), path, self.signed(""), "").await;
            assert!([404, expected].contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
            answer.message();
        }
    }

    pub(super) async fn bodies_over_the_limit_are_refused(&self) {
        let body = rule(&self.setting.installation, &[("destination", "chat")]).to_string();
        for (length, expected) in [(MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)] {
            let body = format!("{body}{}", " ".repeat(length - body.len()));
            let answer = self.send(Method::POST, RULE, self.signed(&body), body).await;
            assert_eq!(answer.status, expected, "{length} bytes: {}", answer.text);
        }
    }

    pub(super) async fn trackers_in_trouble_are_told_of(&self) {
        let (here, github) = (self.setting.installation.as_str(), &self.setting.github);
        let create = |issue| issue_link(here, issue, json!({ "project": PROJECT, "title": "t" }));
        let cases = [
            (Fault::status(401), 502, "board does not know its token (401)"),
            (Fault::status(403), 400, "board does not allow this (403)"),
            (Fault::status(404), 400, "board does not know"),
            (Fault::status(422), 400, "board refuses this (422)"),
            (Fault::status(500), 502, "board is in trouble (500)"),
            (Fault::html(200), 502, "board answers what is not understood"),
            (Fault::retry_after(429, Duration::from_secs(7)), 429, "board has taken too many requests (429)"),
            (Fault::slow(PAST_THE_LIMIT), 504, "board does not answer in time"),
        ];
        for (issue, (fault, status, part)) in (700..).zip(cases) {
            github.fail_next(1, &fault);
            let answer = self.post(CREATE, &create(issue)).await;
            assert_eq!(answer.status, status, "{fault:?}: {}", answer.text);
            let message = answer.message();
            assert!(message.starts_with(part) && !message.contains(github.token()), "{fault:?}: {message}");
        }
        // Nobody has typed this before, so there is no answer that was kept.
        github.fail_next(1, &Fault::slow(PAST_THE_LIMIT));
        let project = json!({ "project": PROJECT });
        let answer = self.options("assignees", here, "typed", &project).await;
        assert_eq!(answer.status, 504, "a select is not kept waiting: {}", answer.text);
        assert_eq!(github.issues(), []);
    }
}

/// Longer than `components` waits for a tracker, shorter than the suite waits for `components`.
const PAST_THE_LIMIT: Duration = Duration::from_secs(25);
