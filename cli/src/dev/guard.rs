//! Whose requests the page answers: those of this machine's own browser, for the page itself.

use std::net::IpAddr;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses with 403 what a foreign site could have sent: a name that it points at this machine (DNS rebinding), or a
/// form on its own page (CSRF).
pub(super) async fn own_requests_only(request: Request, next: Next) -> Response {
    match refusal(request.method(), request.headers()) {
        Some(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
        None => next.run(request).await,
    }
}

fn refusal(method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(header::HOST).filter(|host| is_loopback(host)) else {
        return Some("this page answers only to localhost and loopback addresses");
    };
    if method.is_safe() {
        return None;
    }
    // A client that is no browser sends neither; a browser sends at least one of them with every form.
    let foreign_site = headers.contains_key(SEC_FETCH_SITE) && text(SEC_FETCH_SITE) != Some("same-origin");
    let foreign_origin =
        headers.contains_key(header::ORIGIN) && text(header::ORIGIN) != Some(format!("http://{host}").as_str());
    (foreign_site || foreign_origin).then_some("buttons work only from this page itself")
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Header = (&'static str, &'static str);

    fn is_refused(method: &Method, headers: &[Header]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, http::HeaderValue::from_static(value));
        }
        refusal(method, &map).is_some()
    }

    #[test]
    fn only_loopback_names_are_answered() {
        let cases = [
            ("127.0.0.1:8787", false),
            ("127.8.9.1", false),
            ("localhost:8787", false),
            ("LocalHost", false),
            ("[::1]:8787", false),
            ("rebound.example:8787", true),
            ("localhost.example", true),
            ("127.0.0.1.example:8787", true),
            ("127.0.0.1@evil.example", true),
            ("192.168.1.4:8787", true),
            ("0.0.0.0:8787", true),
            ("", true),
        ];
        for (host, refused) in cases {
            assert_eq!(is_refused(&Method::GET, &[("host", host)]), refused, "{host}");
        }
        assert!(is_refused(&Method::GET, &[]), "no host");
    }

    #[test]
    fn a_foreign_page_cannot_press_a_button() {
        const HOST: Header = ("host", "127.0.0.1:8787");
        let cases: Vec<(&str, &[Header], bool)> = vec![
            ("no browser", &[HOST], false),
            ("our page", &[HOST, ("origin", "http://127.0.0.1:8787"), ("sec-fetch-site", "same-origin")], false),
            ("our page in an old browser", &[HOST, ("origin", "http://127.0.0.1:8787")], false),
            ("another site", &[HOST, ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")], true),
            ("another port", &[HOST, ("origin", "http://127.0.0.1:3000"), ("sec-fetch-site", "same-site")], true),
            ("a sandboxed page", &[HOST, ("origin", "null")], true),
            ("only the site is told", &[HOST, ("sec-fetch-site", "cross-site")], true),
            ("typed into the address bar", &[HOST, ("sec-fetch-site", "none")], true),
        ];
        for (name, headers, refused) in cases {
            assert_eq!(is_refused(&Method::POST, headers), refused, "{name}");
        }
        assert!(!is_refused(&Method::GET, &[HOST, ("sec-fetch-site", "cross-site")]), "a link may lead here");
    }
}
