//! Names as people mistype them and read them: the likely meant one, and lists in a sentence.

/// The candidate that was likely meant: the nearest by edits, at most a third of the name and never more than two.
pub fn likely<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = name.chars().count().div_ceil(3).min(2);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b` and `c` ``.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        Some(only) => only,
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_another_word_is_not() {
        assert_eq!(likely("issue.creatd", ["issue.created", "issue.resolved"]), Some("issue.created"));
        assert_eq!(likely("Error", ["fatal", "error"]), Some("error"));
        assert_eq!(likely("issue.deleted", ["issue.created"]), None);
        assert_eq!(likely("x", ["to", "on"]), None);
        assert_eq!(likely("", ["to"]), None);
    }

    #[test]
    fn lists_read_as_sentences_do() {
        assert_eq!(listed([]), "nothing");
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
