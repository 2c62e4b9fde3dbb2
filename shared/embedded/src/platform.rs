//! All ports together.

use shared::ports::{Chance, Clock, EventBus, Outgoing, Platform, Secrets};

use crate::{SqliteDeliveries, SqliteInstallations, SqliteQueue, SqliteSettings, Store};

/// The store with what is around it: everything that `dev` and `serve` run on.
pub struct EmbeddedPlatform<C, H, O, S, B> {
    pub store: Store<C>,
    pub clock: C,
    pub chance: H,
    pub outgoing: O,
    pub secrets: S,
    pub bus: B,
}

impl<C: Clock + Clone, H: Chance, O: Outgoing, S: Secrets, B: EventBus> Platform for EmbeddedPlatform<C, H, O, S, B> {
    type Installations = SqliteInstallations;
    type Deliveries = SqliteDeliveries;
    type Settings = SqliteSettings;
    type Queue = SqliteQueue<C>;
    type Secrets = S;
    type Clock = C;
    type Chance = H;
    type Outgoing = O;
    type Bus = B;

    fn installations(&self) -> &Self::Installations {
        self.store.installations()
    }

    fn deliveries(&self) -> &Self::Deliveries {
        self.store.deliveries()
    }

    fn settings(&self) -> &Self::Settings {
        self.store.settings()
    }

    fn events(&self) -> &Self::Queue {
        self.store.events()
    }

    fn outbox(&self) -> &Self::Queue {
        self.store.outbox()
    }

    fn secrets(&self) -> &Self::Secrets {
        &self.secrets
    }

    fn clock(&self) -> &Self::Clock {
        &self.clock
    }

    fn chance(&self) -> &Self::Chance {
        &self.chance
    }

    fn outgoing(&self) -> &Self::Outgoing {
        &self.outgoing
    }

    fn bus(&self) -> &Self::Bus {
        &self.bus
    }
}
