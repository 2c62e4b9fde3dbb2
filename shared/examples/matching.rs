//! What it costs to match an event against routes: nanoseconds a route, for files of several sizes.
//!
//! `cargo run --release -p shared --example matching` prints a line a size: the number of routes, then what each
//! round took. Each route asks for event, project, level and a tag, as people's do; two of all take the event.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use serde_json::json;
use shared::normalized::{Normalized, Project};
use shared::routing::{Decision, LookedUp, Routes};

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
const ROUNDS: usize = 21;
/// Of one round, for each size: some ten milliseconds.
const ROUTES_A_ROUND: usize = 500_000;

fn main() {
    let event = Normalized {
        event: "event_alert.triggered".into(),
        resource: "event_alert".into(),
        action: "triggered".into(),
        organization: Some("acme".into()),
        project: Some(Project { id: Some("7".into()), slug: Some("service-7".into()), name: Some("Service 7".into()) }),
        level: Some("error".into()),
        environment: Some("production".into()),
        title: Some("ValueError: division by zero".into()),
        issue: Some("4711".into()),
        tags: [("browser.name", "Firefox"), ("os", "Linux"), ("server_name", "web-3"), ("tier", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Normalized::default()
    };
    let raw = json!({ "action": "triggered", "data": { "event": { "issue_id": "4711" } } });
    let files: Vec<(usize, Routes)> = SIZES.iter().map(|size| (*size, routes(*size))).collect();
    let mut rounds = vec![Vec::new(); SIZES.len()];
    // By turns, so that all get their share of whatever else the machine does. The first is not counted.
    for round in 0..=ROUNDS {
        for ((size, routes), rounds) in files.iter().zip(&mut rounds) {
            let times = ROUTES_A_ROUND / size;
            let begun = Instant::now();
            for _ in 0..times {
                let decision = routes.decide(black_box(&event), black_box(&raw), LookedUp::No);
                let Decision::Deliver(planned) = black_box(decision) else { panic!("nothing hangs on a look-up") };
                assert_eq!(planned.len(), 2);
            }
            let nanoseconds = begun.elapsed().as_secs_f64() * 1e9;
            if round > 0 {
                rounds.push(nanoseconds / f64::from(u32::try_from(times * size).expect("a round is small")));
            }
        }
    }
    for (size, rounds) in SIZES.iter().zip(&rounds) {
        let rounds: Vec<String> = rounds.iter().map(|nanoseconds| format!("{nanoseconds:.2}")).collect();
        println!("{size} {}", rounds.join(" "));
    }
}

fn routes(size: usize) -> Routes {
    let mut file = String::from(
        "[[destination]]\nname = \"a\"\ntype = \"console\"\n[[destination]]\nname = \"b\"\ntype = \"console\"\n",
    );
    for number in 0..size {
        let event = match number % 4 {
            0 => r#"["issue.created", "issue.unresolved"]"#,
            1 => r#""metric_alert.*""#,
            _ => r#"["issue.created", "event_alert.triggered"]"#,
        };
        // 3 and 7 take the event, each for a destination of its own.
        let project = if number == 3 { "Service 7".to_owned() } else { format!("service-{number}") };
        let to = if number == 3 { "a" } else { "b" };
        let _ = write!(
            file,
            "[[route]]\nname = \"route-{number}\"\nto = [\"{to}\"]\n\
             when = {{ event = {event}, project = \"{project}\", level = [\"error\", \"fatal\"], tag.tier = \"1\" }}\n"
        );
    }
    Routes::compile(&file).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]))
}
