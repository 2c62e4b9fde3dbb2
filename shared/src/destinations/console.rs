//! `console`: one log line, title and link. Nothing leaves the house, so nothing can fail.

use super::kind::{Action, Kind};
use super::text::one_line;

pub(super) static KIND: Kind = Kind::new("console", |_, notification| {
    let (event, message) = (notification.event, notification.message);
    let mut line = format!("{}: {}", event.event, one_line(&message.title, 200));
    if event.look_up_failed {
        line = format!("{line} {}", crate::message::NOT_LOOKED_UP);
    }
    if let Some(link) = &message.link {
        line = format!("{line} {link}");
    }
    Ok(Action::Log(line))
});
