//! Matching an event allocates for its deliveries, and nothing that grows with the number of routes.
//!
//! A binary of its own: the allocator that counts is the whole process's.

use std::alloc::System;
use std::fmt::Write;

use serde_json::json;
use shared::normalized::{Normalized, Project};
use shared::routing::{Decision, LookedUp, Routes};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// So many routes with every operator, of which the last alone takes the event.
fn routes(count: usize) -> Routes {
    let mut file = String::from("[[destination]]\nname = \"log\"\ntype = \"console\"\n");
    let mut route = |name: usize, when: &str| {
        let _ = writeln!(file, "[[route]]\nname = \"{name}\"\nto = [\"log\"]\nwhen = {when}");
    };
    for number in 0..count {
        let when = match number % 6 {
            0 => "{ event = \"issue.*\", project = { ignore_case = \"FRONTEND\" } }",
            1 => "{ title = { glob = \"*tïmeout*\", ignore_case = true }, level = [\"error\", \"fatal\"] }",
            2 => "{ project = { not = [\"backend\", { prefix = \"shop\" }] } }",
            3 => "{ data.event.frames.line = { gt = 5 }, tag.browser.name = { suffix = \"fox\" } }",
            4 => "{ any = [{ level = \"fatal\" }, { environment = { exists = true }, tag.tier = \"9\" }] }",
            _ => "{ data.event.culprit = \"x\" }\nunless = { organization = \"acme\" }",
        };
        route(number, when);
    }
    route(count, "{ event = \"error.created\" }");
    Routes::compile(&file).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]))
}

#[test]
fn matching_allocates_as_much_for_ten_thousand_routes_as_for_ten() {
    let event = Normalized {
        event: "error.created".into(),
        resource: "error".into(),
        action: "created".into(),
        organization: Some("acme".into()),
        project: Some(Project { id: None, slug: Some("backend".into()), name: Some("Backend".into()) }),
        level: Some("error".into()),
        title: Some("TÏMEOU".repeat(50)),
        environment: Some("production".into()),
        tags: [("browser.name".to_owned(), "Firefox".to_owned())].into(),
        ..Normalized::default()
    };
    let raw = json!({ "data": { "event": { "frames": [{ "line": 1 }, { "line": 2 }], "culprit": "x" } } });
    let allocations = [10, 10_000].map(|count| {
        let routes = routes(count);
        let counted = || {
            let region = Region::new(ALLOCATOR);
            let decision = routes.decide(&event, &raw, LookedUp::Yes);
            let allocations = region.change().allocations;
            assert!(matches!(decision, Decision::Deliver(planned) if planned.len() == 1));
            allocations
        };
        // What the test runner allocates beside it is not ours.
        (0..10).map(|_| counted()).min().expect("ten tries")
    });
    assert_eq!(allocations[0], allocations[1]);
    assert!(allocations[0] > 0, "a delivery is allocated, so the counter counts");
}
