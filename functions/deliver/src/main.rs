//! `deliver`: tries one destination for each message of `deliveries.fifo`; on a schedule, looks after those that are
//! paused. See [`shared::deliver`].

use std::process::ExitCode;

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
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

    run(service_fn(async |event: LambdaEvent<Value>| {
        if event.payload.get("Records").is_none() {
            // What the schedule sends says nothing that the clock does not.
            let ticked = deliver.tick(function::deadline(event.context.deadline)).await?;
            tracing::info!(ticked.probed, ticked.sent, ticked.failed, ticked.opened, "looked after what is paused");
            return Ok(Value::Null);
        }
        let mut batch = Batch::from(serde_json::from_value::<SqsEvent>(event.payload)?);
        let failed = deliver.handle(batch.take()).await;
        Ok::<_, Error>(serde_json::to_value(batch.answer(failed))?)
    }))
    .await
}
