//! The suite for a queue that is ours altogether: [`queue_sending`](crate::queue_sending) and what AWS does by itself.

use std::time::Duration;

use futures::future::join_all;
use shared::ports::{Consume, MAX_VISIBILITY, Message, QueueError, Received};

use crate::queue_sending::{bodies, delete_all, is_empty, message, queue_sending, send};
use crate::random::name;
use crate::time::Time;

const VISIBILITY: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);
const JUST_BEFORE_VISIBLE: Duration = Duration::from_millis(29_999);
const JUST_UNDER_MAX: Duration = Duration::from_millis(12 * 60 * 60 * 1_000 - 1);

/// Every promise of a queue, on an empty one. Needs a clock that can be turned: it lets hours pass. A message that
/// was received `max_receives` times is a dead letter at the next receipt.
pub async fn queue_full<Q: Consume>(queue: &Q, time: &impl Time, max_receives: u32) {
    queue_sending(queue, time).await;
    groups_are_interleaved_by_arrival(queue).await;
    a_group_in_flight_is_blocked_and_others_are_free(queue).await;
    a_free_group_is_found_behind_many_blocked_ones(queue).await;
    what_arrives_while_its_group_is_in_flight_waits(queue).await;
    a_batch_that_expires_comes_back_in_order(queue, time).await;
    what_lies_before_a_message_in_flight_can_be_received(queue, time).await;
    a_message_in_flight_is_nobody_elses(queue, time).await;
    hiding_counts_from_now_and_twelve_hours_at_most(queue, time).await;
    an_expired_receipt_is_of_no_use(queue, time).await;
    a_message_that_waits_longer_than_others_still_comes_first(queue, time).await;
    an_id_is_forgotten_after_five_minutes(queue, time).await;
    poison_becomes_a_dead_letter_and_frees_its_group(queue, max_receives).await;
    many_receivers_get_each_message_once_and_in_order(queue).await;
}

async fn receive<Q: Consume>(queue: &Q, max: usize) -> Vec<Received> {
    let received = queue.receive(max, VISIBILITY).await.expect("receive");
    assert!(received.len() <= max, "no more messages come than were asked for");
    received
}

async fn groups_are_interleaved_by_arrival<Q: Consume>(queue: &Q) {
    let (a, b, c) = (name(), name(), name());
    for (group, body) in [(&a, "a0"), (&b, "b0"), (&a, "a1"), (&c, "c0"), (&b, "b1")] {
        send(queue, group, &[body]).await;
    }
    let first = receive(queue, 3).await;
    assert_eq!(bodies(&first), ["a0", "b0", "a1"], "a batch holds what arrived first, of whatever group");
    let second = receive(queue, 10).await;
    assert_eq!(bodies(&second), ["c0"], "of a group in flight nothing more comes");
    delete_all(queue, &first).await;
    let third = receive(queue, 10).await;
    assert_eq!(bodies(&third), ["b1"], "a delete frees the group");
    delete_all(queue, &second).await;
    delete_all(queue, &third).await;
}

async fn a_group_in_flight_is_blocked_and_others_are_free<Q: Consume>(queue: &Q) {
    let (a, b) = (name(), name());
    send(queue, &a, &["a0", "a1", "a2"]).await;
    let first = receive(queue, 1).await;
    assert_eq!(bodies(&first), ["a0"]);
    assert!(is_empty(queue).await, "a group of which one message is in flight gives no other");
    send(queue, &b, &["b0"]).await;
    let other = receive(queue, 10).await;
    assert_eq!(bodies(&other), ["b0"], "another group is free meanwhile");
    delete_all(queue, &first).await;
    let rest = receive(queue, 10).await;
    assert_eq!(bodies(&rest), ["a1", "a2"], "a delete frees the rest of the group");
    // The one behind is done first: the group goes on from what is left, in order.
    delete_all(queue, &rest[1..]).await;
    send(queue, &a, &["a3"]).await;
    assert!(is_empty(queue).await, "the first of the group is in flight still");
    delete_all(queue, &rest[..1]).await;
    let last = receive(queue, 10).await;
    assert_eq!(bodies(&last), ["a3"], "what was sent to the group meanwhile comes after it");
    delete_all(queue, &last).await;
    delete_all(queue, &other).await;
}

