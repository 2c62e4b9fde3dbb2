//! `dispatch`: what waits on `events.fifo` is an install or goes, by the routes, to destinations. See
//! [`shared::dispatch`].

use std::process::ExitCode;

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::dispatch::Dispatch;
use shared::telemetry;
use shared_aws::Use;
use shared_aws::function::{self, Batch};

const USES: [Use; 7] =
    [Use::App, Use::TokenKey, Use::Installations, Use::Settings, Use::Deliveries, Use::Events, Use::Outbox];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init_function();
    function::end(serve().await)
}

async fn serve() -> Result<(), Error> {
    let (platform, base_url) = function::start(&USES).await?;
    let dispatch = Dispatch::new(platform, base_url);

    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let mut batch = Batch::from(event.payload);
        let failed = dispatch.handle(batch.take(), function::deadline(event.context.deadline)).await;
        Ok::<_, Error>(batch.answer(failed))
    }))
    .await
}
