//! All ports on AWS together.

use shared::ports::{Outgoing, Platform, Secret, SystemChance, SystemClock};

use crate::environment::{self, EnvError, Use};
use crate::{DynamoDeliveries, DynamoInstallations, DynamoSettings, EventBridge, SecretsManager, Sqs, sdk_config};

/// The platform of one function, with those ports that it named at the start. Another one's accessor panics: the
/// function's policy would refuse it anyway, and a list that does not fit the code must not wait for a busy night to
/// show.
#[derive(Debug)]
pub struct Aws<O> {
    installations: Option<DynamoInstallations>,
    deliveries: Option<DynamoDeliveries>,
    settings: Option<DynamoSettings>,
    events: Option<Sqs>,
    outbox: Option<Sqs>,
    secrets: SecretsManager,
    clock: SystemClock,
    chance: SystemChance,
    outgoing: O,
    bus: EventBridge,
}

impl<O: Outgoing> Aws<O> {
    /// Reads the environment for `uses` and connects to nothing yet. The error names the first variable that is not
    /// set.
    pub async fn from_env(uses: &[Use], outgoing: O) -> Result<Self, EnvError> {
        // Names first: they are the likelier mistake, and cost nothing to check.
        for used in uses {
            used.read(&environment::process)?;
        }
        let config = sdk_config().await?;
        let lookup = &environment::process;
        let named = |used: Use| uses.contains(&used).then_some(used);
        let secrets: Vec<Secret> = [Secret::App, Secret::TokenKey, Secret::Destinations]
            .into_iter()
            .filter(|&secret| uses.contains(&secret.into()))
            .collect();
        Ok(Self {
            installations: named(Use::Installations)
                .map(|_| DynamoInstallations::found(&config, lookup))
                .transpose()?,
            deliveries: named(Use::Deliveries).map(|_| DynamoDeliveries::found(&config, lookup)).transpose()?,
            settings: named(Use::Settings).map(|_| DynamoSettings::found(&config, lookup)).transpose()?,
            events: named(Use::Events).map(|queue| Sqs::found(&config, queue, lookup)).transpose()?,
            outbox: named(Use::Outbox).map(|queue| Sqs::found(&config, queue, lookup)).transpose()?,
            secrets: SecretsManager::found(&config, &secrets, lookup)?,
            clock: SystemClock,
            chance: SystemChance,
            outgoing,
            bus: EventBridge::new(&config),
        })
    }
}

fn named<T>(port: Option<&T>, used: Use) -> &T {
    port.unwrap_or_else(|| panic!("{used:?} is used but was not named at the start"))
}

impl<O: Outgoing> Platform for Aws<O> {
    type Installations = DynamoInstallations;
    type Deliveries = DynamoDeliveries;
    type Settings = DynamoSettings;
    type Queue = Sqs;
    type Secrets = SecretsManager;
    type Clock = SystemClock;
    type Chance = SystemChance;
    type Outgoing = O;
    type Bus = EventBridge;

    fn installations(&self) -> &DynamoInstallations {
        named(self.installations.as_ref(), Use::Installations)
    }

    fn deliveries(&self) -> &DynamoDeliveries {
        named(self.deliveries.as_ref(), Use::Deliveries)
    }

    fn settings(&self) -> &DynamoSettings {
        named(self.settings.as_ref(), Use::Settings)
    }

    fn events(&self) -> &Sqs {
        named(self.events.as_ref(), Use::Events)
    }

    fn outbox(&self) -> &Sqs {
        named(self.outbox.as_ref(), Use::Outbox)
    }

    fn secrets(&self) -> &SecretsManager {
        &self.secrets
    }

    fn clock(&self) -> &SystemClock {
        &self.clock
    }

    fn chance(&self) -> &SystemChance {
        &self.chance
    }

    fn outgoing(&self) -> &O {
        &self.outgoing
    }

    fn bus(&self) -> &EventBridge {
        &self.bus
    }
}
