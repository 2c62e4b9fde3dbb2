//! What a routes file says about a message, as it arrives.

use shared::ports::DeliveryState;

use crate::world::{BACKEND_RINGS, World, issue};

async fn world(title: &str) -> World {
    let world = World::new().await;
    let templates = format!(
        "{BACKEND_RINGS}title = \"{title}\"\nmessage = \"{{{{ short_id }}}} of {{{{ project_name }}}}\"\nfields = {{}}\n"
    );
    world.push_routes(&templates).await;
    world.installed().await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_routes_templates_form_what_arrives() {
    let world = world("{{ level|upper }}: {{ title }}").await;
    issue(&world, "Backend", "{{ 7 }} <b>{% set x = 1 %}").await;
    world.work().await;
    let rung = world.rung();
    assert_eq!(rung[0].title.as_deref(), Some("ERROR: {{ 7 }} <b>{% set x = 1 %}"));
    assert_eq!(rung[0].message, "BACKEND-1 of Backend");
    assert_eq!(world.records().await[0].warning, None);
}

#[tokio::test(start_paused = true)]
async fn a_template_that_fails_leaves_the_default_and_a_warning_in_the_record() {
    let world = world("{{ title|items }}").await;
    issue(&world, "Backend", "ValueError: division by zero").await;
    world.work().await;
    let rung = world.rung();
    assert_eq!(rung[0].title.as_deref(), Some("ValueError: division by zero"));
    assert_eq!(rung[0].message, "BACKEND-1 of Backend");
    let record = &world.records().await[0];
    assert_eq!(record.state, DeliveryState::Sent);
    let warning = "the template of `title` failed: `items` takes a map, such as `tags`";
    assert_eq!(record.warning.as_deref(), Some(warning));
}
