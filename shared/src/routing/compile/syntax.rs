//! Mistakes of TOML itself.

use toml_edit::TomlError;
use toml_parser::parser::RecursionGuard;
use toml_parser::{ErrorSink, ParseError};

use super::super::mistake::Mistake;
use super::super::source::Source;

/// As deep as the reader of the document goes.
const MAX_DEPTH: u32 = 80;

/// All mistakes of syntax. `first` is the one at which the reader of the document gave up; the grammar finds the others.
pub(super) fn mistakes(text: &str, first: &TomlError, source: &Source<'_>) -> Vec<Mistake> {
    let mut found = vec![source.mistake(first.span(), first.message())];
    let tokens = toml_parser::Source::new(text).lex().into_vec();
    let mut sink = |error: ParseError| {
        let at = error.unexpected().or(error.context()).map(|span| span.start()..span.end());
        found.push(source.mistake(at, error.description()));
    };
    toml_parser::parser::parse_document(&tokens, &mut RecursionGuard::new(&mut (), MAX_DEPTH), &mut sink as &mut dyn ErrorSink);
    found.sort_by_key(|mistake| mistake.line);
    // One slip often breaks the grammar several times on its line.
    found.dedup_by_key(|mistake| mistake.line);
    found
}
