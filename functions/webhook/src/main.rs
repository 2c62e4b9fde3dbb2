//! `webhook`: takes Sentry's `POST /webhook`, checks it, puts it on `events.fifo`. See [`shared::webhook`].

use std::process::ExitCode;
use std::sync::Arc;

use lambda_http::{Error, Request, run, service_fn};
use shared::ports::{Secret, SystemClock};
use shared::secrets::AppSecrets;
use shared::telemetry;
use shared::webhook::Webhook;
use shared_aws::{SecretsManager, Sqs, Use, function, gateway, sdk_config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init_function();
    function::end(serve().await)
}

async fn serve() -> Result<(), Error> {
    // Two ports and not the whole platform: neither DynamoDB nor a client for outgoing calls is linked.
    function::check(&[Use::App, Use::Events])?;
    let config = sdk_config().await?;
    let secrets = AppSecrets::new(SecretsManager::from_env(&config, &[Secret::App])?, SystemClock);
    let webhook = Arc::new(Webhook { secrets, queue: Sqs::events_from_env(&config)?, clock: SystemClock });

    tokio::spawn(warm_up(Arc::clone(&webhook)));
    run(service_fn(async |request: Request| {
        let began = gateway::began(&request);
        let (head, body) = request.into_parts();
        Ok::<_, Error>(webhook.handle(&head.headers, gateway::bytes(body), began).await)
    }))
    .await
}

/// Sentry's one second covers a cold start, so both connections are opened beside it. What fails here the first event
/// tries again.
async fn warm_up(webhook: Arc<Webhook<SecretsManager, Sqs, SystemClock>>) {
    let (app, ()) = tokio::join!(webhook.secrets.current(), webhook.queue.connect());
    if let Err(error) = app {
        tracing::warn!("not read ahead: {error}");
    }
}
