//! The filters and tests, and how a template is rendered within its bounds.

use std::borrow::Cow;
use std::io;
use std::sync::LazyLock;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::destinations::{cut, one_line};

/// One is a step of the machine, or 64 bytes that are read or made. A message of the usual size takes some hundreds;
/// all of it is used up within a few milliseconds.
const FUEL: u64 = 100_000;
/// More than any destination shows. The limit holds for what a filter makes as well.
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// Names of filters with the number of arguments that each takes, from and to.
pub(super) const FILTERS: &[(&str, usize, usize)] = &[
    ("capitalize", 0, 0),
    ("default", 1, 1),
    ("first_line", 0, 0),
    ("items", 0, 0),
    ("join", 1, 1),
    ("length", 0, 0),
    ("lower", 0, 0),
    ("replace", 2, 2),
    ("trim", 0, 0),
    ("truncate", 1, 1),
    ("upper", 0, 0),
];

/// The same for tests: what may stand after `is`.
pub(super) const TESTS: &[(&str, usize, usize)] =
    &[("defined", 0, 0), ("undefined", 0, 0), ("startingwith", 1, 1), ("endingwith", 1, 1)];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_debug(false);
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.add_filter("capitalize", |text: &Value| {
        let text = said(text)?;
        let mut chars = text.chars();
        let first = chars.next().into_iter().flat_map(char::to_uppercase);
        bounded(first.chain(chars.flat_map(char::to_lowercase)))
    });
    environment.add_filter("default", |value: Value, instead: Value| if is_nothing(&value) { instead } else { value });
    environment.add_filter("first_line", |text: &Value| -> Result<String, Error> {
        let text = said(text)?;
        Ok(text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned())
    });
    environment.add_filter("items", |map: &Value| -> Result<Value, Error> {
        if is_nothing(map) {
            return Ok(Value::from(Vec::<Value>::new()));
        }
        if map.kind() != ValueKind::Map {
            return Err(refused("`items` takes a map, such as `tags`"));
        }
        let names = map.try_iter()?;
        let pairs: Result<Vec<Value>, Error> =
            names.map(|name| Ok(Value::from(vec![name.clone(), map.get_item(&name)?]))).collect();
        pairs.map(Value::from)
    });
    environment.add_filter("join", |list: &Value, between: &Value| -> Result<String, Error> {
        if is_nothing(list) {
            return Ok(String::new());
        }
        let between = said(between)?;
        let mut joined = String::new();
        for (index, member) in list.try_iter()?.enumerate() {
            let member = said(&member)?;
            let between = if index == 0 { "" } else { &between };
            if joined.len() + between.len() + member.len() > MAX_OUTPUT_BYTES {
                return Err(too_long());
            }
            joined.push_str(between);
            joined.push_str(&member);
        }
        Ok(joined)
    });
    environment.add_filter("length", |value: &Value| {
        value.as_str().map_or_else(|| value.len().unwrap_or_default(), |text| text.chars().count())
    });
    environment.add_filter("lower", |text: &Value| bounded(said(text)?.chars().flat_map(char::to_lowercase)));
    environment.add_filter("replace", |text: &Value, old: &Value, new: &Value| {
        let (text, old, new) = (said(text)?, said(old)?, said(new)?);
        if old.is_empty() {
            return Err(refused("`replace` takes the text to be replaced first, which cannot be empty"));
        }
        let mut parts = text.split(old.as_ref());
        let first = parts.next().into_iter().flat_map(str::chars);
        bounded(first.chain(parts.flat_map(|part| new.chars().chain(part.chars()))))
    });
    environment.add_filter("trim", |text: &Value| said(text).map(|text| text.trim().to_owned()));
    environment.add_filter("truncate", |text: &Value, max: usize| said(text).map(|text| cut(&text, max)));
    environment.add_filter("upper", |text: &Value| bounded(said(text)?.chars().flat_map(char::to_uppercase)));
    environment.add_test("defined", |value: &Value| !is_nothing(value));
    environment.add_test("undefined", |value: &Value| is_nothing(value));
    environment.add_test("startingwith", |text: &Value, with: &Value| -> Result<bool, Error> {
        Ok(said(text)?.starts_with(said(with)?.as_ref()))
    });
    environment.add_test("endingwith", |text: &Value, with: &Value| -> Result<bool, Error> {
        Ok(said(text)?.ends_with(said(with)?.as_ref()))
    });
    environment
});

/// The rendered text, or why there is none, in a few words without the event's own.
pub(super) fn render(source: &str, context: &Value) -> Result<String, String> {
    let mut output = Output(Vec::new());
    let template = ENVIRONMENT.template_from_str(source).map_err(|error| told(&error))?;
    match template.render_captured_to(context.clone(), &mut output) {
        Ok(_) => Ok(String::from_utf8_lossy(&output.0).into_owned()),
        Err(_) if output.0.len() >= MAX_OUTPUT_BYTES => Err(told(&too_long())),
        Err(error) => Err(told(&error)),
    }
}

fn told(error: &Error) -> String {
    match error.kind() {
        ErrorKind::OutOfFuel => "it does too much".to_owned(),
        kind => one_line(error.detail().unwrap_or(&kind.to_string()), 200),
    }
}

/// Takes so much and then no more.
struct Output(Vec<u8>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = MAX_OUTPUT_BYTES - self.0.len();
        self.0.extend_from_slice(&bytes[..bytes.len().min(left)]);
        if bytes.len() > left { Err(io::ErrorKind::WriteZero.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn bounded(chars: impl Iterator<Item = char>) -> Result<String, Error> {
    let mut text = String::new();
    for c in chars {
        if text.len() + c.len_utf8() > MAX_OUTPUT_BYTES {
            return Err(too_long());
        }
        text.push(c);
    }
    Ok(text)
}

fn is_nothing(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

/// The text that a filter works on; a number is the text it prints as. Neither lists nor anything long, so that a
/// filter costs what the fuel says.
fn said(value: &Value) -> Result<Cow<'_, str>, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(Cow::Borrowed("")),
        ValueKind::Bool | ValueKind::Number => Ok(Cow::Owned(value.to_string())),
        _ => match value.as_str() {
            Some(text) if text.len() > MAX_OUTPUT_BYTES => Err(too_long()),
            Some(text) => Ok(Cow::Borrowed(text)),
            None => Err(refused("a filter for text was given something else")),
        },
    }
}

fn too_long() -> Error {
    refused("it makes more than 64 kB of text")
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}
