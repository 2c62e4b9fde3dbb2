//! A form that was filled in, checked by its table of fields.

use serde_json::Value;

use super::answers::Refusal;
use super::fields::Field;
use super::request::Sent;
use crate::destinations::is_blank;

/// Its values, by name. What the table does not have is left out.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(&'static str, String)>);

impl Form {
    pub(super) fn read(table: &[Field], sent: &Sent) -> Result<Self, Refusal> {
        let mut form = Self::default();
        for field in table {
            let mut values = sent.iter().filter(|(name, _)| name == field.name).map(|(_, value)| value);
            let value = match (values.next(), values.next()) {
                (_, Some(_)) => return Err(bad(field, "is there more than once")),
                (Some(Value::String(text)), None) if !is_blank(text) => text,
                (Some(Value::String(_) | Value::Null) | None, None) if field.required => {
                    return Err(bad(field, "is missing: fill it in"));
                }
                (Some(Value::String(_) | Value::Null) | None, None) => continue,
                (Some(_), None) => return Err(bad(field, "is not a text")),
            };
            if value.chars().count() > field.max_chars {
                return Err(bad(field, &format!("is longer than {} characters", field.max_chars)));
            }
            form.0.push((field.name, value.clone()));
        }
        Ok(form)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }

    /// A field that its table requires.
    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::bad(format!("`{name}` is missing: fill it in.")))
    }
}

fn bad(field: &Field, problem: &str) -> Refusal {
    Refusal::bad(format!("{} (`{}`) {problem}.", field.label, field.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::components::fields::{ALERT_RULE, CREATE, LINK};

    #[test]
    fn each_field_is_checked_by_its_table() {
        for (form, table) in [("alert rule", ALERT_RULE), ("create", CREATE), ("link", LINK)] {
            let full: Sent = table.iter().map(|field| (field.name.to_owned(), json!("x"))).collect();
            assert!(Form::read(table, &full).is_ok(), "{form}");
            for (at, field) in table.iter().enumerate() {
                let with = |value: Value| {
                    let mut sent = full.clone();
                    sent[at].1 = value;
                    Form::read(table, &sent).map_err(|error| error.to_string())
                };
                let refuses = |value: Value, problem: &str| {
                    let error = with(value.clone()).expect_err(problem);
                    let name = format!("`{}`", field.name);
                    assert!(error.contains(&name) && error.contains(problem), "{form}, {value}: {error}");
                };
                for empty in [json!(""), json!(" \u{200b}\n"), Value::Null] {
                    if field.required {
                        refuses(empty, "is missing");
                    } else {
                        assert_eq!(with(empty).expect("it is optional").get(field.name), None, "{form}");
                    }
                }
                for other in [json!(1), json!(true), json!(["x"]), json!({ "x": "x" })] {
                    refuses(other, "is not a text");
                }
                assert!(with(json!("ü".repeat(field.max_chars))).is_ok(), "{form}: {}", field.name);
                refuses(json!("ü".repeat(field.max_chars + 1)), "is longer than");
                let twice: Sent = full.iter().chain([&full[at]]).cloned().collect();
                assert!(Form::read(table, &twice).expect_err("twice").to_string().contains("more than once"));
            }
        }
    }
}
