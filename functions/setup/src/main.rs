//! `setup`: `GET /setup`, where Sentry sends the browser after an install. See [`shared::setup`].

use std::process::ExitCode;

use lambda_http::{Error, Request, run, service_fn};
use shared::setup::Setup;
use shared::telemetry;
use shared_aws::{Use, function, gateway};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init_function();
    function::end(serve().await)
}

async fn serve() -> Result<(), Error> {
    let (platform, base_url) = function::start(&[Use::App, Use::TokenKey, Use::Installations]).await?;
    let setup = Setup::new(platform, base_url);

    run(service_fn(async |request: Request| {
        let began = gateway::began(&request);
        Ok::<_, Error>(setup.handle(request.uri().query().unwrap_or_default(), began).await)
    }))
    .await
}
