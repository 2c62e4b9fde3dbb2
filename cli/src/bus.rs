//! Event buses of AWS beside a local process: there with the feature `aws` and a region in the environment.

use shared::ports::{BusError, BusEvent, EventBus, NoBus};

use crate::dev::stand_ins::StandIns;

pub(crate) enum Bus {
    None(NoBus),
    /// Those of `dev`.
    StandIns(StandIns),
    #[cfg(feature = "aws")]
    Aws(shared_aws::EventBridge),
}

impl Bus {
    pub(crate) const NONE: Self = Self::None(NoBus);

    /// Credentials and addresses are read as every program of AWS reads them. A region must be named: else every start
    /// would ask for one in places that only AWS's own machines have.
    #[cfg(feature = "aws")]
    pub(crate) async fn from_env() -> anyhow::Result<Self> {
        let named = ["AWS_REGION", "AWS_DEFAULT_REGION"].map(crate::start::optional);
        if named.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().all(|region| region.is_none()) {
            return Ok(Self::NONE);
        }
        Ok(Self::Aws(shared_aws::EventBridge::new(&shared_aws::sdk_config().await?)))
    }

    #[cfg(not(feature = "aws"))]
    #[expect(clippy::unused_async, reason = "with the feature it asks")]
    pub(crate) async fn from_env() -> anyhow::Result<Self> {
        Ok(Self::NONE)
    }
}

impl EventBus for Bus {
    fn is_available(&self) -> bool {
        match self {
            Self::None(bus) => bus.is_available(),
            Self::StandIns(_) => true,
            #[cfg(feature = "aws")]
            Self::Aws(bus) => bus.is_available(),
        }
    }

    async fn put(&self, event: BusEvent) -> Result<(), BusError> {
        match self {
            Self::None(bus) => bus.put(event).await,
            Self::StandIns(stand_ins) => stand_ins.put(event).await,
            #[cfg(feature = "aws")]
            Self::Aws(bus) => bus.put(event).await,
        }
    }
}
