//! Stand-in for the two AWS calls that `webhook` makes, over plain HTTP.

use anyhow::Result;
use serde_json::{Value, json};

use super::http::{Answer, Request, Server};
use super::payload::CLIENT_SECRET;

/// `http://127.0.0.1:PORT` is for `AWS_ENDPOINT_URL`.
pub(crate) fn start() -> Result<Server> {
    Server::start(|request| Some(answer(&request)))
}

fn answer(request: &Request) -> Answer {
    let (status, body) = match request.header("x-amz-target") {
        Some("secretsmanager.GetSecretValue") => (200, secret()),
        Some("AmazonSQS.SendMessage") => send(&request.body),
        _ => (400, json!({ "__type": "UnknownOperationException" })),
    };
    let headers = vec![("Content-Type", "application/x-amz-json-1.0".to_owned())];
    Answer { status, headers, body: body.to_string() }
}

/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
fn secret() -> Value {
    json!({
        "ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf",
        "CreatedDate": 1_795_467_377.512,
        "Name": "app",
        "SecretString": json!({ "client_id": "bench", "client_secret": CLIENT_SECRET }).to_string(),
        "VersionId": "e1064cd9-e055-4e00-ab45-4715789bef06",
        "VersionStages": ["AWSCURRENT"],
    })
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>, without the MD5 of the
/// body: the SDK for Rust does not compare it. An empty message is refused, as SQS does: `webhook` opens its connection
/// with one.
fn send(body: &[u8]) -> (u16, Value) {
    let message = serde_json::from_slice::<Value>(body).unwrap_or_default();
    if message["MessageBody"].as_str().is_none_or(str::is_empty) {
        let kind = "com.amazonaws.sqs#InvalidParameterValue";
        return (400, json!({ "__type": kind, "message": "The request must contain a MessageBody." }));
    }
    let answer =
        json!({ "MessageId": "5fea7756-0ea4-451a-a703-a558b933e274", "SequenceNumber": "18849496460467696128" });
    (200, answer)
}
