//! The part of GraphQL that is understood: one operation, fields with arguments, variables; neither aliases nor
//! fragments.

use serde_json::{Map, Value, json};

use super::Refusal;

pub(super) struct Operation {
    pub(super) is_mutation: bool,
    pub(super) fields: Vec<Field>,
}

pub(super) struct Field {
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) selected: Vec<Field>,
}

impl Operation {
    pub(super) fn read(query: &str, variables: &Value) -> Result<Self, Refusal> {
        let tokens = tokens(query);
        let mut reader = Reader { tokens: &tokens, variables, declared: Vec::new() };
        let is_mutation = match reader.next() {
            "query" => false,
            "mutation" => true,
            other => return Err(Refusal::of_query(format!("Syntax Error: Unexpected \"{other}\"."))),
        };
        if reader.peek() == "(" {
            reader.declarations()?;
        }
        let fields = reader.selection()?;
        match reader.peek() {
            "" => Ok(Self { is_mutation, fields }),
            other => Err(Refusal::of_query(format!("Syntax Error: Unexpected \"{other}\"."))),
        }
    }
}

impl Field {
    /// What of `value` is selected. A list is a connection: its `filter` and `first` apply.
    pub(super) fn select(&self, value: &Value) -> Result<Value, Refusal> {
        match value {
            Value::Array(list) => {
                let [nodes] = &*self.selected else {
                    return Err(Refusal::of_query(format!("Field \"{}\" must have a selection of nodes.", self.name)));
                };
                let mut found = Vec::new();
                for entry in list {
                    if matches(entry, self.arguments.get("filter").unwrap_or(&json!({})))? {
                        found.push(nodes.select(entry)?);
                    }
                }
                let first = self.arguments.get("first").and_then(Value::as_u64).unwrap_or(50);
                found.truncate(usize::try_from(first).unwrap_or(usize::MAX));
                Ok(json!({"nodes": found}))
            }
            Value::Object(_) if self.selected.is_empty() => {
                Err(Refusal::of_query(format!("Field \"{}\" must have a selection of subfields.", self.name)))
            }
            Value::Object(members) => {
                let mut shown = Map::new();
                for field in &self.selected {
                    let unknown = || Refusal::of_query(format!("Cannot query field \"{}\".", field.name));
                    shown.insert(field.name.clone(), field.select(members.get(&field.name).ok_or_else(unknown)?)?);
                }
                Ok(Value::Object(shown))
            }
            scalar => Ok(scalar.clone()),
        }
    }
}

/// Whether an entity is one that the filter takes.
fn matches(entity: &Value, filter: &Value) -> Result<bool, Refusal> {
    let Value::Object(filter) = filter else { return Ok(true) };
    for (name, wanted) in filter {
        let text = || entity.as_str().unwrap_or_default();
        let lower = || (text().to_lowercase(), wanted.as_str().unwrap_or_default().to_lowercase());
        let each = || wanted.as_array().map_or(&[][..], Vec::as_slice).iter();
        let fits = match &**name {
            "and" | "or" => {
                let all = each().map(|filter| matches(entity, filter)).collect::<Result<Vec<_>, _>>()?;
                if name == "and" { all.into_iter().all(|fits| fits) } else { all.into_iter().any(|fits| fits) }
            }
            "null" => entity.is_null() == (*wanted == json!(true)),
            "eq" => entity == wanted,
            "in" => each().any(|one| one == entity),
            "contains" => text().contains(wanted.as_str().unwrap_or_default()),
            "containsIgnoreCase" => lower().0.contains(&lower().1),
            member => match entity {
                Value::Null => false,
                Value::Object(members) => {
                    let unknown =
                        || Refusal::of_query(format!("Field \"{member}\" is not defined by the filter's type."));
                    matches(members.get(member).ok_or_else(unknown)?, wanted)?
                }
                _ => {
                    return Err(Refusal::of_query(format!(
                        "Field \"{member}\" is not defined by the comparator's type."
                    )));
                }
            },
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

fn tokens(query: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut is_word = false;
    for c in query.chars() {
        let goes_on = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(last) if is_word && goes_on => last.push(c),
            _ if c.is_whitespace() || c == ',' => {}
            _ => tokens.push(c.to_string()),
        }
        is_word = goes_on || c == '$';
    }
    tokens
}

struct Reader<'a> {
    tokens: &'a [String],
    variables: &'a Value,
    declared: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> &'a str {
        self.tokens.first().map_or("", String::as_str)
    }

    fn next(&mut self) -> &'a str {
        let next = self.peek();
        self.tokens = self.tokens.get(1..).unwrap_or_default();
        next
    }

    fn expect(&mut self, wanted: &str) -> Result<(), Refusal> {
        let found = self.next();
        let error = || Refusal::of_query(format!("Syntax Error: Expected \"{wanted}\", found \"{found}\"."));
        if found == wanted { Ok(()) } else { Err(error()) }
    }

    /// `($input: IssueCreateInput!, …)`
    fn declarations(&mut self) -> Result<(), Refusal> {
        self.expect("(")?;
        while self.peek() != ")" {
            let name = self.next();
            self.expect(":")?;
            let kind = self.next();
            let is_needed = self.peek() == "!";
            if is_needed {
                self.next();
            }
            let given = name.strip_prefix('$').map(|name| &self.variables[name]);
            if given.is_none_or(|given| is_needed && given.is_null()) || kind.is_empty() {
                let text = format!("Variable \"{name}\" of required type \"{kind}!\" was not provided.");
                return Err(Refusal(400, "BAD_USER_INPUT", text));
            }
            self.declared.push(name);
        }
        self.expect(")")
    }

    fn selection(&mut self) -> Result<Vec<Field>, Refusal> {
        self.expect("{")?;
        let mut fields = Vec::new();
        while self.peek() != "}" {
            let name = self.next();
            if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return Err(Refusal::of_query(format!("Syntax Error: Expected Name, found \"{name}\".")));
            }
            let arguments = if self.peek() == "(" { self.arguments()? } else { Map::new() };
            let selected = if self.peek() == "{" { self.selection()? } else { Vec::new() };
            fields.push(Field { name: name.to_owned(), arguments, selected });
        }
        self.expect("}")?;
        Ok(fields)
    }

    /// Variables, numbers and words; a text is taken by no field that is asked for here.
    fn arguments(&mut self) -> Result<Map<String, Value>, Refusal> {
        self.expect("(")?;
        let mut arguments = Map::new();
        while self.peek() != ")" {
            let name = self.next();
            self.expect(":")?;
            let value = match self.next() {
                variable if variable.starts_with('$') => {
                    if !self.declared.contains(&variable) {
                        return Err(Refusal::of_query(format!("Variable \"{variable}\" is not defined.")));
                    }
                    self.variables[&variable[1..]].clone()
                }
                "true" => json!(true),
                "false" => json!(false),
                word => match word.parse::<u64>() {
                    Ok(number) => json!(number),
                    Err(_) if word.bytes().all(|byte| byte.is_ascii_alphabetic()) && !word.is_empty() => json!(word),
                    Err(_) => return Err(Refusal::of_query(format!("Syntax Error: Unexpected \"{word}\"."))),
                },
            };
            arguments.insert(name.to_owned(), value);
        }
        self.expect(")")?;
        Ok(arguments)
    }
}
