//! Dead letters, sent again because an operator asks for it.
//!
//! Record, delivery id and idempotency key stay. What is new is a message on `deliveries.fifo` that says when it was
//! asked for: with that, `deliver` may claim the record although it failed.

use jiff::{Timestamp, ToSpan as _};

use crate::delivery::Delivery;
use crate::ids::{DeliveryId, DestinationName};
use crate::ports::{Deliveries, DeliveryRecord, DeliveryState, Message, Queue, QueueError, StoreError, Stuck};
use crate::wire;

/// How many dead letters are looked up at once.
const PAGE: usize = 100;

/// Why a delivery is not sent again, and what to do instead where there is something.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is no such delivery, or it was forgotten")]
    Unknown,
    #[error("it was sent already, and what arrived is not sent twice")]
    Sent,
    #[error("it is still on its way{}: wait for it to end", .next_try_at.map(|at| format!(", tried again at {at}")).unwrap_or_default())]
    Queued { next_try_at: Option<Timestamp> },
    #[error("it waits for its destination, which is paused: mend `{destination}`, and it is sent by itself")]
    Parked { destination: DestinationName },
    #[error("its message was not kept{}: trigger it in Sentry again", .why.as_deref().map(|why| format!(" ({why})")).unwrap_or_default())]
    NotKept { why: Option<String> },
    #[error("its message cannot be read by this version")]
    Unreadable,
}

#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// What [`redrive`] did.
#[derive(Debug, Default)]
pub struct Redriven {
    pub sent: usize,
    /// Those that cannot be sent again, each with its reason.
    pub refused: Vec<(DeliveryId, Refused)>,
}

/// The message that sends `record` again; `now` is when it was asked for.
pub fn message(record: &DeliveryRecord, now: Timestamp) -> Result<Message, Refused> {
    match record.state {
        DeliveryState::Failed => {}
        DeliveryState::Sent | DeliveryState::Accepted => return Err(Refused::Sent),
        DeliveryState::Queued => return Err(Refused::Queued { next_try_at: record.next_try_at }),
        DeliveryState::Parked => return Err(Refused::Parked { destination: record.destination.clone() }),
    }
    let kept = record.message.as_deref().ok_or_else(|| Refused::NotKept { why: record.last_error.clone() })?;
    // The first version kept the queue's body as it was, which may be packed.
    let encoding = if kept.starts_with('{') { "identity" } else { "gzip+base64" };
    let json = wire::decode(kept, encoding).map_err(|_| Refused::Unreadable)?;
    let mut delivery = Delivery::from_json(&json).map_err(|_| Refused::Unreadable)?;
    // Where the operator's clock is behind, what was asked for must come after the failure all the same.
    let after = record.ended_at.map(|ended| ended + 1.millisecond());
    delivery.resend = Some(after.map_or(now, |after| after.max(now)));
    Ok(delivery.to_message(record.group.clone()))
}

/// Puts one dead letter back on its queue; its record as it was then.
pub async fn resend(
    deliveries: &impl Deliveries,
    outbox: &impl Queue,
    id: &DeliveryId,
    now: Timestamp,
) -> Result<DeliveryRecord, ResendError> {
    let record = deliveries.read(id).await?.ok_or(Refused::Unknown)?;
    outbox.send(&message(&record, now)?).await?;
    Ok(record)
}

