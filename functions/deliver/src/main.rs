//! `deliver`: makes one call to one destination for each message of `deliveries.fifo`. See [`shared::deliver`].

use std::process::ExitCode;

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::deliver::Deliver;
use shared::telemetry;
use shared_aws::Use;
use shared_aws::function::{self, Batch};

const USES: [Use; 5] = [Use::Destinations, Use::Settings, Use::Deliveries, Use::Events, Use::Outbox];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init_function();
    function::end(serve().await)
}

async fn serve() -> Result<(), Error> {
    let (platform, base_url) = function::start(&USES).await?;
    let deliver = Deliver::new(platform, base_url);

    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let mut batch = Batch::from(event.payload);
        let failed = deliver.handle(batch.take()).await;
        Ok::<_, Error>(batch.answer(failed))
    }))
    .await
}
