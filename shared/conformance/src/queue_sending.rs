//! The suite for what our own code does to a queue everywhere: sending and hiding. In real time it takes some seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use shared::ports::{Consume, Message, QueueError, Received};

use crate::random::name;
use crate::time::Time;

/// How long what was sent may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(20);
/// Longer than any check, so that nothing comes back by itself.
const LONG: Duration = Duration::from_mins(2);
/// The shortest a queue can hide, with real time to act in.
const SHORT: Duration = Duration::from_secs(2);

/// Sending, deduplication, attributes and hiding, on an empty queue. `Q` sends and hides with the adapter under test;
/// how it receives and deletes is the test's own matter where no adapter of ours does.
pub async fn queue_sending<Q: Consume>(queue: &Q, time: &impl Time) {
    a_message_arrives_as_it_was_sent(queue, time).await;
    what_aws_would_refuse_is_refused(queue, time).await;
    a_repeat_is_dropped(queue, time).await;
    repeats_at_once_arrive_once(queue, time).await;
    a_group_arrives_in_order(queue, time).await;
    a_hidden_message_comes_back_when_it_is_due(queue, time).await;
    a_message_hidden_for_zero_comes_back_at_once(queue, time).await;
    the_rest_of_a_group_waits_behind_a_hidden_message(queue, time).await;
}

pub(crate) fn message(group: &str, body: &str) -> Message {
    Message { group: group.into(), deduplication: name(), body: body.into(), attributes: BTreeMap::new() }
}

pub(crate) async fn send<Q: Consume>(queue: &Q, group: &str, bodies: &[&str]) {
    for body in bodies {
        queue.send(&message(group, body)).await.expect("a message can be sent");
    }
}

pub(crate) fn bodies(received: &[Received]) -> Vec<&str> {
    received.iter().map(|message| message.body.as_str()).collect()
}

/// Up to `count` messages, waiting for the first ones as long as it may take.
pub(crate) async fn take<Q: Consume>(queue: &Q, time: &impl Time, count: usize, visibility: Duration) -> Vec<Received> {
    let step = Duration::from_millis(100);
    let mut waited = Duration::ZERO;
    loop {
        let received = queue.receive(count, visibility).await.expect("receive");
        if !received.is_empty() || waited >= ARRIVES_WITHIN {
            return received;
        }
        time.advance(step).await;
        waited += step;
    }
}

pub(crate) async fn take_one<Q: Consume>(queue: &Q, time: &impl Time, visibility: Duration) -> Received {
    take(queue, time, 1, visibility).await.pop().expect("a message that was sent arrives")
}

pub(crate) async fn delete_all<Q: Consume>(queue: &Q, received: &[Received]) {
    for message in received {
        queue.delete(&message.receipt).await.expect("a message in flight can be deleted");
    }
}

pub(crate) async fn is_empty<Q: Consume>(queue: &Q) -> bool {
    queue.receive(10, LONG).await.expect("receive").is_empty()
}

