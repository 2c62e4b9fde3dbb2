use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

fn guarded() -> Policy {
    Policy { guarded: true, timeout: Duration::from_secs(5), max_body_bytes: 1000 }
}

fn unguarded() -> Policy {
    Policy { guarded: false, ..guarded() }
}

fn adapter(allow_private: bool) -> Reqwest {
    Reqwest::new(&Roots::WebPki, allow_private).expect("the compiled-in roots work")
}

fn get(url: &str) -> http::Request<Bytes> {
    http::Request::get(url).body(Bytes::new()).expect("a request")
}

async fn answering(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET")).and(path("/hook")).respond_with(template).mount(&server).await;
    server
}

#[tokio::test]
async fn an_answer_comes_with_status_headers_and_body() {
    let server = answering(ResponseTemplate::new(418).insert_header("x-tea", "green").set_body_string("short")).await;
    let answer = adapter(false).call(get(&format!("{}/hook", server.uri())), unguarded()).await.expect("an answer");
    assert_eq!(answer.status(), 418);
    assert_eq!(answer.headers()["x-tea"], "green");
    assert_eq!(answer.body(), "short");

    let seen = &server.received_requests().await.expect("recorded")[0];
    assert!(seen.headers["user-agent"].to_str().expect("text").starts_with("sentry-switchboard/"));
    assert!(!seen.headers.contains_key("content-length"), "a GET has no body");
}

#[tokio::test]
async fn a_long_answer_is_cut_and_not_refused() {
    let server = answering(ResponseTemplate::new(200).set_body_string("x".repeat(5_000_000))).await;
    let url = format!("{}/hook", server.uri());
    for max_body_bytes in [0, 1, 1000] {
        let policy = Policy { max_body_bytes, ..unguarded() };
        let answer = adapter(false).call(get(&url), policy).await.expect("an answer");
        assert_eq!(answer.body().len(), max_body_bytes);
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let server = answering(ResponseTemplate::new(302).insert_header("location", "/elsewhere")).await;
    let answer = adapter(false).call(get(&format!("{}/hook", server.uri())), unguarded()).await.expect("an answer");
    assert_eq!(answer.status(), 302);
    assert_eq!(server.received_requests().await.expect("recorded").len(), 1);
}

#[tokio::test]
async fn a_slow_answer_times_out_in_the_headers_and_in_the_body() {
    let slow_headers = answering(ResponseTemplate::new(200).set_delay(Duration::from_secs(30))).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let slow_body = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        let _ = socket.read(&mut [0; 1024]).await;
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    });
    for uri in [slow_headers.uri(), slow_body] {
        let began = Instant::now();
        let policy = Policy { timeout: Duration::from_millis(200), ..unguarded() };
        let error = adapter(false).call(get(&format!("{uri}/hook")), policy).await.expect_err("too slow");
        assert!(matches!(error, CallError::TimedOut(_)), "{error:?}");
        assert_eq!(error.to_string(), "no answer within 0.2 s");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_guarded_call_reaches_no_private_address_by_literal_or_name() {
    let server = answering(ResponseTemplate::new(200)).await;
    let port = server.address().port();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let url = format!("http://{host}:{port}/hook");
        let error = adapter(false).call(get(&url), guarded()).await.expect_err(host);
        assert!(matches!(error, CallError::AddressRefused), "{host}: {error:?}");
    }
    assert_eq!(server.received_requests().await.expect("recorded").len(), 0);

    for host in ["127.0.0.1", "2130706433", "localhost"] {
        let url = format!("http://{host}:{port}/hook");
        let opened = adapter(true).call(get(&url), guarded()).await.expect(host);
        let own_choice = adapter(false).call(get(&url), unguarded()).await.expect(host);
        assert_eq!((opened.status().as_u16(), own_choice.status().as_u16()), (200, 200), "{host}");
    }
}

#[tokio::test]
async fn a_connection_opened_without_the_guard_is_not_used_by_a_guarded_call() {
    let server = answering(ResponseTemplate::new(200)).await;
    let url = format!("http://localhost:{}/hook", server.address().port());
    let adapter = adapter(false);
    adapter.call(get(&url), unguarded()).await.expect("an answer");
    let error = adapter.call(get(&url), guarded()).await.expect_err("guarded");
    assert!(matches!(error, CallError::AddressRefused), "{error:?}");
}

#[tokio::test]
async fn what_was_not_sent_is_told_from_what_broke_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        let _ = socket.read(&mut [0; 1024]).await;
    });
    let url = format!("http://{address}/secret-path");
    let broken = adapter(false).call(get(&url), unguarded()).await.expect_err("closed without an answer");
    assert!(matches!(broken, CallError::BrokenOff(_)), "{broken:?}");
    // The listener is gone by now.
    let unreachable = adapter(false).call(get(&url), unguarded()).await.expect_err("nobody listens");
    assert!(matches!(unreachable, CallError::Unreachable(_)), "{unreachable:?}");
    for error in [broken, unreachable] {
        assert!(!format!("{error} {error:?}").contains("secret-path"), "{error:?}");
    }
}

#[tokio::test]
async fn only_http_and_https_are_spoken() {
    for url in ["ftp://example.com/secret-path", "/secret-path"] {
        let error = adapter(false).call(get(url), unguarded()).await.expect_err(url);
        assert!(matches!(error, CallError::Malformed(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("secret-path"), "{error:?}");
    }
}
