//! The environment that the template gives to `refresh`.

#[path = "../../starting.rs"]
mod starting;

#[test]
fn a_variable_that_is_missing_is_named_in_one_line() {
    starting::names_what_is_missing(
        env!("CARGO_BIN_EXE_refresh"),
        &["APP_SECRET_ID", "TOKEN_KEY_SECRET_ID", "INSTALLATIONS_TABLE"],
    );
}
