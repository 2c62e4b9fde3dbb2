//! `console`: one log line, title and link. Nothing leaves the house, so nothing can fail.

use super::kind::{Action, Kind, judge_by_status};

pub(super) static KIND: Kind = Kind {
    name: "console",
    keys: &[],
    render: |_, notification| {
        let mut title = super::text::one_line(notification.event.headline(), 200);
        if notification.event.look_up_failed {
            title = format!("{title} {}", super::text::NOT_LOOKED_UP);
        }
        Ok(Action::Log(match notification.event.link(notification.sentry_base_url) {
            Some(link) => format!("{}: {title} {link}", notification.event.event),
            None => format!("{}: {title}", notification.event.event),
        }))
    },
    judge: |answer, now| judge_by_status(answer, now, String::new),
};
