//! Sentry's forms for the app's components: the alert rule's, and those of an issue's sidebar. They are drawn from the
//! schema; `forms.js` fills their selects and sends them.

use serde_json::Value;

use super::html::{Text, joined};

pub(super) const SCRIPT: &str = include_str!("forms.js");

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--quiet:#888;--good:#1a7f37;--bad:#cf222e;--accent:#6a4fc4}
body{font:15px/1.45 system-ui,sans-serif;max-width:46rem;margin:0 auto;padding:1rem 1.2rem 4rem}
h1{font-size:1.3rem;margin:.3rem 0}h2{font-size:1.05rem;margin:1.8rem 0 .4rem}
.quiet{color:var(--quiet)}.good{color:var(--good)}.bad{color:var(--bad)}
form.component{border:1px solid var(--line);border-radius:.6rem;padding:.3rem .9rem .8rem}
form.component label{display:block;margin:.6rem 0}form.component label>span{display:block;color:var(--quiet)}
input,select,textarea,button{font:inherit;padding:.25rem .5rem;box-sizing:border-box;max-width:100%}
input:not([type=search]),textarea,select{width:100%}textarea{min-height:6rem}input[type=search]{width:14rem;margin-bottom:.2rem}
button{cursor:pointer}ol.answers{padding-left:1.4rem}td,th{text-align:left;padding:.2rem .9rem .2rem 0}.mono{font-family:ui-monospace,monospace}
";

/// What Sentry fills into `issue.title` and `issue.description`.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) title: String,
    pub(super) description: String,
}

/// A page of the simulated Sentry. `nonce` is what the policy of the answer names for its one script.
pub(super) fn page(title: &str, content: &str, nonce: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport content=\"width=device-width\">\n\
         <title>{0} – Sentry (simulated)</title>\n<style>{STYLE}</style>\n<p><a href=\"/\">switchboard dev</a></p>\n\
         <h1>{0}</h1>\n{content}<script nonce=\"{1}\">{SCRIPT}</script>\n</html>\n",
        Text(title),
        Text(nonce),
    )
}

/// A form of the schema: `uri`, `required_fields`, `optional_fields`. `before` is what Sentry asks for itself; `project`
/// is the slug that Sentry knows where it draws the form.
pub(super) fn form(
    id: &str,
    action: &str,
    submit: &str,
    project: &str,
    before: &str,
    form: &Value,
    filled: &Filled,
) -> String {
    let fields = |list: &str, required: bool| {
        let list = form[list].as_array().map(Vec::as_slice).unwrap_or_default();
        joined(list.iter().map(|given| field(given, required, filled)))
    };
    format!(
        "<form class=component id=\"{}\" method=post action=\"{}\" data-project=\"{}\">\n{before}{}{}<button>{}</button>\n\
         <ol class=answers role=log aria-label=\"What Sentry says\"></ol>\n</form>\n",
        Text(id),
        Text(action),
        Text(project),
        fields("required_fields", true),
        fields("optional_fields", false),
        Text(submit),
    )
}

fn field(field: &Value, required: bool, filled: &Filled) -> String {
    let word = |key: &str| field[key].as_str().unwrap_or_default();
    let (name, needed) = (Text(format!("field:{}", word("name"))).to_string(), if required { " required" } else { "" });
    let value = match word("default") {
        "issue.title" => &filled.title,
        "issue.description" => &filled.description,
        _ => "",
    };
    let input = match word("type") {
        "text" => format!("<input name=\"{name}\" value=\"{}\"{needed}>", Text(value)),
        // The first line break after the tag is not part of the text.
        "textarea" => format!("<textarea name=\"{name}\"{needed}>\n{}</textarea>", Text(value)),
        _ => select(field, &name, needed),
    };
    let star = if required { " *" } else { "" };
    format!("<label><span>{}{star}</span>{input}</label>\n", Text(word("label")))
}

fn select(field: &Value, name: &str, needed: &str) -> String {
    let Some(uri) = field["uri"].as_str() else {
        let options = field["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |value: &Value| Text(value.as_str().unwrap_or_default()).to_string();
        let options = options.iter().map(|o| format!("<option value=\"{}\">{}</option>", text(&o[0]), text(&o[1])));
        return format!("<select name=\"{name}\"{needed}><option value=\"\"></option>{}</select>", joined(options));
    };
    let depends: Vec<&str> = field["depends_on"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let search = if field["async"] == false {
        String::new()
    } else {
        let label = Text(field["label"].as_str().unwrap_or_default());
        format!("<input type=search data-for=\"{name}\" aria-label=\"Search {label}\" placeholder=\"Type to search\">")
    };
    let skip = if field["skip_load_on_open"] == true { " data-skip" } else { "" };
    format!(
        "{search}<select name=\"{name}\" data-uri=\"{}\" data-depends=\"{}\"{skip}{needed}><option value=\"\"></option></select>\
         <output class=bad></output>",
        Text(uri),
        Text(depends.join(" ")),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_has_the_fields_of_the_schema_and_all_text_stays_text() {
        const EVIL: &str = "\"></textarea><script>";
        let schema = json!({
            "required_fields": [
                {"type": "select", "name": "project", "label": EVIL, "uri": "/options/projects"},
                {"type": "text", "name": "title", "label": "Title", "default": "issue.title"},
            ],
            "optional_fields": [
                {"type": "textarea", "name": "text", "label": "Text", "default": "issue.description"},
                {"type": "select", "name": "label", "label": "Label", "uri": EVIL, "depends_on": ["project", "text"],
                 "async": false, "skip_load_on_open": true},
                {"type": "select", "name": "kind", "label": "Kind", "options": [["bug", EVIL]]},
            ],
        });
        let filled = Filled { title: EVIL.to_owned(), description: EVIL.to_owned() };
        let html = page(EVIL, &form(EVIL, EVIL, EVIL, EVIL, "", &schema, &filled), "n0nce");
        assert_eq!(html.matches("<script").count(), 1, "only the page's own: {html}");
        assert_eq!(html.matches("</textarea>").count(), 1, "{html}");
        assert_eq!(html.matches(" required").count(), 2 + SCRIPT.matches(" required").count(), "{html}");
        assert_eq!(html.matches("<input type=search").count(), 1, "only where one asks as one types");
        assert!(html.contains("data-depends=\"project text\" data-skip>"), "{html}");
        assert!(html.contains("<option value=\"bug\">"), "{html}");
    }
}
