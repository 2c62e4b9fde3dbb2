//! Messages as the event source mapping hands them to a function.

use aws_lambda_events::sqs::SqsMessage;
use shared::ports::Received;

/// `None` if it lacks what every message of a FIFO queue has: then the mapping is on another kind of queue. Attributes
/// that are not text are left out; ours all are.
///
/// Shape: <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>.
pub fn received(message: SqsMessage) -> Option<Received> {
    let mut system = message.attributes;
    Some(Received {
        id: message.message_id?,
        receipt: message.receipt_handle?,
        group: system.remove("MessageGroupId")?,
        body: message.body?,
        attributes: message
            .message_attributes
            .into_iter()
            .filter_map(|(name, attribute)| Some((name, attribute.string_value?)))
            .collect(),
        // From 1: this is a receipt, whatever the count says.
        receive_count: system.remove("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> serde_json::Value {
        serde_json::json!({
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
            "body": "{\"action\":\"created\"}",
            "attributes": {
                "ApproximateReceiveCount": "3",
                "SentTimestamp": "1795550000000",
                "SequenceNumber": "18849496460467696128",
                "MessageGroupId": "0123456789abcdef0123456789abcdef",
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "MessageDeduplicationId": "e3b0c442",
                "ApproximateFirstReceiveTimestamp": "1795550000100"
            },
            "messageAttributes": {
                "v": {"stringValue": "1", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
                "picture": {"binaryValue": "AAEC", "dataType": "Binary"}
            },
            "md5OfBody": "7b270e59b47ff90a553787216d55d91d",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:events.fifo",
            "awsRegion": "eu-central-1"
        })
    }

    fn parse(message: serde_json::Value) -> Option<Received> {
        received(serde_json::from_value(message).expect("an SQS message"))
    }

    #[test]
    fn a_message_of_the_mapping_is_one_of_the_port() {
        let expected = Received {
            id: "059f36b4-87a3-44ab-83d2-661975830a7d".into(),
            receipt: "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a".into(),
            group: "0123456789abcdef0123456789abcdef".into(),
            body: "{\"action\":\"created\"}".into(),
            attributes: [("v".to_owned(), "1".to_owned())].into(),
            receive_count: 3,
        };
        assert_eq!(parse(message()), Some(expected));
    }

    #[test]
    fn a_message_of_a_queue_without_groups_is_none() {
        let mut standard = message();
        standard["attributes"].as_object_mut().expect("an object").remove("MessageGroupId");
        assert_eq!(parse(standard), None);
    }
}
