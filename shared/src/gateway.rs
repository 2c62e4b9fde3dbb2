//! What the gateway in front says of a request, as far as it is believed.

use std::time::Duration;

use jiff::Timestamp;

/// A `timeEpoch` further from our clock than this is not believed.
const CREDIBLE: Duration = Duration::from_secs(5);

/// When the gateway got the request (`requestContext.timeEpoch`): `now` where it does not say, or is far off.
pub(crate) fn began(said: Option<Timestamp>, now: Timestamp) -> Timestamp {
    said.filter(|said| now.duration_since(*said).unsigned_abs() < CREDIBLE).unwrap_or(now)
}