async fn a_free_group_is_found_behind_many_blocked_ones<Q: Consume>(queue: &Q) {
    let mut held = Vec::new();
    for _ in 0..150 {
        send(queue, &name(), &["blocking", "blocked"]).await;
        held.append(&mut receive(queue, 1).await);
    }
    assert_eq!(held.len(), 150);
    send(queue, &name(), &["free"]).await;
    let free = receive(queue, 10).await;
    assert_eq!(bodies(&free), ["free"], "a free group is found behind 150 blocked ones");
    delete_all(queue, &held).await;
    delete_all(queue, &free).await;
    for _ in 0..15 {
        let blocked = receive(queue, 10).await;
        assert_eq!(bodies(&blocked), ["blocked"; 10]);
        delete_all(queue, &blocked).await;
    }
}

async fn what_arrives_while_its_group_is_in_flight_waits<Q: Consume>(queue: &Q) {
    let group = name();
    send(queue, &group, &["0"]).await;
    let first = receive(queue, 10).await;
    send(queue, &group, &["1"]).await;
    assert!(is_empty(queue).await, "what arrives while its group is in flight waits");
    queue.hide(&first[0].receipt, Duration::ZERO).await.expect("give back");
    let both = receive(queue, 10).await;
    assert_eq!(bodies(&both), ["0", "1"], "and comes after what was given back");
    delete_all(queue, &both).await;
}

async fn a_batch_that_expires_comes_back_in_order<Q: Consume>(queue: &Q, time: &impl Time) {
    send(queue, &name(), &["0", "1", "2"]).await;
    assert_eq!(bodies(&receive(queue, 10).await), ["0", "1", "2"]);
    time.advance(JUST_BEFORE_VISIBLE).await;
    assert!(is_empty(queue).await, "a message stays hidden for its whole visibility time-out");
    time.advance(MS).await;
    let again = receive(queue, 10).await;
    assert_eq!(bodies(&again), ["0", "1", "2"], "a batch whose time-out ends comes back in order");
    let counts: Vec<u32> = again.iter().map(|message| message.receive_count).collect();
    assert_eq!(counts, [2, 2, 2], "each receipt counts");
    delete_all(queue, &again).await;
}

/// As on AWS, where users measured it; stand-ins give nothing here.
async fn what_lies_before_a_message_in_flight_can_be_received<Q: Consume>(queue: &Q, time: &impl Time) {
    send(queue, &name(), &["0", "1", "2"]).await;
    let batch = receive(queue, 10).await;
    for outer in [&batch[0], &batch[2]] {
        queue.hide(&outer.receipt, Duration::ZERO).await.expect("give back");
    }
    let again = receive(queue, 10).await;
    assert_eq!(bodies(&again), ["0"], "what lies before a message in flight is free, what follows it is not");
    delete_all(queue, &again).await;
    assert!(is_empty(queue).await, "the last one waits behind the middle one");
    time.advance(VISIBILITY).await;
    let rest = receive(queue, 10).await;
    assert_eq!(bodies(&rest), ["1", "2"]);
    delete_all(queue, &rest).await;
}

async fn a_message_in_flight_is_nobody_elses<Q: Consume>(queue: &Q, time: &impl Time) {
    send(queue, &name(), &["mine"]).await;
    let first = receive(queue, 1).await;
    time.advance(VISIBILITY).await;
    let second = receive(queue, 1).await;
    assert_eq!(bodies(&second), ["mine"]);
    assert_eq!(first[0].id, second[0].id, "a message keeps its id");
    assert_ne!(first[0].receipt, second[0].receipt, "each receipt is another one");
    assert!(queue.delete(&first[0].receipt).await.is_err(), "an earlier receipt deletes nothing");
    assert!(queue.hide(&first[0].receipt, Duration::ZERO).await.is_err(), "an earlier receipt gives nothing back");
    assert!(is_empty(queue).await, "so the message is still in flight");
    delete_all(queue, &second).await;
    assert!(queue.delete(&second[0].receipt).await.is_err(), "what is gone cannot be deleted again");
    assert!(queue.delete("no receipt").await.is_err(), "an invented receipt is refused");
}

async fn hiding_counts_from_now_and_twelve_hours_at_most<Q: Consume>(queue: &Q, time: &impl Time) {
    send(queue, &name(), &["long"]).await;
    let first = receive(queue, 1).await;
    let refused = queue.hide(&first[0].receipt, MAX_VISIBILITY + MS).await;
    assert!(matches!(refused, Err(QueueError::Malformed)), "more than 12 h are refused");
    time.advance(VISIBILITY / 2).await;
    queue.hide(&first[0].receipt, MAX_VISIBILITY).await.expect("12 h are allowed");
    time.advance(JUST_UNDER_MAX).await;
    assert!(is_empty(queue).await, "a message is hidden from the moment of hiding on");
    time.advance(MS).await;
    let again = receive(queue, 1).await;
    assert_eq!(bodies(&again), ["long"], "and is there when that time is over");
    delete_all(queue, &again).await;
}

