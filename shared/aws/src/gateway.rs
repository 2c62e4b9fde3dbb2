//! Requests as the HTTP API hands them to a function (payload format 2.0).
//!
//! Shape: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.

use bytes::Bytes;
use jiff::Timestamp;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt};

/// When the gateway got the request, if it says so: its `requestContext.timeEpoch`.
pub fn began(request: &Request) -> Option<Timestamp> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => Timestamp::from_millisecond(context.time_epoch).ok(),
        _ => None,
    }
}

/// The body, byte for byte as it was sent, whether the gateway took it for text or put it into base64.
pub fn bytes(body: Body) -> Bytes {
    match body {
        Body::Text(text) => text.into(),
        Body::Binary(bytes) => bytes.into(),
        _ => Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: Option<&str>, is_base64: bool) -> Request {
        let event = serde_json::json!({
            "version": "2.0",
            "routeKey": "POST /webhook",
            "rawPath": "/webhook",
            "rawQueryString": "",
            "headers": { "content-type": "application/json", "host": "a.example.com" },
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "a",
                "domainName": "a.example.com",
                "http": {
                    "method": "POST", "path": "/webhook", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                },
                "requestId": "id",
                "routeKey": "POST /webhook",
                "stage": "$default",
                "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_i64,
            },
            "body": body,
            "isBase64Encoded": is_base64,
        });
        lambda_http::request::from_str(&event.to_string()).expect("an event of the HTTP API")
    }

    #[test]
    fn the_time_is_when_the_gateway_got_it() {
        let expected = Timestamp::from_millisecond(1_583_348_638_390).ok();
        assert_eq!(began(&request(None, false)), expected);
        assert_eq!(began(&Request::new(Body::Empty)), None);
    }

    #[test]
    fn a_body_is_the_bytes_that_were_sent() {
        let cases: [(Option<&str>, bool, &[u8]); 4] = [
            (Some("{\"title\": \"Größe\\n\"}"), false, "{\"title\": \"Größe\\n\"}".as_bytes()),
            (Some("eyJhIjogMX0K"), true, b"{\"a\": 1}\n"),
            (Some("/wAB"), true, b"\xff\x00\x01"),
            (None, false, b""),
        ];
        for (body, is_base64, expected) in cases {
            assert_eq!(bytes(request(body, is_base64).into_body()), expected, "{body:?}");
        }
    }
}
