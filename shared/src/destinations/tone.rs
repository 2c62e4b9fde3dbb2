//! How a tone looks in a chat. Colours alone would say nothing to some, so there is a symbol too.

use crate::message::Tone;

pub(super) const fn symbol(tone: Tone) -> &'static str {
    match tone {
        Tone::Fatal => "🔥",
        Tone::Error => "🔴",
        Tone::Warning => "🟠",
        Tone::Info => "🔵",
        Tone::Resolved => "✅",
        Tone::Muted => "💤",
    }
}

/// `#rrggbb`
pub(super) const fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Fatal => "#8f1d2c",
        Tone::Error => "#e03e2f",
        Tone::Warning => "#f2a33a",
        Tone::Info => "#3b6ecc",
        Tone::Resolved => "#2e9d62",
        Tone::Muted => "#8a8f98",
    }
}