async fn an_expired_receipt_is_of_no_use<Q: Consume>(queue: &Q, time: &impl Time) {
    send(queue, &name(), &["late"]).await;
    let first = receive(queue, 1).await;
    time.advance(VISIBILITY).await;
    assert!(queue.delete(&first[0].receipt).await.is_err(), "a receipt whose time is over deletes nothing");
    assert!(queue.hide(&first[0].receipt, VISIBILITY).await.is_err(), "and hides nothing");
    let again = receive(queue, 1).await;
    assert_eq!(bodies(&again), ["late"]);
    delete_all(queue, &again).await;
}

async fn a_message_that_waits_longer_than_others_still_comes_first<Q: Consume>(queue: &Q, time: &impl Time) {
    send(queue, &name(), &["retried"]).await;
    receive(queue, 1).await;
    for body in ["new 0", "new 1"] {
        send(queue, &name(), &[body]).await;
    }
    time.advance(VISIBILITY).await;
    let all = receive(queue, 10).await;
    assert_eq!(bodies(&all), ["retried", "new 0", "new 1"], "a retry that is due does not wait behind what came later");
    delete_all(queue, &all).await;
}

async fn an_id_is_forgotten_after_five_minutes<Q: Consume>(queue: &Q, time: &impl Time) {
    let sent = message(&name(), "again");
    queue.send(&sent).await.expect("send");
    delete_all(queue, &receive(queue, 1).await).await;
    time.advance(Duration::from_secs(299)).await;
    queue.send(&sent).await.expect("send");
    assert!(is_empty(queue).await, "a repeat within 5 minutes is dropped");
    time.advance(Duration::from_secs(1)).await;
    queue.send(&sent).await.expect("send");
    let received = receive(queue, 10).await;
    assert_eq!(bodies(&received), ["again"], "after 5 minutes the id is new again; a dropped repeat does not renew it");
    delete_all(queue, &received).await;
}

async fn poison_becomes_a_dead_letter_and_frees_its_group<Q: Consume>(queue: &Q, max_receives: u32) {
    let group = name();
    send(queue, &group, &["poison", "behind"]).await;
    for count in 1..=max_receives {
        let received = receive(queue, 1).await;
        assert_eq!(bodies(&received), ["poison"], "receipt {count} of {max_receives} gives the message");
        assert_eq!(received[0].receive_count, count, "each receipt counts");
        queue.hide(&received[0].receipt, Duration::ZERO).await.expect("give back");
    }
    let next = receive(queue, 1).await;
    assert_eq!(bodies(&next), ["behind"], "the receipt after the last one gives the group's next message");
    delete_all(queue, &next).await;
    assert!(is_empty(queue).await, "poison does not come back");
}

async fn many_receivers_get_each_message_once_and_in_order<Q: Consume>(queue: &Q) {
    let groups: Vec<String> = (0..7).map(|_| name()).collect();
    join_all(groups.iter().map(|group| async move {
        for n in 0..20 {
            let sent: Message = message(group, &n.to_string());
            queue.send(&sent).await.expect("send");
        }
    }))
    .await;
    let done = std::sync::Mutex::new(Vec::new());
    let done = &done;
    join_all((0..8).map(|worker| async move {
        loop {
            let batch = receive(queue, 1 + worker % 4).await;
            if batch.is_empty() {
                // Others may hold the rest of the groups; they come round to it.
                return;
            }
            for message in batch {
                done.lock().expect("no check panicked").push((message.group.clone(), message.body.clone()));
                queue.delete(&message.receipt).await.expect("delete");
            }
        }
    }))
    .await;
    let mut done = done.lock().expect("no check panicked").clone();
    let leftovers = receive(queue, 10).await;
    assert!(leftovers.is_empty(), "somebody receives each message");
    done.sort_by_key(|(group, _)| groups.iter().position(|known| known == group));
    let expected: Vec<(String, String)> =
        groups.iter().flat_map(|group| (0..20).map(move |n| (group.clone(), n.to_string()))).collect();
    assert_eq!(done, expected, "8 receivers at once get each message once, and each group in order");
}
