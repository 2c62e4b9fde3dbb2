//! What stands in an answer's text.

use system_tests::http::Answer;

pub(crate) fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let (head, _) = answer.text.split_once("\r\n\r\n")?;
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value.trim()))
}

pub(crate) fn body(answer: &Answer) -> &str {
    answer.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
