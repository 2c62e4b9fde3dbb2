use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use proptest::prelude::*;

use super::*;

const GITHUB: &str = "https://github.com/acme/backend/blob/main/{path}#L{line}";

fn link(project: &str, path_prefix: Option<&str>, url: &str) -> StacktraceLink {
    StacktraceLink::parse(ProjectPattern::slug(project), path_prefix, url).unwrap()
}

fn location(response: &Response<String>) -> Option<&str> {
    Some(response.headers().get(LOCATION)?.to_str().unwrap())
}

fn query(project: &str, filename: &str, line: &str) -> String {
    serde_urlencoded::to_string([("projectSlug", project), ("filename", filename), ("lineNo", line)]).unwrap()
}

#[test]
fn a_frame_leads_to_its_line_by_the_first_rule_that_fits() {
    let links = [
        link("backend", Some("app/"), GITHUB),
        link("backend", Some("/srv"), "https://git.acme.example:8443/{project}/{path}?at=main&line={line}#{path}"),
        link("backend", None, "vscode://file/home/ada/{path}:{line}"),
        link("web", None, "jetbrains://idea/navigate/reference?project={project}&path={path}:{line}"),
    ];
    for (project, filename, line, expected) in [
        ("backend", "app/views/a.py", "7", "https://github.com/acme/backend/blob/main/views/a.py#L7"),
        ("backend", "app//views.py", "7", "https://github.com/acme/backend/blob/main/views.py#L7"),
        (
            "backend",
            "app/a b/@x?y#z%2e.py",
            "",
            "https://github.com/acme/backend/blob/main/a%20b/%40x%3Fy%23z%252e.py#L1",
        ),
        (
            "backend",
            "/srv/a&b=ü.py",
            "08",
            "https://git.acme.example:8443/backend/a%26b%3D%C3%BC.py?at=main&line=8#a%26b%3D%C3%BC.py",
        ),
        ("backend", "lib/x.rs", "0", "vscode://file/home/ada/lib/x.rs:1"),
        ("backend", "/lib/.x..rs", "4", "vscode://file/home/ada/lib/.x..rs:4"),
        (
            "web",
            "src/a+b.ts",
            "4294967295",
            "jetbrains://idea/navigate/reference?project=web&path=src/a%2Bb.ts:4294967295",
        ),
    ] {
        let response = answer_by(&links, None, &query(project, filename, line));
        assert_eq!(location(&response), Some(expected), "{project} {filename}");
        assert_eq!(response.status(), StatusCode::FOUND);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(response.headers().contains_key(CONTENT_SECURITY_POLICY));
    }
}

#[test]
fn the_documented_rules_lead_where_they_say_and_every_scheme_is_documented() {
    let docs = include_str!("../../../docs/routes.md").split_once("## Stack-trace links").unwrap().1;
    let file = docs.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let routes = Routes::compile(file).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    for (project, filename, expected) in [
        ("backend", "app/views.py", "https://github.com/acme/backend/blob/main/views.py#L7"),
        ("web", "src/a.ts", "vscode://file/home/ada/web/src/a.ts:7"),
    ] {
        assert_eq!(location(&answer(&routes, None, &query(project, filename, "7"))), Some(expected));
    }
    for scheme in SCHEMES {
        assert!(docs.contains(&format!("`{scheme}`")), "{scheme}");
    }
}

#[test]
fn a_rule_is_for_the_people_of_its_organizations_and_others_do_not_see_that_it_is_there() {
    let of = |organizations: &[&str], url: &str| {
        let organizations = Some(organizations.iter().map(|slug| (*slug).to_owned()).collect());
        StacktraceLink { organizations, ..link("backend", None, url) }
    };
    let links = [of(&["acme"], GITHUB), of(&["acme", "other"], "https://git.other.example/{path}")];
    let asked = query("backend", "a.py", "7");
    for (organization, expected) in [
        (Some("acme"), Some("https://github.com/acme/backend/blob/main/a.py#L7")),
        (Some("other"), Some("https://git.other.example/a.py")),
        (Some("third"), None),
        (None, None),
    ] {
        let response = answer_by(&links, organization, &asked);
        assert_eq!(location(&response), expected, "{organization:?}");
    }
    let hidden = answer_by(&links, Some("third"), &asked);
    let absent = answer_by(&[], Some("third"), &asked);
    assert_eq!((hidden.status(), hidden.body()), (absent.status(), absent.body()));
}

