//! `[[stacktrace_link]]`: from a stack frame to the line at the code host, or into an editor.

/// One rule.
#[derive(Debug, Clone)]
pub struct StacktraceLink {
    // Its fields are this module's own.
}
