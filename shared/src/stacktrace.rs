//! `[[stacktrace_link]]`: from a stack frame to the line at the code host, or into an editor.
//!
//! Sentry's page has a link to `/components/stacktrace-link`, which the user's browser opens: nothing of its query is
//! signed, and anybody can make such a link. So scheme and host of where it leads are the file's alone, and what the
//! query fills in stays in its place: it is percent-encoded, and no part of it climbs out of the address's path.

use http::header::LOCATION;
use http::uri::Authority;
use http::{HeaderValue, Response, StatusCode};

use crate::names;
use crate::page::{page, with_example};
use crate::routing::{ProjectPattern, Routes, is_offered_to};

/// Where a link may lead: code hosts, and editors that open a file of the user's own disk. Not `javascript`, `data` or
/// `file`, which would be the page's or the disk's own.
const SCHEMES: [&str; 11] = [
    "https",
    "http",
    "vscode",
    "vscode-insiders",
    "vscodium",
    "cursor",
    "windsurf",
    "zed",
    "idea",
    "pycharm",
    "jetbrains",
];
/// Longer queries are nobody's stack frame.
const MAX_QUERY_BYTES: usize = 8 * 1024;
/// A file name becomes three times as long where all of it is encoded; gateways pass headers of some 10 kB.
const MAX_FILENAME_BYTES: usize = 2 * 1024;
const PLACEHOLDERS: [&str; 3] = ["path", "line", "project"];

/// One rule.
#[derive(Debug, Clone)]
pub struct StacktraceLink {
    project: ProjectPattern,
    path_prefix: Option<Box<str>>,
    /// The address in parts.
    url: Vec<Part>,
    /// Slugs of the organizations whose people it leads; all where the key is absent.
    pub organizations: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Fixed(Box<str>),
    Path,
    Line,
    Project,
}

/// What the query says of the frame.
struct Frame {
    project: String,
    filename: String,
    line: u32,
}

impl StacktraceLink {
    /// One `[[stacktrace_link]]` table. `project` is made from what the compiler reads for the key of that name, as it
    /// reads a key of `when`: `ProjectPattern::new(self.pattern(value, Takes { key: "project", json: false, stars:
    /// false }, &mut compared))`. `path_prefix` is the text of its key, not empty. `url` is the template.
    ///
    /// # Errors
    ///
    /// What is wrong with the template, for a mistake at the value of `url`.
    pub fn parse(project: ProjectPattern, path_prefix: Option<&str>, url: &str) -> Result<Self, String> {
        let url = template(url)?;
        Ok(Self { project, path_prefix: path_prefix.map(Into::into), url, organizations: None })
    }

    /// What of the file's name is left for `{path}`, if the rule is for this frame.
    fn path<'f>(&self, frame: &'f Frame) -> Option<&'f str> {
        if !self.project.matches(&frame.project) {
            return None;
        }
        let path = frame.filename.strip_prefix(self.path_prefix.as_deref().unwrap_or_default())?;
        // An absolute name, or a prefix without its slash: the template has the slash.
        Some(path.strip_prefix('/').unwrap_or(path))
    }

    fn location(&self, frame: &Frame, path: &str) -> String {
        let mut location = String::new();
        for part in &self.url {
            match part {
                Part::Fixed(text) => location.push_str(text),
                Part::Path => encode(path, &mut location),
                Part::Line => location.push_str(&frame.line.to_string()),
                Part::Project => encode(&frame.project, &mut location),
            }
        }
        location
    }
}

/// Answers the browser. `query` is the raw query string: `projectSlug` and `filename`, and `lineNo`, which is 1 where
/// it is absent, empty or 0. `installationId` is the caller's to look at; `organization` is that of its installation,
/// whose people see no rule that is for others.
pub fn answer(routes: &Routes, organization: Option<&str>, query: &str) -> Response<String> {
    answer_by(routes.stacktrace_links(), organization, query)
}

fn answer_by(links: &[StacktraceLink], organization: Option<&str>, query: &str) -> Response<String> {
    let refused = |text: &str| page(StatusCode::BAD_REQUEST, "This is not a link to a stack frame", text);
    let frame = match read(query) {
        Ok(frame) => frame,
        Err(text) => return refused(&text),
    };
    let mut links = links.iter().filter(|link| is_offered_to(link.organizations.as_deref(), organization, false));
    let Some((link, path)) = links.find_map(|link| Some((link, link.path(&frame)?))) else {
        return no_rule(&frame);
    };
    if let Err(text) = check_path(path) {
        return refused(&text);
    }
    let Ok(location) = HeaderValue::try_from(link.location(&frame, path)) else {
        return refused("The address it leads to is none.");
    };
    let mut response = page(StatusCode::FOUND, "To the source", "The line of the source opens.");
    response.headers_mut().insert(LOCATION, location);
    response
}

fn no_rule(frame: &Frame) -> Response<String> {
    // What JSON escapes, TOML knows; DEL is the one character more that TOML wants escaped.
    let quoted = |text: &str| serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f");
    let prefix = directory(&frame.filename).map(|prefix| format!("path_prefix = {}\n", quoted(prefix)));
    let example = format!(
        "[[stacktrace_link]]\nproject = {}\n{}url = \"https://github.com/OWNER/REPOSITORY/blob/main/{{path}}#L{{line}}\"",
        quoted(&frame.project),
        prefix.unwrap_or_default(),
    );
    let text = format!(
        "No [[stacktrace_link]] of the routes file is for the file {} of the project {}. Whoever runs this integration \
         can add one. {{path}} is the file's name without path_prefix, which may be left out:",
        frame.filename, frame.project,
    );
    with_example(StatusCode::NOT_FOUND, "Nobody has said where this source is", &text, &example)
}