#[test]
fn as_sentry_sends_it_with_or_without_a_line() {
    let links = [link("backend", None, GITHUB)];
    let sent = "installationId=a8e5d37a-696c-4c54-adb5-b3f28d64c7de&projectSlug=backend&filename=a+b%2Fc.py";
    for (query, expected) in [(sent.to_owned(), "a%20b/c.py#L1"), (format!("{sent}&lineNo=12"), "a%20b/c.py#L12")] {
        let response = answer_by(&links, None, &query);
        assert!(location(&response).unwrap().ends_with(expected), "{response:?}");
    }
}

#[test]
fn what_is_no_frame_or_could_climb_is_refused_with_a_page_and_no_location() {
    let links = [link("backend", Some("app/"), GITHUB)];
    let long = format!("app/{}", "a".repeat(3000));
    for (query, expected) in [
        (String::new(), "lacks `projectSlug`"),
        ("projectSlug=backend".to_owned(), "lacks `filename`"),
        ("projectSlug=backend&filename=".to_owned(), "lacks `filename`"),
        ("projectSlug=a&projectSlug=b&filename=x".to_owned(), "more than one `projectSlug`"),
        (query("a/b", "app/x", "1"), "`projectSlug` that is not one"),
        (query("..", "app/x", "1"), "`projectSlug` that is not one"),
        (query("backend", "app/../../x", "1"), "`.` or `..`"),
        (query("backend", "app/./x", "1"), "`.` or `..`"),
        (query("backend", "app/..", "1"), "`.` or `..`"),
        (query("backend", "app/x//y", "1"), "empty part"),
        (query("backend", "app/", "1"), "empty part"),
        (query("backend", "app/x/", "1"), "empty part"),
        (query("backend", "app///x", "1"), "empty part"),
        (query("backend", r"app/..\x", "1"), "backslash"),
        (query("backend", "app/x\r\nSet-Cookie: a", "1"), "control character"),
        (query("backend", "app/\0", "1"), "control character"),
        (query("backend", &long, "1"), "too long"),
        (query("backend", "app/x", "x"), "`lineNo` that is not a number"),
        (query("backend", "app/x", "-1"), "`lineNo` that is not a number"),
        (query("backend", "app/x", "1#x"), "`lineNo` that is not a number"),
        (query("backend", "app/x", "4294967296"), "`lineNo` that no file has"),
        (format!("{}&x={}", query("backend", "app/x", "1"), "a".repeat(9000)), "too long"),
    ] {
        let response = answer_by(&links, None, &query);
        assert_eq!((response.status(), location(&response)), (StatusCode::BAD_REQUEST, None), "{query}");
        assert!(response.body().contains(expected), "{query}: {}", response.body());
    }
}

#[test]
fn without_a_fitting_rule_the_page_says_how_to_add_one() {
    let links = [link("backend", Some("app/"), GITHUB)];
    for (project, filename, prefix) in [
        ("web", "app/x.py", "path_prefix = &quot;app/&quot;"),
        ("backend", "/srv/x.py", "path_prefix = &quot;/srv/&quot;"),
        ("backend", "app:///main.js", "path_prefix = &quot;app:///&quot;"),
        ("backend", "main.py", "project = &quot;backend&quot;\nurl"),
        ("backend", "<b>/x", "path_prefix = &quot;&lt;b&gt;/&quot;"),
    ] {
        let response = answer_by(&links, None, &query(project, filename, "1"));
        assert_eq!((response.status(), location(&response)), (StatusCode::NOT_FOUND, None), "{filename}");
        assert!(response.body().contains(prefix), "{filename}: {}", response.body());
        assert!(response.body().contains("[[stacktrace_link]]") && !response.body().contains("<b>"));
    }
    assert_eq!(answer(&Routes::default(), None, &query("backend", "x", "1")).status(), StatusCode::NOT_FOUND);
}

