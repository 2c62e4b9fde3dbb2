//! `[[stacktrace_link]]`.

use super::*;
use crate::stacktrace;

const URL: &str = "url = \"https://github.com/acme/x/blob/main/{path}#L{line}\"\n";

fn with(lines: &str) -> Result<Routes, Vec<Mistake>> {
    Routes::compile(&format!("[[stacktrace_link]]\n{lines}\n"))
}

fn leads_to(routes: &Routes, project: &str, file: &str) -> Option<String> {
    leads_people_of(routes, None, project, file)
}

fn leads_people_of(routes: &Routes, organization: Option<&str>, project: &str, file: &str) -> Option<String> {
    let answer = stacktrace::answer(routes, organization, &format!("projectSlug={project}&filename={file}&lineNo=7"));
    answer.headers().get("location").map(|location| location.to_str().unwrap().to_owned())
}

#[test]
fn the_first_rule_in_the_file_that_fits_is_taken() {
    let routes = Routes::compile(
        r#"
[[stacktrace_link]]
project = ["backend", { prefix = "backend-" }]
path_prefix = "app/"
url = "https://github.com/acme/backend/blob/main/{path}#L{line}"

[[stacktrace_link]]
project = { exists = true }
url = "vscode://file/src/{project}/{path}:{line}"
"#,
    )
    .unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)));
    for (project, file, expected) in [
        ("backend", "app/a.py", "https://github.com/acme/backend/blob/main/a.py#L7"),
        ("backend-eu", "app/a.py", "https://github.com/acme/backend/blob/main/a.py#L7"),
        ("backend", "lib/a.py", "vscode://file/src/backend/lib/a.py:7"),
        ("web", "app/a.ts", "vscode://file/src/web/app/a.ts:7"),
    ] {
        assert_eq!(leads_to(&routes, project, file).as_deref(), Some(expected), "{project} {file}");
    }
    let acmes = with(&format!("project = \"backend\"\n{URL}organizations = [\"acme\"]")).unwrap();
    assert!(leads_people_of(&acmes, Some("acme"), "backend", "a.ts").is_some());
    assert_eq!(leads_people_of(&acmes, Some("other"), "backend", "a.ts"), None);
    let one = with(&format!("project = {{ not = \"web\" }}\n{URL}")).unwrap();
    assert_eq!(leads_to(&one, "web", "a.ts"), None);
    assert!(leads_to(&one, "backend", "a.ts").is_some());
}

#[test]
fn a_mistake_is_told_at_its_place_with_what_to_do() {
    let backend = "project = \"backend\"\n";
    for (lines, at, expected) in [
        (URL, "1:1", "a stack-trace link has no `project`"),
        (backend, "1:1", "a stack-trace link has no `url`"),
        (&*format!("{backend}{URL}path_prefx = \"a\""), "4:1", "did you mean `path_prefix`?"),
        (
            &format!("{backend}{URL}name = \"a\""),
            "4:1",
            "`[[stacktrace_link]]` takes `project`, `path_prefix`, `url` and `organizations`",
        ),
        (&format!("{backend}{URL}organizations = \"acme\""), "4:17", "`organizations` is a list of texts"),
        (&format!("{backend}{URL}organizations = [\" \"]"), "4:17", "a text of `organizations` is empty"),
        (&format!("{backend}{URL}path_prefix = \"\""), "4:15", "`path_prefix` is empty"),
        (&format!("{backend}{URL}path_prefix = 5"), "4:15", "`path_prefix` is text, not a number"),
        (&format!("{backend}url = \"javascript://x/{{path}}\""), "3:7", "a link cannot lead to `javascript://`"),
        (&format!("{backend}url = \"https://x/{{file}}\""), "3:7", "unknown placeholder `{file}`"),
        (&format!("project = 5\n{URL}"), "2:11", "`project` is text, which a number never matches"),
        (&format!("project = []\n{URL}"), "2:11", "an empty list matches nothing"),
        (&format!("project = {{ prefx = \"a\" }}\n{URL}"), "2:13", "did you mean `prefix`?"),
        (&format!("project = {{ exists = false }}\n{URL}"), "2:11", "never matches"),
        (&format!("project.prefix = \"a\"\n{URL}"), "2:1", "an operator stands in braces"),
    ] {
        let told = shown(&with(lines).expect_err(lines));
        assert!(told.starts_with(&format!("routes.toml:{at}: ")) && told.contains(expected), "{lines}\n{told}");
        assert_eq!(told.matches("routes.toml").count(), 1, "{lines}\n{told}");
    }
    let told = mistakes("[[stacktrace_lnk]]\nurl = \"x\"\n");
    assert!(told.contains("did you mean `stacktrace_link`?"), "{told}");
    let told = mistakes("[stacktrace_link]\nurl = \"x\"\n");
    assert!(told.contains("each begins with `[[stacktrace_link]]`"), "{told}");
}

#[test]
fn all_mistakes_of_a_rule_are_told_at_once() {
    let told = mistakes("[[stacktrace_link]]\npath_prefix = \"\"\nurl = \"ftp://x/{path}\"\n");
    assert_eq!(told.matches("routes.toml:").count(), 3, "{told}");
}
