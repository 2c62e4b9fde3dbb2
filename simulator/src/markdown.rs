//! What GitHub and GitLab find in Markdown. It rather finds too much than too little.

/// Mentions (`@ada`), references (`#12`, `!12`, `GH-12`, `~label`) and quick actions (`/close`) of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) mentions: Vec<String>,
    pub(crate) references: Vec<String>,
    pub(crate) commands: Vec<String>,
}

pub(crate) fn found_in(text: &str) -> Found {
    let mut found = Found::default();
    let mut fence: Option<(char, usize)> = None;
    // As old versions of GitLab see code: up to the next line that is a short fence.
    let mut is_code_of_old = false;
    for line in text.split('\n') {
        let was_code_of_old = is_code_of_old;
        is_code_of_old = if is_code_of_old { line != "```" } else { line.starts_with("```") };
        let begins = fence_of(line);
        let is_code = match (fence, begins) {
            (Some((of, length)), Some((c, run, rest))) if c == of && run >= length && rest.trim().is_empty() => {
                fence = None;
                true
            }
            (Some(_), _) => true,
            (None, Some((c, run, rest))) if c == '~' || !rest.contains('`') => {
                fence = Some((c, run));
                true
            }
            (None, _) => false,
        };
        let is_command = line.trim_start().strip_prefix('/').is_some_and(|rest| rest.starts_with(char::is_alphabetic));
        if is_command && !(is_code && was_code_of_old) {
            found.commands.push(line.trim().to_owned());
        }
        if !is_code {
            in_line(line, &mut found);
        }
    }
    found
}

/// The mark, the length and the rest of a line that begins or ends a fence.
fn fence_of(line: &str) -> Option<(char, usize, &str)> {
    let unindented = line.trim_start_matches(' ');
    let mark = unindented.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let rest = unindented.trim_start_matches(mark);
    let run = unindented.len() - rest.len();
    (line.len() - unindented.len() < 4 && run >= 3).then_some((mark, run, rest))
}

fn in_line(line: &str, found: &mut Found) {
    // Entities are characters before mentions are looked for.
    let line = line.replace("&#64;", "@").replace("&#x40;", "@").replace("&commat;", "@").replace("&num;", "#");
    for (at, c) in line.char_indices() {
        let is_within_word = line[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        let behind = &line[at + c.len_utf8()..];
        let named: String =
            behind.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.')).collect();
        let is_numbered = named.starts_with(|c: char| c.is_ascii_digit());
        match c {
            '@' if !is_within_word && !named.is_empty() => found.mentions.push(named),
            '#' | '!' if is_numbered && !line[..at].ends_with('/') && !is_in_address(&line, at) => {
                found.references.push(format!("{c}{named}"));
            }
            '~' if !is_within_word && !named.is_empty() => found.references.push(format!("~{named}")),
            '-' if is_numbered && line[..at].ends_with("GH") => found.references.push(format!("GH-{named}")),
            _ => {}
        }
    }
}

/// Between `<https://` and `>`.
fn is_in_address(line: &str, at: usize) -> bool {
    line[..at].rsplit_once('<').is_some_and(|(_, inner)| inner.starts_with("http") && !inner.contains(['>', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_references_and_commands_are_found_unless_in_a_fence() {
        let found = |text: &str| {
            let Found { mentions, references, commands } = found_in(text);
            [mentions, references, commands].concat().join(" ")
        };
        let cases = [
            ("hello @ada and @acme/team", "ada acme/team"),
            (r"\@ada &#64;bob", "ada bob"),
            ("mail a@b.test @\u{200b}ada", ""),
            ("see #12 !13 GH-14 ~bug", "#12 !13 GH-14 ~bug"),
            ("<https://a.test/b#12>", ""),
            ("/close", "/close"),
            ("```\n@ada #1\n/close\n```", ""),
            ("````\n```\n@ada\n```\n````\n@bob", "bob"),
            ("````\n```\n/close\n````", "/close"),
            ("```\nx\n```\n@ada", "ada"),
            ("~~~\n@ada\n~~~", ""),
            ("``` `\n@ada", "ada"),
        ];
        for (text, expected) in cases {
            assert_eq!(found(text), expected, "{text}");
        }
    }
}
