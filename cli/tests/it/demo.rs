//! The story, told by the real binary.

use std::process::Command;

use serde_json::Value;

#[test]
fn the_demo_exits_0_and_every_step_happened() {
    let output = Command::new(env!("CARGO_BIN_EXE_switchboard")).args(["demo", "--json"]).env_clear().output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let steps: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(steps.len(), 7, "{said}");
    for step in &steps {
        assert_eq!(step["happened"], true, "{step}");
        assert!(!step["wire"].as_array().unwrap().is_empty(), "{step}");
    }
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
