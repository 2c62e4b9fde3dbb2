//! What the addresses in a payload say. The body is signed and its addresses with it, so an organization read from them
//! is as good as a look-up.

/// Organization and project by slug, from an address of Sentry's API:
/// `/api/0/projects/{org}/{project}/…`, `/api/0/organizations/{org}/…`. Ids in the place of slugs are left out.
pub(super) fn of_api(url: &str) -> (Option<&str>, Option<&str>) {
    let Some((_, behind)) = path(url).and_then(|path| path.split_once("/api/0/")) else { return (None, None) };
    let mut segments = behind.split('/');
    match segments.next() {
        Some("projects") => (segments.next().filter(|s| is_slug(s)), segments.next().filter(|s| is_slug(s))),
        Some("organizations") => (segments.next().filter(|s| is_slug(s)), None),
        _ => (None, None),
    }
}

/// The organization from the address of a page: `/organizations/{org}/…`. Addresses by host (`{org}.sentry.io`) do not
/// count: regions and self-hosted names look the same.
pub(super) fn of_page(url: &str) -> Option<&str> {
    path(url)?.strip_prefix("/organizations/")?.split('/').next().filter(|s| is_slug(s))
}

/// A page that a browser opens and that fits into a message as it is.
pub(super) fn is_page(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

/// Slugs are letters, digits, `-` and `_`, and never digits alone: those are ids.
pub(super) fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !text.bytes().all(|b| b.is_ascii_digit())
}

fn path(url: &str) -> Option<&str> {
    if !is_page(url) {
        return None;
    }
    let behind_scheme = url.split_once("://")?.1;
    let path = &behind_scheme[behind_scheme.find('/')?..];
    path.split(['?', '#']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_read_from_api_addresses_and_ids_are_not() {
        for (url, expected) in [
            ("http://127.0.0.1:29010/api/0/projects/acme/backend/events/34c6/", (Some("acme"), Some("backend"))),
            ("https://sentry.io/api/0/organizations/acme/issues/7/", (Some("acme"), None)),
            ("https://a.test/sentry/api/0/organizations/acme/issues/7/?a=/b", (Some("acme"), None)),
            ("https://a.test/api/0/issues/7/", (None, None)),
            ("https://a.test/api/0/projects/1/2/events/3/", (None, None)),
            ("https://a.test/?x=/api/0/organizations/acme/", (None, None)),
            ("https://a.test/api/0/organizations/a%2fb/issues/7/", (None, None)),
            ("ftp://a.test/api/0/organizations/acme/", (None, None)),
            ("/api/0/organizations/acme/", (None, None)),
            ("", (None, None)),
        ] {
            assert_eq!(of_api(url), expected, "{url}");
        }
    }

    #[test]
    fn a_page_names_its_organization_in_the_path_only() {
        assert_eq!(of_page("http://127.0.0.1:29010/organizations/acme/alerts/rules/details/2/?alert=1"), Some("acme"));
        assert_eq!(of_page("https://acme.sentry.io/issues/7/"), None);
        assert_eq!(of_page("https://a.test/organizations/../x/"), None);
    }

    #[test]
    fn a_page_is_http_with_a_host() {
        assert!(is_page("https://a.test/x?y=1") && is_page("HTTP://127.0.0.1:9000/"));
        for bad in ["javascript:alert(1)", "data:text/html,x", "https://", "//a.test/", "https://a.test/ x", "ftp://a/"]
        {
            assert!(!is_page(bad), "{bad}");
        }
    }
}
