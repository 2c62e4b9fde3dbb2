//! A batch of queue messages: one bad message never repeats or blocks the others, and order within a group holds.
//!
//! The groups of a batch are handled side by side, each in order. After a message that is not done, the rest of its
//! group goes back untried: at visibility zero, so that it stays blocked behind the hidden one and comes right after
//! it. The switch in the template is `ReportBatchItemFailures`.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;

use crate::ports::{MAX_VISIBILITY, Queue, Received};

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It may be deleted.
    Yes,
    /// It comes again after this.
    Later(Duration),
    /// It comes again when its visibility time-out ends: whatever stopped it is not known to pass sooner.
    Failed,
}

/// Handles a batch and returns the ids of the messages that are not done: the function's `batchItemFailures`.
pub async fn handle<Q, F, Fut>(queue: &Q, messages: Vec<Received>, handle_one: F) -> Vec<String>
where
    Q: Queue,
    F: Fn(Received) -> Fut,
    Fut: Future<Output = Done>,
{
    let mut groups: BTreeMap<String, Vec<Received>> = BTreeMap::new();
    for message in messages {
        groups.entry(message.group.clone()).or_default().push(message);
    }
    let groups = groups.into_values().map(|group| async {
        let mut back = Vec::new();
        for message in group {
            let (id, receipt) = (message.id.clone(), message.receipt.clone());
            if !back.is_empty() {
                hide(queue, &receipt, Duration::ZERO).await;
                back.push(id);
                continue;
            }
            match AssertUnwindSafe(handle_one(message)).catch_unwind().await {
                Ok(Done::Yes) => {}
                Ok(Done::Later(wait)) => {
                    hide(queue, &receipt, wait.min(MAX_VISIBILITY)).await;
                    back.push(id);
                }
                Ok(Done::Failed) => back.push(id),
                Err(_) => {
                    tracing::error!(message.id = id, "a panic while handling a message: it comes again");
                    back.push(id);
                }
            }
        }
        back
    });
    join_all(groups).await.into_iter().flatten().collect()
}

/// A message that cannot be hidden comes again when its visibility time-out ends: later or sooner than meant, never
/// not at all.
async fn hide<Q: Queue>(queue: &Q, receipt: &str, wait: Duration) {
    if let Err(error) = queue.hide(receipt, wait).await {
        tracing::warn!(error = crate::telemetry::chain(&error), "a message could not be hidden");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::ports::{Message, QueueError};

    #[derive(Default)]
    struct Hidden(Mutex<Vec<(String, Duration)>>);

    impl Queue for Hidden {
        fn max_bytes(&self) -> usize {
            1
        }
        async fn send(&self, _: &Message) -> Result<(), QueueError> {
            Err(QueueError::Malformed)
        }
        async fn hide(&self, receipt: &str, duration: Duration) -> Result<(), QueueError> {
            self.0.lock().unwrap().push((receipt.to_owned(), duration));
            Ok(())
        }
    }

    fn message(id: &str, group: &str) -> Received {
        Received {
            id: id.to_owned(),
            receipt: format!("r{id}"),
            group: group.to_owned(),
            body: String::new(),
            attributes: BTreeMap::new(),
            receive_count: 1,
        }
    }

    #[tokio::test]
    async fn a_failure_sends_back_the_rest_of_its_group_and_nothing_else() {
        let queue = Hidden::default();
        let messages = [("1", "a"), ("2", "b"), ("3", "a"), ("4", "c"), ("5", "a"), ("6", "d")]
            .map(|(id, group)| message(id, group));
        let tried = Mutex::new(Vec::new());
        let mut back = handle(&queue, messages.to_vec(), async |message: Received| {
            tried.lock().unwrap().push(message.id.clone());
            match message.id.as_str() {
                "1" => Done::Later(Duration::from_secs(7)),
                "2" => panic!("a bug in one message"),
                "4" => Done::Failed,
                _ => Done::Yes,
            }
        })
        .await;
        back.sort();
        assert_eq!(back, ["1", "2", "3", "4", "5"]);
        let mut tried = tried.into_inner().unwrap();
        tried.sort();
        assert_eq!(tried, ["1", "2", "4", "6"], "3 and 5 wait behind 1");
        let hidden = queue.0.into_inner().unwrap();
        let expected = [("r1", 7), ("r3", 0), ("r5", 0)].map(|(r, s)| (r.to_owned(), Duration::from_secs(s)));
        assert_eq!(hidden, expected);
    }
}
