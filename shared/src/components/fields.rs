//! The forms that Sentry draws for us: their fields, once for the schema and for what the answers are checked by.

/// One field of a form.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    pub label: &'static str,
    pub input: Input,
    pub required: bool,
    /// Longest value, in characters.
    pub max_chars: usize,
}

#[derive(Debug, Clone, Copy)]
pub enum Input {
    /// `default`: `issue.title`.
    Text { default: Option<&'static str> },
    /// `default`: `issue.description`.
    TextArea { default: Option<&'static str> },
    /// Choices of `/components/options/{options}`. `as_one_types`: asked again with each letter; else once, on opening.
    Select { options: &'static str, as_one_types: bool, depends_on: &'static [&'static str] },
}

/// `alert-rule-action`: `POST /components/alert-rule-action`.
pub static ALERT_RULE: &[Field] = &[
    Field {
        name: "destination",
        label: "Send to",
        input: Input::Select { options: "destinations", as_one_types: false, depends_on: &[] },
        required: true,
        max_chars: 64,
    },
    Field { name: "note", label: "Note", input: Input::TextArea { default: None }, required: false, max_chars: 1000 },
    Field {
        name: "mention",
        label: "Mention",
        input: Input::Select { options: "mentions", as_one_types: true, depends_on: &["destination"] },
        required: false,
        max_chars: 200,
    },
    Field {
        name: "priority",
        label: "Priority",
        input: Input::Select { options: "priorities", as_one_types: false, depends_on: &[] },
        required: false,
        max_chars: 10,
    },
];

/// `issue-link`, create: `POST /components/issue-link/create`.
pub static CREATE: &[Field] = &[
    PROJECT,
    Field {
        name: "title",
        label: "Title",
        input: Input::Text { default: Some("issue.title") },
        required: true,
        max_chars: 20_000,
    },
    Field {
        name: "description",
        label: "Description",
        input: Input::TextArea { default: Some("issue.description") },
        required: false,
        max_chars: 200_000,
    },
    Field {
        name: "label",
        label: "Label",
        input: Input::Select { options: "labels", as_one_types: true, depends_on: &["project"] },
        required: false,
        max_chars: 300,
    },
    Field {
        name: "assignee",
        label: "Assignee",
        input: Input::Select { options: "assignees", as_one_types: true, depends_on: &["project"] },
        required: false,
        max_chars: 300,
    },
];

/// `issue-link`, link: `POST /components/issue-link/link`.
pub static LINK: &[Field] = &[
    PROJECT,
    Field {
        name: "ticket",
        label: "Ticket",
        input: Input::Select { options: "tickets", as_one_types: true, depends_on: &["project"] },
        required: true,
        max_chars: 300,
    },
];

/// `{tracker}/{project}`: one select for both, since names of trackers have no slash.
const PROJECT: Field = Field {
    name: "project",
    label: "Project",
    input: Input::Select { options: "projects", as_one_types: true, depends_on: &[] },
    required: true,
    max_chars: 400,
};

/// Whether a field that lists these must be filled in.
pub(super) fn must_be_picked(list: &str) -> bool {
    let lists = |field: &&Field| matches!(field.input, Input::Select { options, .. } if options == list);
    [ALERT_RULE, CREATE, LINK].into_iter().flatten().filter(lists).any(|field| field.required)
}
