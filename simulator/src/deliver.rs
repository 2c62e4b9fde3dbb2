//! How a webhook leaves the simulator: over plain HTTP, or straight into a router.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::ServiceExt as _;

/// More of an answer is not read: Sentry ignores a webhook's answer but for the status.
const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;

/// Why an attempt got no answer. Sentry treats all of them alike: as a failure worth repeating.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    #[error("no answer within the time-out")]
    TimedOut,
    /// No connection: refused, no such host, or an address that this way of sending does not serve.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Connected, then cut or talked nonsense.
    #[error("broke off: {0}")]
    Broken(String),
}

/// What [`Deliver::send`] returns.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Bytes>, SendFailure>> + Send>>;

/// Sends one request and waits for its answer. It follows no redirects, repeats nothing, and gives up at `timeout` with
/// [`SendFailure::TimedOut`].
pub trait Deliver: Send + Sync {
    fn send(&self, request: Request<Bytes>, timeout: Duration) -> Answering;
}

/// Plain HTTP/1.1, a connection a request. Made for the loopback interface: no TLS, no proxy.
#[derive(Clone, Copy, Debug, Default)]
pub struct OverHttp;

impl Deliver for OverHttp {
    fn send(&self, request: Request<Bytes>, timeout: Duration) -> Answering {
        Box::pin(
            async move { tokio::time::timeout(timeout, exchange(request)).await.unwrap_or(Err(SendFailure::TimedOut)) },
        )
    }
}

async fn exchange(mut request: Request<Bytes>) -> Result<Response<Bytes>, SendFailure> {
    let uri = request.uri().clone();
    if uri.scheme_str() != Some("http") {
        return Err(SendFailure::Unreachable("only http:// addresses are served".to_owned()));
    }
    let authority = uri.authority().ok_or_else(|| SendFailure::Unreachable("an address without a host".to_owned()))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80)))
        .await
        .map_err(|error| SendFailure::Unreachable(error.to_string()))?;

    let value =
        HeaderValue::from_str(authority.as_str()).map_err(|error| SendFailure::Unreachable(error.to_string()))?;
    request.headers_mut().insert(header::HOST, value);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(|error| SendFailure::Unreachable(error.to_string()))?;

    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .title_case_headers(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| SendFailure::Broken(error.to_string()))?;
    // Polled here and not in a task of its own: when the time is up, the connection must go with the request.
    let answer = async {
        let answer =
            sender.send_request(request.map(Full::new)).await.map_err(|e| SendFailure::Broken(e.to_string()))?;
        collect(answer).await
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Err(error) => Err(SendFailure::Broken(error.to_string())),
            Ok(()) => answer.await,
        },
    }
}

async fn collect<B>(answer: Response<B>) -> Result<Response<Bytes>, SendFailure>
where
    B: hyper::body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = answer.into_parts();
    let body =
        Limited::new(body, ANSWER_LIMIT_BYTES).collect().await.map_err(|e| SendFailure::Broken(e.to_string()))?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// Straight into a router, without a socket; scheme and host of the address are ignored.
#[derive(Clone, Debug)]
pub struct IntoRouter(pub Router);

impl Deliver for IntoRouter {
    fn send(&self, request: Request<Bytes>, timeout: Duration) -> Answering {
        let router = self.0.clone();
        Box::pin(async move {
            let answer = async {
                let answer = router.oneshot(request.map(Body::from)).await.map_err(|never: Infallible| match never {});
                collect(answer?).await
            };
            tokio::time::timeout(timeout, answer).await.unwrap_or(Err(SendFailure::TimedOut))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::routing::post;
    use tokio::net::TcpListener;

    async fn server(router: Router) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn to(url: &str) -> Request<Bytes> {
        Request::post(url).header("sentry-hook-resource", "issue").body(Bytes::from_static(b"hello")).unwrap()
    }

    #[tokio::test]
    async fn a_request_reaches_a_real_socket_with_path_query_host_and_length() {
        let router = Router::new().route(
            "/webhook",
            post(|request: axum::extract::Request| async move {
                let headers = request.headers();
                let text = format!(
                    "{} {} {}",
                    request.uri(),
                    headers["host"].to_str().unwrap(),
                    headers["content-length"].to_str().unwrap()
                );
                (http::StatusCode::ACCEPTED, text)
            }),
        );
        let base = server(router).await;
        let answer = OverHttp.send(to(&format!("{base}/webhook?a=1")), Duration::from_secs(5)).await.unwrap();
        assert_eq!(answer.status(), 202);
        assert_eq!(*answer.body(), format!("/webhook?a=1 {} 5", base.trim_start_matches("http://")));
    }

    #[tokio::test]
    async fn each_way_to_get_no_answer_is_told_apart() {
        let slow = Router::new().route("/", post(|| async { tokio::time::sleep(Duration::from_secs(30)).await }));
        let slow = server(slow).await;
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = format!("http://{}", closed.local_addr().unwrap());
        drop(closed);
        let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cut = format!("http://{}", rude.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = rude.accept().await {
                drop(stream);
            }
        });

        let wait = Duration::from_millis(100);
        assert_eq!(OverHttp.send(to(&slow), wait).await.unwrap_err(), SendFailure::TimedOut);
        assert!(matches!(OverHttp.send(to(&refused), wait).await, Err(SendFailure::Unreachable(_))));
        assert!(matches!(OverHttp.send(to(&cut), wait).await, Err(SendFailure::Broken(_))));
        assert!(matches!(OverHttp.send(to("https://127.0.0.1/"), wait).await, Err(SendFailure::Unreachable(_))));
    }

    #[tokio::test]
    async fn a_router_is_reached_without_a_socket_and_within_the_same_time() {
        let router = Router::new()
            .route("/fast", post(|| async { "here" }))
            .route("/slow", post(|| async { tokio::time::sleep(Duration::from_secs(30)).await }));
        let way = IntoRouter(router);
        let answer = way.send(to("http://app/fast"), Duration::from_secs(5)).await.unwrap();
        assert_eq!(*answer.body(), "here");
        let late = way.send(to("http://app/slow"), Duration::from_millis(50)).await;
        assert_eq!(late.unwrap_err(), SendFailure::TimedOut);
    }
}
