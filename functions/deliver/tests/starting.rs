//! The environment that the template gives to `deliver`.

#[path = "../../starting.rs"]
mod starting;

#[test]
fn a_variable_that_is_missing_is_named_in_one_line() {
    starting::names_what_is_missing(
        env!("CARGO_BIN_EXE_deliver"),
        &["DESTINATIONS_SECRET_ID", "DELIVERIES_TABLE", "SETTINGS_TABLE", "EVENTS_QUEUE_URL", "DELIVERIES_QUEUE_URL"],
    );
}