/// Puts all dead letters of a destination back on its queue, oldest first, as far as they were accepted at or after
/// `since`.
pub async fn redrive(
    deliveries: &impl Deliveries,
    outbox: &impl Queue,
    destination: &DestinationName,
    since: Timestamp,
    now: Timestamp,
) -> Result<Redriven, ResendError> {
    let mut redriven = Redriven::default();
    let mut after: Option<Stuck> = None;
    loop {
        let page = deliveries.stuck(destination, DeliveryState::Failed, after.as_ref(), PAGE).await?;
        for stuck in page.iter().filter(|stuck| stuck.accepted_at >= since) {
            match resend(deliveries, outbox, &stuck.id, now).await {
                Ok(_) => redriven.sent += 1,
                // The index lags behind: it is no dead letter any more.
                Err(ResendError::Refused(Refused::Unknown | Refused::Sent | Refused::Queued { .. })) => {}
                Err(ResendError::Refused(why)) => redriven.refused.push((stuck.id.clone(), why)),
                Err(error) => return Err(error),
            }
        }
        match page.into_iter().next_back() {
            Some(last) => after = Some(last),
            None => return Ok(redriven),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::EventId;
    use crate::normalized::Normalized;

    const ACCEPTED: Timestamp = Timestamp::constant(1_800_000_000, 123_000_000);
    const ENDED: Timestamp = Timestamp::constant(1_800_000_100, 0);

    fn delivery() -> Delivery {
        let (event, destination) = (EventId::of_signature("s"), "phones".parse().unwrap());
        Delivery {
            id: DeliveryId::of(&event, ACCEPTED, &destination),
            event,
            destination,
            route: "all".into(),
            routes: 3,
            accepted_at: ACCEPTED,
            normalized: Normalized { event: "issue.created".into(), ..Normalized::default() },
            rule: None,
            original: None,
            resend: None,
        }
    }

    fn record(state: DeliveryState, message: Option<String>) -> DeliveryRecord {
        let delivery = delivery();
        DeliveryRecord {
            id: delivery.id,
            event: delivery.event,
            event_name: "issue.created".into(),
            installation: None,
            destination: delivery.destination,
            route: delivery.route,
            group: "phones:of the issue".replace(' ', "-"),
            title: "title".into(),
            state,
            attempts: 7,
            next_try_at: None,
            last_status: None,
            last_error: Some("refused".into()),
            last_answer: None,
            warning: None,
            accepted_at: ACCEPTED,
            ended_at: Some(ENDED),
            message,
            expires: ENDED,
        }
    }

    #[test]
    fn a_dead_letter_goes_out_as_it_was_in_its_group_and_says_when_it_was_asked_for() {
        let json = delivery().to_json();
        let packed = wire::encode(&[json.as_bytes(), &vec![b' '; 1_000_001]].concat());
        assert_eq!(packed.1, "gzip+base64");
        for kept in [json, packed.0] {
            for (now, asked) in [
                (ENDED + Duration::from_mins(1), ENDED + Duration::from_mins(1)),
                (ENDED - Duration::from_mins(1), ENDED + Duration::from_millis(1)),
            ] {
                let record = record(DeliveryState::Failed, Some(kept.clone()));
                let message = message(&record, now).unwrap();
                assert_eq!(message.group, record.group);
                assert_eq!(message.deduplication, format!("{}-{}", record.id, asked.as_millisecond()));
                message.check(1_048_576).unwrap();
                let sent = Delivery::from_json(message.body.as_bytes()).unwrap();
                assert_eq!(sent, Delivery { resend: Some(asked), ..delivery() });
            }
        }
    }

    #[test]
    fn whatever_is_no_dead_letter_with_its_message_is_refused_with_what_to_do() {
        let whole = || Some(delivery().to_json());
        let cases = [
            (DeliveryState::Sent, None, "it was sent already, and what arrived is not sent twice"),
            (DeliveryState::Accepted, None, "it was sent already, and what arrived is not sent twice"),
            (DeliveryState::Queued, whole(), "it is still on its way: wait for it to end"),
            (
                DeliveryState::Parked,
                whole(),
                "it waits for its destination, which is paused: mend `phones`, and it is sent by itself",
            ),
            (DeliveryState::Failed, None, "its message was not kept (refused): trigger it in Sentry again"),
            (DeliveryState::Failed, Some("{\"v\":2}".into()), "its message cannot be read by this version"),
            (DeliveryState::Failed, Some("?".into()), "its message cannot be read by this version"),
        ];
        for (state, kept, expected) in cases {
            let refused = message(&record(state, kept), ENDED).unwrap_err();
            assert_eq!(refused.to_string(), expected);
        }
        let waiting = DeliveryRecord { next_try_at: Some(ENDED), ..record(DeliveryState::Queued, None) };
        let refused = message(&waiting, ENDED).unwrap_err();
        assert_eq!(refused.to_string(), format!("it is still on its way, tried again at {ENDED}: wait for it to end"));
    }
}
