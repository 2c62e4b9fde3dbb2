//! The pages that a browser gets from us.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};

/// A page without scripts, that no cache keeps and that tells no other site where the browser was: its address may hold
/// a grant code.
pub(crate) fn page(status: StatusCode, title: &str, text: &str) -> Response<String> {
    with_example(status, title, text, "")
}

/// [`page`] with an `example` below its text, shown as it is; none, if it is empty.
pub(crate) fn with_example(status: StatusCode, title: &str, text: &str, example: &str) -> Response<String> {
    let (title, text) = (escape(title), escape(text));
    let example = if example.is_empty() { String::new() } else { format!("<pre>{}</pre>\n", escape(example)) };
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em}}pre{{overflow:auto}}</style>\n\
         <h1>{title}</h1>\n<p>{text}</p>\n{example}</html>\n"
    );
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_no_scripts_and_escapes_what_it_shows() {
        let response = with_example(StatusCode::OK, "<script>", "a & 'b'", "url = \"<b>\"");
        assert!(response.body().contains("&lt;script&gt;") && response.body().contains("a &amp; &#39;b&#39;"));
        assert!(response.body().contains("<pre>url = &quot;&lt;b&gt;&quot;</pre>"));
        assert!(!page(StatusCode::OK, "a", "b").body().contains("<pre>"));
        assert_eq!(response.headers()[REFERRER_POLICY], "no-referrer");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert!(response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'"));
    }
}
