//! Text that Mattermost shows as it is.
//!
//! Backslashes and entities switch markup off, but not mentions: `\@channel` and `&#64;channel` wake everybody. So an
//! `@`, and whatever else makes a link of the word behind it, is parted from that word by a zero-width space.

/// Shown as nothing, and no part of a word.
const PARTING: char = '\u{200b}';

/// Nothing in it mentions anybody or links anywhere; markup stays markup. For what is shown as it is.
pub(super) fn parted(text: &str) -> String {
    let mut parted = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        parted.push(c);
        if links(c, &text[..at], &text[at + c.len_utf8()..]) {
            parted.push(PARTING);
        }
    }
    parted
}

/// [`parted`], and nothing in it is Markdown, HTML or Slack's markup.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    let mut begins_line = true;
    for (at, c) in text.char_indices() {
        let rest = &text[at + c.len_utf8()..];
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // TeX.
            '$' => escaped.push_str("&#36;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '|' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // A list, a rule, or a heading's underline.
            '-' | '+' if begins_line => {
                escaped.push('\\');
                escaped.push(c);
            }
            '=' if begins_line => {
                escaped.push(PARTING);
                escaped.push(c);
            }
            // `1.` and `1)` begin a list.
            '.' | ')' if is_number_of_line(&text[..at]) => {
                escaped.push('\\');
                escaped.push(c);
            }
            // Four of them would make code of the line, two at its end a break.
            ' ' if begins_line || rest.starts_with('\n') => escaped.push('\u{a0}'),
            c => escaped.push(c),
        }
        if links(c, &text[..at], rest) {
            escaped.push(PARTING);
        }
        begins_line = c == '\n' || (begins_line && c == ' ');
    }
    escaped
}

/// Whether `c` would make a mention, a link or a picture of what follows: `@name`, `#tag`, `~channel`, `:emoji:`, `:-)`,
/// `http://…`, `www.…`, `<!here>`.
fn links(c: char, before: &str, rest: &str) -> bool {
    let next = rest.chars().next();
    match c {
        '@' | '＠' | '#' | '~' => next.is_some_and(|next| !next.is_whitespace()),
        ':' => next == Some('/') || names_emoji(rest) || begins_face(before, next),
        ';' => begins_face(before, next),
        '<' => next == Some('!'),
        '.' => ends_in_word_www(before),
        _ => false,
    }
}

fn names_emoji(rest: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
    let behind = rest.trim_start_matches(name);
    behind.len() < rest.len() && behind.starts_with(':')
}

fn begins_face(before: &str, next: Option<char>) -> bool {
    let stands_alone = !before.ends_with(|c: char| c.is_alphanumeric() || c == ':');
    stands_alone && next.is_some_and(|next| !next.is_whitespace())
}

fn ends_in_word_www(before: &str) -> bool {
    let before = before.as_bytes();
    let Some((word, www)) = before.split_last_chunk::<3>() else { return false };
    www.eq_ignore_ascii_case(b"www") && !word.last().is_some_and(u8::is_ascii_alphanumeric)
}

fn is_number_of_line(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
    !line.is_empty() && line.len() <= 9 && line.bytes().all(|byte| byte.is_ascii_digit())
}
