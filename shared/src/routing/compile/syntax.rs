//! Mistakes of TOML itself.

use std::borrow::Cow;

use toml_edit::TomlError;
use toml_parser::ParseError;
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};

use super::super::mistake::Mistake;
use super::super::source::Source;

/// As deep as the reader of the document goes.
const MAX_DEPTH: u32 = 80;

/// All mistakes of syntax. `first` is the one at which the reader of the document gave up; the grammar and
/// the values find the others.
pub(super) fn mistakes(text: &str, first: &TomlError, source: &Source<'_>) -> Vec<Mistake> {
    let mut found = vec![source.mistake(first.span(), first.message())];
    let whole = toml_parser::Source::new(text);
    let tokens = whole.lex().into_vec();
    let mut sink = |error: ParseError| {
        let at = error.unexpected().or(error.context()).map(|span| span.start()..span.end());
        found.push(source.mistake(at, error.description()));
    };
    let mut events: Vec<Event> = Vec::new();
    parse_document(&tokens, &mut RecursionGuard::new(&mut events, MAX_DEPTH), &mut sink);
    for event in events {
        let Some(raw) = whole.get(event) else { continue };
        let mut decoded = Cow::Borrowed("");
        match event.kind() {
            EventKind::Scalar => drop(raw.decode_scalar(&mut decoded, &mut sink)),
            EventKind::SimpleKey => raw.decode_key(&mut decoded, &mut sink),
            _ => {}
        }
    }
    found.sort_by_key(|mistake| mistake.line);
    // One slip often breaks the grammar several times on its line.
    found.dedup_by_key(|mistake| mistake.line);
    found
}
