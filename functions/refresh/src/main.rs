//! `refresh`: looks, on a schedule, after the installations that are due. See [`shared::refresh`].

use std::process::ExitCode;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use shared::refresh::Refresh;
use shared::telemetry;
use shared_aws::{Use, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init_function();
    function::end(serve().await)
}

async fn serve() -> Result<(), Error> {
    let (platform, base_url) = function::start(&[Use::App, Use::TokenKey, Use::Installations]).await?;
    let refresh = Refresh::new(platform, base_url);

    // What the schedule sends says nothing that the clock does not.
    run(service_fn(async |event: LambdaEvent<Value>| {
        let tick = refresh.tick(function::deadline(event.context.deadline)).await?;
        tracing::info!(tick.renewed, tick.failed, tick.removed, tick.left_over, "looked after what was due");
        Ok::<_, Error>(())
    }))
    .await
}