/// The first directory of a file's name, with what stands before it: `app/`, `/srv/`, `app:///`.
fn directory(filename: &str) -> Option<&str> {
    let slash_behind = |from: usize| Some(from + filename.get(from..)?.find('/')?);
    let first = slash_behind(filename.len() - filename.trim_start_matches('/').len())?;
    let rest = filename.get(first..)?.trim_start_matches('/');
    filename.get(..filename.len() - rest.len())
}

/// What the query says, or what is wrong with it, for people.
fn read(query: &str) -> Result<Frame, String> {
    if query.len() > MAX_QUERY_BYTES {
        return Err("The address is too long.".to_owned());
    }
    let parameters: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let optional = |name: &str| {
        let mut values = parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(format!("The address has more than one `{name}`.")),
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
        }
    };
    let one = |name: &str| optional(name)?.ok_or_else(|| format!("The address lacks `{name}`."));
    let project = one("projectSlug")?;
    let is_slug = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if project.len() > 100 || !project.bytes().all(is_slug) || project.bytes().all(|c| c == b'.') {
        return Err("The address has a `projectSlug` that is not one.".to_owned());
    }
    let filename = one("filename")?;
    if filename.len() > MAX_FILENAME_BYTES {
        return Err("The address has a `filename` that is too long.".to_owned());
    }
    let line = match optional("lineNo")? {
        None => 1,
        Some(line) if line.bytes().all(|c| c.is_ascii_digit()) => {
            line.parse::<u32>().map_err(|_| "The address has a `lineNo` that no file has.".to_owned())?.max(1)
        }
        Some(_) => return Err("The address has a `lineNo` that is not a number.".to_owned()),
    };
    Ok(Frame { project: project.to_owned(), filename: filename.to_owned(), line })
}

/// Nothing that could climb: browsers take a backslash for a slash, and a dot segment for a step up.
fn check_path(path: &str) -> Result<(), String> {
    let refused = |what: &str| Err(format!("The name of the file has {what}, so no link is made of it."));
    if path.chars().any(char::is_control) {
        return refused("a control character");
    }
    if path.contains('\\') {
        return refused("a backslash");
    }
    for segment in path.split('/') {
        match segment {
            "" => return refused("an empty part between two slashes: a `path_prefix` can cut it off"),
            "." | ".." => return refused("a part that is `.` or `..`: a `path_prefix` can cut it off"),
            _ => {}
        }
    }
    Ok(())
}

/// All but what has no meaning in a path, a query and a fragment alike, and the slash, which parts a path and means
/// nothing in the others.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => into.push(byte.into()),
            _ => {
                const DIGITS: [char; 16] =
                    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
                into.extend(['%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
        }
    }
}

fn template(url: &str) -> Result<Vec<Part>, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(format!("`{url}` is no address: it begins with `https://`"));
    };
    if !SCHEMES.contains(&scheme) {
        let is_open = scheme.contains(['{', '}']);
        let closed = || format!("a link cannot lead to `{scheme}://`; the schemes are {}", names::listed(SCHEMES));
        let open = "no placeholder may stand in the scheme: whoever makes a link could choose it";
        return Err(if is_open { open.to_owned() } else { closed() });
    }
    let (host, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if host.contains(['{', '}']) {
        return Err("no placeholder may stand in the host: whoever makes a link could choose it".to_owned());
    }
    if host.contains('@') {
        return Err("an address with a name or password in it: everybody who follows a link would see it".to_owned());
    }
    if host.parse::<Authority>().is_err() {
        return Err(format!("`{host}` is no host"));
    }
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("its path has a part that is `.` or `..`".to_owned());
    }
    if let Some(c) = rest.chars().find(|c| !c.is_ascii_graphic() || r#"\"<>^`|"#.contains(*c)) {
        return Err(format!("{c:?} must be percent-encoded in an address"));
    }
    let parts = parts(&url[..url.len() - rest.len()], rest)?;
    if !parts.contains(&Part::Path) {
        return Err("it has no `{path}`: every frame would lead to the same place".to_owned());
    }
    Ok(parts)
}

fn parts(fixed: &str, mut rest: &str) -> Result<Vec<Part>, String> {
    let mut fixed = fixed.to_owned();
    let mut parts = Vec::new();
    while let Some(at) = rest.find(['{', '}']) {
        let (before, behind) = rest.split_at(at);
        fixed.push_str(before);
        let (name, behind) = match behind.strip_prefix('{').map(|behind| behind.split_once('}')) {
            Some(Some(placeholder)) => placeholder,
            Some(None) => return Err("a `{` without its `}`".to_owned()),
            None => return Err("a `}` without its `{`".to_owned()),
        };
        let part = match name {
            "path" => Part::Path,
            "line" => Part::Line,
            "project" => Part::Project,
            other => {
                return Err(format!("unknown placeholder `{{{other}}}`; there are {}", names::listed(PLACEHOLDERS)));
            }
        };
        parts.extend([Part::Fixed(std::mem::take(&mut fixed).into()), part]);
        rest = behind;
    }
    fixed.push_str(rest);
    parts.push(Part::Fixed(fixed.into()));
    Ok(parts)
}

#[cfg(test)]
mod tests;
