//! What is wrong in the file, and where: shown as a compiler does.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Mistake,
    /// The file is taken.
    Warning,
}

/// One mistake or warning. `Display` begins with `LINE:COLUMN`; [`Mistake::in_file`] puts the file's name before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub severity: Severity,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters of the line are meant; at least 1.
    pub width: usize,
    /// The line itself, with what looks like a secret taken out, fit for a terminal and a log.
    pub text: String,
    pub message: String,
    /// What to do: the likely meant name, the possible ones.
    pub help: Option<String>,
}

/// Longer lines are shown in part: a file can be one line of 350 kB.
const SHOWN_CHARS: usize = 120;
/// How much of a long line is shown before the place.
const LEAD_CHARS: usize = 40;

impl Mistake {
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub(super) fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// For people: `FILE:LINE:COLUMN: message`, the line with the place marked, and what to do.
    pub fn in_file(&self, file: &str) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "{file}:{self}"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.severity == Severity::Warning { "warning: " } else { "" };
        writeln!(f, "{}:{}: {kind}{}", self.line, self.column, self.message)?;
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let before = self.column - 1;
        let skipped = if self.text.chars().count() > SHOWN_CHARS { before.saturating_sub(LEAD_CHARS) } else { 0 };
        let shown: String = self.text.chars().skip(skipped).take(SHOWN_CHARS).collect();
        let width = self.width.min(SHOWN_CHARS - (before - skipped).min(SHOWN_CHARS - 1));
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {}", shown.trim_end())?;
        write!(f, "{gutter} | {}{}", " ".repeat(before - skipped), "^".repeat(width))?;
        if let Some(help) = &self.help {
            write!(f, "\n{gutter} = help: {help}")?;
        }
        Ok(())
    }
}
