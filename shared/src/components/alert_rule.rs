//! `alert-rule-action`: somebody saves an alert rule. The choice is checked and nothing kept: it comes back with each
//! alert of the rule.

use serde_json::{Value, json};

use super::answers::Refusal;
use super::fields::ALERT_RULE;
use super::form::Form;
use super::request::Sent;
use super::{Asker, Components};
use crate::alert_rule::Priority;
use crate::names;
use crate::ports::Platform;
use crate::routing::{Destination, Routes};

/// Words of [`Priority`], in its order.
pub(super) const PRIORITIES: [&str; 4] = ["low", "normal", "high", "urgent"];

impl<P: Platform> Components<P> {
    pub(super) async fn alert_rule_action(&self, sent: &Sent, asker: &Asker) -> Result<Value, Refusal> {
        let form = Form::read(ALERT_RULE, sent)?;
        let in_force = self.in_force().await?;
        let destination = offered_destination(&in_force.routes, asker, form.required("destination")?)?;
        if let Some(mention) = form.get("mention")
            && !destination.mentions.iter().any(|own| own == mention)
        {
            return Err(Refusal::bad(format!(
                "Mention (`mention`) is nobody whom `{}` can mention: pick one from the list, or leave it empty.",
                destination.name
            )));
        }
        if let Some(priority) = form.get("priority")
            && serde_json::from_value::<Priority>(priority.into()).is_err()
        {
            return Err(Refusal::bad(format!("Priority (`priority`) is none of {}.", names::listed(PRIORITIES))));
        }
        Ok(json!({}))
    }
}

/// The destination, if it is offered; else the same refusal as for one that does not exist.
pub(super) fn offered_destination<'r>(
    routes: &'r Routes,
    asker: &Asker,
    name: &str,
) -> Result<&'r Destination, Refusal> {
    let found = name.parse().ok().and_then(|name| routes.destination(&name));
    found.filter(|destination| asker.is_offered(destination.organizations.as_deref())).ok_or_else(|| {
        Refusal::bad("Send to (`destination`) is no destination that is offered: pick one from the list.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_priorities() {
        let all = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];
        assert_eq!(all.map(|priority| serde_json::to_value(priority).unwrap()), PRIORITIES.map(Value::from));
    }
}
