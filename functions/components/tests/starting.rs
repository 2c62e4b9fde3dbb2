//! The environment that the template gives to `components`.

#[path = "../../starting.rs"]
mod starting;

#[test]
fn a_variable_that_is_missing_is_named_in_one_line() {
    starting::names_what_is_missing(
        env!("CARGO_BIN_EXE_components"),
        &["APP_SECRET_ID", "DESTINATIONS_SECRET_ID", "INSTALLATIONS_TABLE", "DELIVERIES_TABLE", "SETTINGS_TABLE"],
    );
}
