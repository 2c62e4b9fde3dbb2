//! JSON that Sentry can send and a strict parser refuses.
//!
//! Python's serializer writes half a surrogate pair as an escape, a number can be beyond 64 bits, raw bytes need not be
//! UTF-8, and nesting has no bound. None of it is worth losing an event for.

use std::borrow::Cow;

use serde_json::Value;

/// Containers deeper than this become null: under the parser's own limit of 128.
const MAX_DEPTH: usize = 100;

/// The body as JSON, mended where it must be. `None` if even that does not help.
pub(super) fn value(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).or_else(|_| serde_json::from_str(&mended(&String::from_utf8_lossy(body)))).ok()
}

/// Expects well-formed brackets and strings, as the envelope's check has found them.
fn mended(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = match c {
            '"' => string_len(rest),
            '-' | '0'..='9' => {
                rest.find(|c| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len())
            }
            _ => c.len_utf8(),
        };
        let piece = &rest[..len];
        rest = &rest[len..];
        if matches!(c, '[' | '{') {
            depth += 1;
            if depth == MAX_DEPTH + 1 {
                out.push_str("null");
            }
        }
        if depth <= MAX_DEPTH {
            match c {
                '"' => out.push_str(&paired(piece)),
                '-' | '0'..='9' if piece.parse::<f64>().is_ok_and(f64::is_infinite) => out.push_str("null"),
                _ => out.push_str(piece),
            }
        }
        if matches!(c, ']' | '}') {
            depth = depth.saturating_sub(1);
        }
    }
    out
}

/// Length in bytes of the string that `text` begins with, both quotes included.
fn string_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// A string token with U+FFFD in the place of each lone surrogate's escape.
fn paired(token: &str) -> Cow<'_, str> {
    if !token.contains("\\u") {
        return Cow::Borrowed(token);
    }
    let mut out = String::with_capacity(token.len());
    let mut rest = token;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let len = match (escaped_unit(rest), rest.get(6..).and_then(escaped_unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                out.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            (Some(_), _) => 6,
            // A backslash and what it escapes, so that `\\u` is not taken for an escape of its own.
            (None, _) => rest.chars().take(2).map(char::len_utf8).sum(),
        };
        out.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The UTF-16 unit of a `\uXXXX` at the beginning.
fn escaped_unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_strict_parser_refuses_is_mended_and_the_rest_stays() {
        for (body, expected) in [
            (&br#"{"a":"x\ud83dy","b":1}"#[..], json!({"a": "x\u{fffd}y", "b": 1})),
            (br#"{"a":"\ude00","b":1}"#, json!({"a": "\u{fffd}", "b": 1})),
            (br#"{"a":"\ud83d\ud83d\ude00"}"#, json!({"a": "\u{fffd}\u{1f600}"})),
            (br#"{"a":"\\ud83d\ud83d\""}"#, json!({"a": "\\ud83d\u{fffd}\""})),
            (br#"{"a":1e999,"b":[-1E+999,2.5]}"#, json!({"a": null, "b": [null, 2.5]})),
            (b"{\"a\":\"x\xff\",\"b\":1}", json!({"a": "x\u{fffd}", "b": 1})),
            (br#"{"\ud83d":1}"#, json!({"\u{fffd}": 1})),
        ] {
            assert_eq!(value(body), Some(expected), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn what_is_too_deep_becomes_null_and_its_neighbours_stay() {
        let deep = format!(r#"{{"a":{}{},"b":"]"}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let mended = value(deep.as_bytes()).expect("mended");
        assert_eq!(mended["b"], "]");
        assert!(mended["a"].is_array());
    }

    proptest::proptest! {
        #[test]
        fn mending_never_panics(text in ".{0,200}", json in r#"[\[\]{}",:\\u0-9a-fdDeE.+-]{0,200}"#) {
            mended(&text);
            mended(&json);
        }
    }
}
