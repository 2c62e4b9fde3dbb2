//! What makes two events the same one, although their bodies differ.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Event;
use crate::ids::hex;

/// The fields of `data.issue` that move by themselves. A published app's retry of an `issue.*` event may be serialized
/// anew, with newer counters and another signature.
const MOVING: [&str; 4] = ["count", "userCount", "numComments", "lastSeen"];

/// SHA-256 in hex of the body with its keys in order; for resource `issue` without counters and times.
pub fn content_digest(event: &Event) -> String {
    let mut text = String::new();
    if event.resource.as_str() == "issue" {
        let mut body = event.raw.clone();
        if let Some(issue) = body.pointer_mut("/data/issue").and_then(Value::as_object_mut) {
            issue.retain(|key, _| !MOVING.contains(&key.as_str()));
        }
        canonical(&body, &mut text);
    } else {
        canonical(&event.raw, &mut text);
    }
    hex(&Sha256::digest(text))
}

/// Sorted by hand: whether `serde_json`'s own map is sorted depends on a feature that any crate of the build may switch.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (key, member) in members {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(member, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(members) => {
            out.push('[');
            for member in members {
                canonical(member, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}
