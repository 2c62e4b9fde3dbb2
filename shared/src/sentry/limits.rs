//! When to come back, as an answer's headers say it.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// Header of Sentry: seconds since 1970 when the next window begins.
const RESET: &str = "x-sentry-rate-limit-reset";
/// Least wait after a 429: a window's end in the past means that the clocks differ.
const LEAST: Duration = Duration::from_secs(1);
/// Where a 429 names no time. Sentry's windows are seconds to a minute long.
const UNKNOWN: Duration = Duration::from_secs(30);
/// Longest wait believed. A window is never that long; a clock that is off would stop everything for years.
const LONGEST: Duration = Duration::from_hours(1);

/// `Retry-After` of any server: seconds (Discord's may have a fraction) or an HTTP date. `None` if it is absent or
/// neither. Never before `now`.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        let wait = Duration::try_from_secs_f64(text.parse().ok()?).ok()?;
        return now.checked_add(wait).ok();
    }
    DateTimeParser::new().parse_timestamp(text).ok().map(|at| at.max(now))
}

/// When a 429 of Sentry ends: the later of what its two headers say, within reason. A refusal comes before anything
/// was done, so waiting and repeating is always safe.
pub(super) fn refused_until(headers: &HeaderMap, now: Timestamp) -> Timestamp {
    let reset = headers
        .get(RESET)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .and_then(|second| Timestamp::from_second(second).ok());
    let named = retry_after(headers, now).into_iter().chain(reset).max();
    named.unwrap_or_else(|| after(now, UNKNOWN)).clamp(after(now, LEAST), after(now, LONGEST))
}

/// `now` + `wait`, or the end of time.
pub(super) fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    // Sun, 06 Nov 1994 08:49:37 GMT
    const NOW: i64 = 784_111_777;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (value, expected) in [
            ("0", Some(at(NOW))),
            ("30", Some(at(NOW + 30))),
            (" 30 ", Some(at(NOW + 30))),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(at(NOW + 60))),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(at(NOW))),
            ("-5", None),
            ("1e300", None),
            ("99999999999999999999", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(&headers(&[("retry-after", value)]), at(NOW)), expected, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), at(NOW)), None);
        let fraction = retry_after(&headers(&[("retry-after", "1.5")]), at(NOW)).expect("a fraction");
        assert_eq!(fraction.as_millisecond(), NOW * 1000 + 1500);
    }

    #[test]
    fn a_rate_limit_ends_when_its_headers_say_within_reason() {
        let reset = |second: i64| second.to_string();
        for (pairs, expected) in [
            (vec![], NOW + 30),
            (vec![("x-sentry-rate-limit-reset", reset(NOW + 7))], NOW + 7),
            (vec![("x-sentry-rate-limit-reset", reset(NOW - 100))], NOW + 1),
            (vec![("x-sentry-rate-limit-reset", reset(NOW + 9_999_999))], NOW + 3600),
            (vec![("x-sentry-rate-limit-reset", "?".to_owned())], NOW + 30),
            (vec![("retry-after", reset(12))], NOW + 12),
            (vec![("retry-after", reset(12)), ("x-sentry-rate-limit-reset", reset(NOW + 7))], NOW + 12),
        ] {
            let pairs: Vec<(&'static str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(refused_until(&headers(&pairs), at(NOW)), at(expected), "{pairs:?}");
        }
    }
}