async fn a_message_arrives_as_it_was_sent<Q: Consume>(queue: &Q, time: &impl Time) {
    let group = format!("phones:{}", name());
    let attributes = BTreeMap::from(
        [("v", "1"), ("event", "größe ☃ 𝄞"), ("resource", "event_alert"), ("accepted_at", "1800000000123")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let body = "{\"title\":\"größe ☃ 𝄞 \\\"quoted\\\" <&>\"}\n\t";
    let sent = Message { attributes, ..message(&group, body) };
    queue.send(&sent).await.expect("a message can be sent");
    let received = take_one(queue, time, LONG).await;
    assert_eq!(received.body, sent.body, "the body arrives as it was sent");
    assert_eq!(received.attributes, sent.attributes, "every attribute arrives as it was sent");
    assert_eq!(received.group, sent.group, "the group arrives");
    assert_eq!(received.receive_count, 1, "the first receipt counts as the first");
    assert!(!received.id.is_empty(), "a received message has an id");
    delete_all(queue, &[received]).await;
    send(queue, &group, &["bare"]).await;
    let bare = take_one(queue, time, LONG).await;
    assert_eq!(bare.attributes, BTreeMap::new(), "a message without attributes arrives without any");
    delete_all(queue, &[bare]).await;
}

async fn what_aws_would_refuse_is_refused<Q: Consume>(queue: &Q, time: &impl Time) {
    let good = message("group", "body");
    let eleven = (0..11).map(|n| (format!("a{n}"), "x".to_owned())).collect();
    for (why, bad) in [
        ("an empty group", Message { group: String::new(), ..good.clone() }),
        ("a group of 129 characters", Message { group: "g".repeat(129), ..good.clone() }),
        ("a group with a space", Message { group: "a b".into(), ..good.clone() }),
        ("a group beyond ASCII", Message { group: "ü".into(), ..good.clone() }),
        ("an empty deduplication id", Message { deduplication: String::new(), ..good.clone() }),
        ("a deduplication id of 129 characters", Message { deduplication: "d".repeat(129), ..good.clone() }),
        ("an empty body", Message { body: String::new(), ..good.clone() }),
        ("11 attributes", Message { attributes: eleven, ..good.clone() }),
    ] {
        let refused = queue.send(&bad).await;
        assert!(matches!(refused, Err(QueueError::Malformed)), "{why} is refused as malformed, not {refused:?}");
    }
    let max = queue.max_bytes();
    let attributes = BTreeMap::from([("n".to_owned(), "xx".to_owned())]);
    let counted = "n".len() + "String".len() + "xx".len();
    let over = Message { body: "x".repeat(max - counted + 1), attributes: attributes.clone(), ..good.clone() };
    let refused = queue.send(&over).await;
    assert!(
        matches!(refused, Err(QueueError::TooLarge { bytes, max_bytes }) if bytes == max + 1 && max_bytes == max),
        "one byte over the size is refused as too large, attributes counted"
    );
    let umlauts = Message { body: "ü".repeat(max / 2 + 1), ..good.clone() };
    let refused = queue.send(&umlauts).await;
    assert!(matches!(refused, Err(QueueError::TooLarge { .. })), "the size counts bytes and not characters");
    assert!(is_empty(queue).await, "nothing that was refused arrives");
    let widest = Message {
        group: "g".repeat(128),
        deduplication: format!("{:x<128}", name()),
        attributes: (0..10).map(|n| (format!("a{n}"), "x".to_owned())).collect(),
        ..good
    };
    queue.send(&widest).await.expect("128 characters and 10 attributes are allowed");
    delete_all(queue, &[take_one(queue, time, LONG).await]).await;
}

async fn a_repeat_is_dropped<Q: Consume>(queue: &Q, time: &impl Time) {
    let sent = message(&name(), "once");
    queue.send(&sent).await.expect("send");
    queue.send(&sent).await.expect("a repeat is no error");
    let received = take(queue, time, 10, LONG).await;
    assert_eq!(bodies(&received), ["once"], "a repeat while the first waits is dropped");
    queue.send(&sent).await.expect("send");
    assert!(is_empty(queue).await, "a repeat while the first is in flight is dropped");
    delete_all(queue, &received).await;
    queue.send(&Message { body: "twice".into(), ..sent.clone() }).await.expect("send");
    assert!(is_empty(queue).await, "a repeat after the first was deleted is dropped, whatever its body");
    queue.send(&Message { deduplication: name(), ..sent }).await.expect("send");
    let received = take(queue, time, 10, LONG).await;
    assert_eq!(bodies(&received), ["once"], "the same body under another id is no repeat");
    delete_all(queue, &received).await;
}

async fn repeats_at_once_arrive_once<Q: Consume>(queue: &Q, time: &impl Time) {
    let sent = &message(&name(), "raced");
    for sent in join_all((0..8).map(|_| queue.send(sent))).await {
        sent.expect("a repeat is no error");
    }
    let received = take(queue, time, 10, LONG).await;
    assert_eq!(bodies(&received), ["raced"], "of 8 repeats at once one arrives");
    delete_all(queue, &received).await;
    assert!(is_empty(queue).await, "of 8 repeats at once one arrives");
}

async fn a_group_arrives_in_order<Q: Consume>(queue: &Q, time: &impl Time) {
    let group = name();
    send(queue, &group, &["0", "1", "2", "3", "4"]).await;
    let mut arrived = Vec::new();
    while arrived.len() < 5 {
        let received = take(queue, time, 10, LONG).await;
        assert!(!received.is_empty(), "all messages of a group arrive");
        arrived.extend(received.iter().map(|message| message.body.clone()));
        delete_all(queue, &received).await;
    }
    assert_eq!(arrived, ["0", "1", "2", "3", "4"], "messages of a group arrive in the order they were sent");
}

async fn a_hidden_message_comes_back_when_it_is_due<Q: Consume>(queue: &Q, time: &impl Time) {
    send(queue, &name(), &["hidden"]).await;
    let first = take_one(queue, time, LONG).await;
    let hidden_at = time.now();
    queue.hide(&first.receipt, SHORT).await.expect("a message in flight can be hidden");
    let again = take_one(queue, time, LONG).await;
    let hidden_for = time.now().duration_since(hidden_at).unsigned_abs();
    // A queue may count in whole seconds of its own.
    assert!(hidden_for >= SHORT / 2, "a hidden message stays away until it is due, not {hidden_for:?}");
    assert_eq!((again.id.as_str(), again.body.as_str()), (first.id.as_str(), "hidden"), "it is the same message");
    assert_eq!(again.receive_count, 2, "the second receipt counts as the second");
    assert!(queue.delete(&first.receipt).await.is_err(), "an earlier receipt deletes nothing");
    delete_all(queue, &[again]).await;
}

async fn a_message_hidden_for_zero_comes_back_at_once<Q: Consume>(queue: &Q, time: &impl Time) {
    send(queue, &name(), &["given back"]).await;
    let first = take_one(queue, time, LONG).await;
    queue.hide(&first.receipt, Duration::ZERO).await.expect("a message in flight can be given back");
    let again = queue.receive(1, LONG).await.expect("receive");
    assert_eq!(bodies(&again), ["given back"], "a message hidden for zero comes back at once");
    delete_all(queue, &again).await;
}

async fn the_rest_of_a_group_waits_behind_a_hidden_message<Q: Consume>(queue: &Q, time: &impl Time) {
    let group = name();
    send(queue, &group, &["0", "1", "2"]).await;
    let batch = take(queue, time, 10, LONG).await;
    assert_eq!(bodies(&batch), ["0", "1", "2"], "several messages of a group come in one batch, in order");
    queue.hide(&batch[0].receipt, SHORT).await.expect("hide");
    for rest in &batch[1..] {
        queue.hide(&rest.receipt, Duration::ZERO).await.expect("give back");
    }
    assert!(is_empty(queue).await, "what was given back waits behind the hidden first one");
    let again = take(queue, time, 10, LONG).await;
    assert_eq!(bodies(&again), ["0", "1", "2"], "once the first one is due, all come in order");
    delete_all(queue, &again).await;
    assert!(is_empty(queue).await, "the suite leaves nothing");
}
