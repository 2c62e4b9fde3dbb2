//! Queues, who works them off, and what runs by the clock.

use serde_json::{Value, json};

use crate::document::Template;

const FOURTEEN_DAYS_S: u64 = 14 * 24 * 60 * 60;

#[test]
fn queues_are_pairs_of_fifo_queues_in_high_throughput_mode() {
    let template = Template::read();
    let pairs = [("EventsQueue", "EventsDeadLetters"), ("DeliveriesQueue", "DeliveriesDeadLetters")];
    let queues = template.of_type("AWS::SQS::Queue");
    assert_eq!(queues.len(), 4);
    for (name, queue) in queues {
        assert_eq!(queue["FifoQueue"], true, "{name}");
        // Only both together make high throughput; AWS refuses the second alone, and no stand-in does.
        assert_eq!(queue["DeduplicationScope"], "messageGroup", "{name}");
        assert_eq!(queue["FifoThroughputLimit"], "perMessageGroupId", "{name}");
        assert_eq!(queue["MessageRetentionPeriod"], FOURTEEN_DAYS_S, "{name}");
        assert!(queue["ContentBasedDeduplication"].is_null(), "{name}: ids are ours");
    }
    for (queue, dead_letters) in pairs {
        let redrive =
            json!({ "deadLetterTargetArn": { "Fn::GetAtt": format!("{dead_letters}.Arn") }, "maxReceiveCount": 100 });
        assert_eq!(template.properties(queue)["RedrivePolicy"], redrive);
        assert!(template.properties(dead_letters)["RedrivePolicy"].is_null());
    }
}

#[test]
fn a_message_stays_hidden_long_enough_for_the_function_that_has_it() {
    let template = Template::read();
    // Six time-outs is AWS's advice, for throttled tries of a batch; `dispatch` gives back what it had no time for.
    for (queue, function, times) in [("DeliveriesQueue", "DeliverFunction", 6), ("EventsQueue", "DispatchFunction", 3)]
    {
        let hidden_s = template.properties(queue)["VisibilityTimeout"].as_u64().expect("a visibility time-out");
        assert_eq!(hidden_s, 180, "{queue}");
        assert!(hidden_s >= times * template.timeout_s(function), "{queue}");
    }
}

#[test]
fn mappings_report_single_failures_and_leave_concurrency_to_the_webhook() {
    let template = Template::read();
    let expected = [
        ("DispatchMapping", "DispatchFunction", "EventsQueue.Arn", 10, "DispatchConcurrency"),
        ("DeliverMapping", "DeliverFunction", "DeliveriesQueue.Arn", 1, "DeliverConcurrency"),
    ];
    assert_eq!(template.of_type("AWS::Lambda::EventSourceMapping").len(), expected.len());
    for (mapping, function, queue, batch, concurrency) in expected {
        assert_eq!(
            template.properties(mapping),
            &json!({
                "FunctionName": { "Ref": function },
                "EventSourceArn": { "Fn::GetAtt": queue },
                "BatchSize": batch,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "ScalingConfig": { "MaximumConcurrency": { "Ref": concurrency } },
            })
        );
        let parameter = &template.0["Parameters"][concurrency];
        assert_eq!(
            (&parameter["Default"], &parameter["MinValue"], &parameter["MaxValue"]),
            (&json!(2), &json!(2), &json!(1000))
        );
    }
}

#[test]
fn refresh_is_done_before_its_next_tick_begins() {
    let template = Template::read();
    let refresh = template.properties("RefreshFunction");
    let tick = &refresh["Events"]["Tick"];
    assert_eq!(tick["Type"], "ScheduleV2");
    assert_eq!(tick["Properties"]["ScheduleExpression"], "rate(5 minutes)");
    assert!(template.timeout_s("RefreshFunction") < 5 * 60);
    assert_eq!(refresh["EventInvokeConfig"]["MaximumRetryAttempts"], 0);
}

#[test]
fn deliver_looks_after_what_is_paused_every_minute_and_is_done_before_the_next() {
    let template = Template::read();
    let deliver = template.properties("DeliverFunction");
    let events = deliver["Events"].as_object().expect("events");
    assert_eq!(events.keys().collect::<Vec<_>>(), ["Tick"], "its queue comes by the mapping");
    assert_eq!(events["Tick"]["Type"], "ScheduleV2");
    let tick = &events["Tick"]["Properties"];
    assert_eq!(tick["ScheduleExpression"], "rate(1 minute)");
    let input: Value = serde_json::from_str(tick["Input"].as_str().expect("an input")).expect("JSON");
    assert!(input.get("Records").is_none(), "that is what tells a batch from a tick");
    assert!(template.timeout_s("DeliverFunction") < 40, "shorter than the lease on a destination");
    assert_eq!(deliver["EventInvokeConfig"]["MaximumRetryAttempts"], 0);
}
