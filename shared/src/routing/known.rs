//! The names that can be meant: Sentry's events and levels.

/// Every event of Sentry's documentation and source, as it comes on the wire, and the bundle's own.
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
    // The bundle's own.
    "switchboard.destination_paused",
    "switchboard.destination_resumed",
    "switchboard.ticket_opened",
];

/// How the bundle's own events begin.
pub(super) const OWN: &str = "switchboard.";

/// The documentation's name, and the name on the wire.
pub(super) const ARCHIVED: (&str, &str) = ("issue.archived", "issue.ignored");

/// The levels of an issue or event, as Sentry stores them.
pub(super) const LEVELS: &[&str] = &["fatal", "error", "warning", "info", "debug", "sample"];

/// The part of an event's name before the first dot that an action follows.
pub(super) fn resource(event: &str) -> &str {
    event.split_once('.').map_or(event, |(resource, _)| resource)
}
