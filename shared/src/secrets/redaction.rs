//! Secrets struck out of text that comes from the far side: as they are, as JSON, forms, addresses and pages write
//! them, and the telling parts of those that are whole addresses.

use std::collections::BTreeSet;

use http::Uri;

/// What is shorter is no secret, and would be found in every other word.
const SHORTEST: usize = 6;
/// Of an address, a single segment of its path or value of its query is as telling as the whole from here on.
const SHORTEST_PART: usize = 12;
const STRUCK_OUT: &str = "[secret]";

pub(super) fn redact<'a>(text: &str, secrets: impl Iterator<Item = &'a str>) -> String {
    let traces: BTreeSet<String> = secrets.flat_map(parts).flat_map(|part| spellings(&part)).collect();
    let mut traces: Vec<String> = traces.into_iter().filter(|trace| trace.len() >= SHORTEST).collect();
    // The whole before its parts.
    traces.sort_by_key(|trace| std::cmp::Reverse(trace.len()));
    traces.iter().fold(text.to_owned(), |text, trace| {
        if text.contains(trace.as_str()) { text.replace(trace.as_str(), STRUCK_OUT) } else { text }
    })
}

/// The secret, and of one that is an address whatever else gives it away.
fn parts(secret: &str) -> Vec<String> {
    let secret = secret.trim();
    let mut parts = vec![secret.to_owned()];
    let Some(address) = secret.parse::<Uri>().ok().filter(|uri| uri.host().is_some() && uri.scheme().is_some()) else {
        return parts;
    };
    let query = address.query().unwrap_or_default();
    parts.extend(address.path_and_query().map(ToString::to_string));
    parts.extend([address.path().to_owned(), query.to_owned()]);
    let values = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value);
    let telling = address.path().split('/').chain(values).filter(|part| part.len() >= SHORTEST_PART);
    parts.extend(telling.map(str::to_owned));
    // What stands encoded in the address is told in plain by whoever has read it.
    let decoded: Vec<String> = parts.iter().filter(|part| part.contains('%')).map(|part| decoded(part)).collect();
    parts.extend(decoded);
    parts
}

/// How a text may be written.
fn spellings(text: &str) -> Vec<String> {
    let json = serde_json::to_string(text).expect("text has a JSON form");
    let json = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned();
    let (upper, lower) = (encoded(text, u8::is_ascii_uppercase), encoded(text, u8::is_ascii_lowercase));
    vec![
        text.to_owned(),
        json.replace('/', "\\/"),
        json,
        text.replace('&', "&amp;"),
        upper.replace("%2F", "/"),
        lower.replace("%2f", "/"),
        upper.replace("%20", "+"),
        lower.replace("%20", "+"),
        upper,
        lower,
    ]
}

/// Percent-encoded, all but letters, digits and `-._~`; with the hex digits that `digits` takes.
fn encoded(text: &str, digits: fn(&u8) -> bool) -> String {
    let hex = if digits(&b'A') { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend([b'%', hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]].map(char::from));
        }
    }
    encoded
}

fn decoded(text: &str) -> String {
    let pairs = serde_urlencoded::from_str::<Vec<(String, String)>>(&format!("x={}", text.replace('&', "%26")));
    pairs.ok().and_then(|pairs| pairs.into_iter().next()).map(|(_, value)| value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_is_struck_out_however_it_is_written() {
        let cases = [
            ("as it is", "hush-hush", "no hush-hush here, hush-hush", "no [secret] here, [secret]"),
            ("what is short is none", "hush", "hush", "hush"),
            ("white space around it", " hush-hush\n", "hush-hush", "[secret]"),
            ("percent-encoded", "a+b/c=d&e", "k=a%2Bb%2Fc%3Dd%26e", "k=[secret]"),
            ("in lower case", "a+b/c=d&e", "k=a%2bb%2fc%3dd%26e", "k=[secret]"),
            ("as a form has it", "hush hush", "k=hush+hush", "k=[secret]"),
            ("as JSON", "hush\"\\hush", r#"{"k":"hush\"\\hush"}"#, r#"{"k":"[secret]"}"#),
            ("as PHP's JSON", "hush/hush", r#"{"k":"hush\/hush"}"#, r#"{"k":"[secret]"}"#),
            ("as a page", "hush&hush", "hush&amp;hush", "[secret]"),
        ];
        for (name, secret, text, expected) in cases {
            assert_eq!(redact(text, [secret].into_iter()), expected, "{name}");
        }
    }

    #[test]
    fn of_an_address_every_telling_part_is_struck_out() {
        let slack = "https://hooks.slack.com/services/T0000000/B0000000/XXXXXXXXXXXXXXXXXXXXXXXX";
        let teams =
            "https://prod.logic.azure.com:443/workflows/0123456789abcdef/run?api-version=1&sig=s3cr%2Bt-s1gnature";
        let cases = [
            ("the whole", slack, format!("POST {slack}"), "POST [secret]"),
            (
                "its path",
                slack,
                "no route for /services/T0000000/B0000000/XXXXXXXXXXXXXXXXXXXXXXXX".into(),
                "no route for [secret]",
            ),
            ("its last part", slack, "unknown token XXXXXXXXXXXXXXXXXXXXXXXX".into(), "unknown token [secret]"),
            ("what everybody knows stays", slack, "hooks.slack.com/services".into(), "hooks.slack.com/services"),
            ("a value of the query", teams, "bad sig s3cr%2Bt-s1gnature".into(), "bad sig [secret]"),
            ("the same in plain", teams, "bad sig s3cr+t-s1gnature".into(), "bad sig [secret]"),
            ("the whole query", teams, "?api-version=1&sig=s3cr%2Bt-s1gnature".into(), "?[secret]"),
            (
                "path and query as a page has them",
                teams,
                "/workflows/0123456789abcdef/run?api-version=1&amp;sig=s3cr%2Bt-s1gnature".into(),
                "[secret]",
            ),
        ];
        for (name, secret, text, expected) in cases {
            assert_eq!(redact(&text, [secret].into_iter()), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_secret_survives(secret in "[ -~ü]{6,40}", around in "[a-z ]{0,20}") {
            let trimmed = secret.trim();
            prop_assume!(trimmed.len() >= SHORTEST && !STRUCK_OUT.contains(trimmed));
            for spelled in spellings(trimmed) {
                let struck_out = redact(&format!("{around}{spelled}{around}"), [secret.as_str()].into_iter());
                prop_assert!(!struck_out.contains(trimmed), "{struck_out}");
            }
        }
    }
}
