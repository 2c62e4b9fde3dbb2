//! Text into HTML.

use std::fmt::{Display, Formatter, Result, Write};

/// Shows as the text itself, in an element or in a quoted attribute.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> Result {
        for c in text.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A table, or a sentence where there is nothing to show yet.
pub(super) fn table<R: Display>(columns: &[&str], rows: impl IntoIterator<Item = R>, empty: &str) -> String {
    let rows = joined(rows.into_iter().map(|row| format!("<tr>{row}</tr>\n")));
    if rows.is_empty() {
        return format!("<p class=quiet>{}</p>\n", Text(empty));
    }
    let head = joined(columns.iter().map(|column| format!("<th>{}", Text(column))));
    format!("<div class=scroll><table>\n<tr>{head}</tr>\n{rows}</table></div>\n")
}

pub(super) fn joined(pieces: impl Iterator<Item = String>) -> String {
    pieces.collect()
}

/// A form that is one button.
pub(super) fn button(action: &str, label: &str, field: Option<(&str, &str)>) -> String {
    choice(action, label, field.as_slice())
}

/// A form that is one button, with as many fields as it takes.
pub(super) fn choice(action: &str, label: &str, fields: &[(&str, &str)]) -> String {
    let fields = joined(
        fields
            .iter()
            .map(|(name, value)| format!("<input type=hidden name=\"{}\" value=\"{}\">", Text(name), Text(value))),
    );
    format!("<form method=post action=\"{}\">{fields}<button>{}</button></form>", Text(action), Text(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(Text("<b a=\"x\" c='y'>&amp;").to_string(), "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;amp;");
        assert_eq!(Text("Zoë & Søn").to_string(), "Zoë &amp; Søn");
        let button = button("/x", "\"><script>", Some(("id", "'\"><script>")));
        assert!(!button.contains("<script"), "{button}");
    }
}
