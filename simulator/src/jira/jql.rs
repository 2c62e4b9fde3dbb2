//! The small part of JQL that is understood: conditions joined by `AND`, of which one may be two joined by `OR` in
//! brackets, and an order, which is not looked at.

use super::JiraTicket;

pub(super) struct Search(Vec<Vec<Condition>>);

struct Condition {
    field: String,
    operator: String,
    value: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
}

impl Search {
    /// What is wrong with it, in Jira's words.
    pub(super) fn read(jql: &str, is_project: impl Fn(&str) -> bool) -> Result<Self, String> {
        let tokens = tokens(jql)?;
        let is_word = |token: &Token, word: &str| matches!(token, Token::Word(w) if w.eq_ignore_ascii_case(word));
        let end = tokens.iter().position(|token| is_word(token, "order")).unwrap_or(tokens.len());
        let mut all = Vec::new();
        for part in tokens[..end].split(|token| is_word(token, "and")) {
            let part = match part {
                [first, inner @ .., last] if is_word(first, "(") && is_word(last, ")") => inner,
                bare => bare,
            };
            let mut any = Vec::new();
            for condition in part.split(|token| is_word(token, "or")) {
                let [Token::Word(field), Token::Word(operator), Token::Text(value)] = condition else {
                    return Err(format!("Error in the JQL Query: Expecting operator in {condition:?}."));
                };
                any.push(Condition { field: field.to_lowercase(), operator: operator.clone(), value: value.clone() });
            }
            all.push(any);
        }
        let conditions = || all.iter().flatten();
        if !conditions().any(|condition| condition.field == "project") {
            return Err(
                "Unbounded JQL queries are not allowed here. Please add a search restriction to your query.".into()
            );
        }
        for Condition { field, operator, value } in conditions() {
            let known = match &**field {
                "project" | "labels" => "=",
                "summary" | "description" => "~",
                _ => return Err(format!("Field '{field}' does not exist or you do not have permission to view it.")),
            };
            if operator != known {
                return Err(format!("The operator '{operator}' is not supported by the '{field}' field."));
            }
            if field == "project" && !is_project(value) {
                return Err(format!("The value '{value}' does not exist for the field 'project'."));
            }
            if known == "~" && value.starts_with(['*', '?']) {
                return Err(format!(
                    "The text query '{value}' for field '{field}' is not allowed to start with '{}'.",
                    &value[..1]
                ));
            }
        }
        Ok(Self(all))
    }

    pub(super) fn takes(&self, ticket: &JiraTicket) -> bool {
        self.0.iter().all(|any| any.iter().any(|condition| condition.takes(ticket)))
    }
}

impl Condition {
    fn takes(&self, ticket: &JiraTicket) -> bool {
        match &*self.field {
            "project" => ticket.project.eq_ignore_ascii_case(&self.value),
            "labels" => ticket.labels.contains(&self.value),
            "summary" => holds(&ticket.title, &self.value),
            _ => holds(&ticket.text, &self.value),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// A phrase in quotes, or words of which each is there; one with an asterisk is the beginning of one.
fn holds(text: &str, query: &str) -> bool {
    let have = words(text);
    if let Some(phrase) = query.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        let phrase = words(phrase);
        return !phrase.is_empty() && have.windows(phrase.len()).any(|window| window == phrase);
    }
    query.split_whitespace().all(|word| {
        let (word, is_start) = word.strip_suffix('*').map_or((word, false), |start| (start, true));
        let word = word.to_lowercase();
        have.iter().any(|known| *known == word || (is_start && known.starts_with(&word)))
    })
}

fn tokens(jql: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = jql.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' | ')' | '=' | '~' | ',' => tokens.push(Token::Word(c.to_string())),
            '"' => {
                let mut text = String::new();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\' | '\'')) => text.push(c),
                            _ => return Err("Error in the JQL Query: an illegal JQL escape sequence.".into()),
                        },
                        Some(c) => text.push(c),
                        None => return Err("Error in the JQL Query: The quoted string has not been completed.".into()),
                    }
                }
                tokens.push(Token::Text(text));
            }
            c if c.is_alphanumeric() => {
                let mut word = c.to_string();
                while let Some(next) = chars.next_if(|c| c.is_alphanumeric()) {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
            c => return Err(format!("Error in the JQL Query: The character '{c}' is a reserved JQL character.")),
        }
    }
    Ok(tokens)
}
