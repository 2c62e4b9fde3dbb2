//! The names that can be meant: Sentry's events and levels, and which of our own is near a mistyped one.

/// Every event of Sentry's documentation and source, as it comes on the wire.
pub(super) const EVENTS: &[&str] = &[
    "activity_alert.triggered",
    "comment.created",
    "comment.deleted",
    "comment.updated",
    "error.created",
    "event_alert.triggered",
    "installation.created",
    "installation.deleted",
    "issue.assigned",
    "issue.created",
    "issue.ignored",
    "issue.resolved",
    "issue.unresolved",
    "metric_alert.critical",
    "metric_alert.open",
    "metric_alert.resolved",
    "metric_alert.warning",
    "preprod_artifact.build_distribution_completed",
    "preprod_artifact.size_analysis_completed",
    "seer.coding_completed",
    "seer.coding_started",
    "seer.iteration_completed",
    "seer.iteration_started",
    "seer.pr_created",
    "seer.pr_ready_for_review",
    "seer.root_cause_completed",
    "seer.root_cause_started",
    "seer.solution_completed",
    "seer.solution_started",
];

/// The documentation's name, and the name on the wire.
pub(super) const ARCHIVED: (&str, &str) = ("issue.archived", "issue.ignored");

/// The levels of an issue or event, as Sentry stores them.
pub(super) const LEVELS: &[&str] = &["fatal", "error", "warning", "info", "debug", "sample"];

/// Resources whose events never have a level; they are about no event and no error.
pub(super) const WITHOUT_LEVEL: &[&str] = &["comment", "installation", "metric_alert", "preprod_artifact", "seer"];

/// The only resources whose events have an environment.
pub(super) const WITH_ENVIRONMENT: &[&str] = &["error", "event_alert"];

/// The candidate that was likely meant: the nearest by edits, at most a third of the name and never more than two.
pub(super) fn likely<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = name.chars().count().div_ceil(3).min(2);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b` and `c` ``.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        Some(only) => only,
        None => "nothing".to_owned(),
    }
}

/// The part of an event's name before the first dot that an action follows.
pub(super) fn resource(event: &str) -> &str {
    event.split_once('.').map_or(event, |(resource, _)| resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_another_word_is_not() {
        assert_eq!(likely("issue.creatd", EVENTS.iter().copied()), Some("issue.created"));
        assert_eq!(likely("Error", LEVELS.iter().copied()), Some("error"));
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
