//! `components`: `/components/*`, what Sentry's own pages ask for. See [`shared::components`].

use std::process::ExitCode;

use lambda_http::{Error, Request, run, service_fn};
use shared::components::Components;
use shared::telemetry;
use shared_aws::{Use, function, gateway};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init_function();
    function::end(serve().await)
}

async fn serve() -> Result<(), Error> {
    let uses = [Use::App, Use::Destinations, Use::Settings, Use::Installations, Use::Deliveries];
    let (platform, _) = function::start(&uses).await?;
    let components = Components::new(platform);
    components.warm_up().await;

    run(service_fn(async |request: Request| {
        let (head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        let body = gateway::bytes(body);
        Ok::<_, Error>(components.handle(&head.method, head.uri.path(), query, &head.headers, body).await)
    }))
    .await
}