#[test]
fn a_template_that_the_query_could_bend_is_a_mistake() {
    for (url, expected) in [
        ("github.com/{path}", "no address"),
        ("javascript://x/{path}", "cannot lead to `javascript://`"),
        ("HTTPS://x/{path}", "cannot lead to"),
        ("file:///{path}", "cannot lead to `file://`"),
        ("{project}://x/{path}", "in the scheme"),
        ("https://{project}.example/{path}", "in the host"),
        ("https://git.example{path}", "in the host"),
        ("https://ada:secret@git.example/{path}", "name or password"),
        ("https:///{path}", "no host"),
        ("https://a b/{path}", "no host"),
        ("https://git.example/a/../{path}", "`.` or `..`"),
        ("https://git.example/a b/{path}", "percent-encoded"),
        ("https://git.example\\{path}", "in the host"),
        ("https://git.example/\\{path}", "percent-encoded"),
        ("https://git.example/ü/{path}", "percent-encoded"),
        ("https://git.example/{path", "a `{` without its `}`"),
        ("https://git.example/path}", "a `}` without its `{`"),
        ("https://git.example/{file}", "unknown placeholder `{file}`"),
        ("https://git.example/{line}", "no `{path}`"),
    ] {
        let error = StacktraceLink::parse(ProjectPattern::slug("backend"), None, url).unwrap_err();
        assert!(error.contains(expected), "{url}: {error}");
    }
}

/// Scheme and host, the segments of the path, and whether there is a query and a fragment.
fn shape(location: &str) -> (&str, Vec<&str>, bool, bool) {
    let (address, fragment) = location.split_once('#').map_or((location, false), |(address, _)| (address, true));
    let (address, query) = address.split_once('?').map_or((address, false), |(address, _)| (address, true));
    let slash = address.find("://").unwrap() + 3;
    let slash = slash + address[slash..].find('/').unwrap_or(address.len() - slash);
    (&address[..slash], address[slash..].split('/').collect(), query, fragment)
}

proptest! {
    #[test]
    fn no_query_changes_scheme_host_or_the_depth_of_the_path(
        project in r"[a-z./\\%#?]{0,4}|backend",
        filename in r"(app/)?([a./\\%#?&=:@+ \r\n]|\PC){0,12}",
        line in r"[0-9]{0,5}|.{0,3}",
    ) {
        for url in [
            "https://git.example/a/{path}/z/{project}?line={line}&path={path}#L{line}",
            "https://git.example?{project}/{path}#{path}",
            "vscode://file/.{path}.{project}",
        ] {
            let any = link(&project, None, url);
            let response = answer_by(&[any], None, &query(&project, &filename, &line));
            let Some(location) = location(&response) else { continue };
            let path = filename.strip_prefix('/').unwrap_or(&filename);
            let (base, segments, has_query, has_fragment) = shape(location);
            let own = shape(url);
            prop_assert_eq!((base, has_query, has_fragment), (own.0, own.2, own.3), "{}", location);
            let depth = own.1.len() + if own.1.iter().any(|s| s.contains("{path}")) { path.matches('/').count() } else { 0 };
            prop_assert_eq!(segments.len(), depth, "{}", location);
            prop_assert!(!segments.iter().any(|segment| matches!(*segment, "." | "..")), "{}", location);
            prop_assert!(location.bytes().all(|c| c.is_ascii_graphic() && c != b'\\'), "{}", location);
        }
    }

    #[test]
    fn whatever_the_query_it_is_answered_with_a_page(query in r"(projectSlug|filename|lineNo|[=&%a-z./\\]|\PC){0,40}") {
        let response = answer_by(&[link("backend", None, GITHUB)], None, &query);
        prop_assert!(matches!(response.status().as_u16(), 302 | 400 | 404));
    }
}
