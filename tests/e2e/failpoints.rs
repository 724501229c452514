//! `MESTRES_FAILPOINTS` does what it says or nothing starts.

use std::process::{Command, Output};

fn version_with(failpoints: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mestres"))
        .arg("--version")
        .env("MESTRES_FAILPOINTS", failpoints)
        .output()
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn nothing_to_arm_starts_everywhere() {
    let output = version_with("");
    assert!(output.status.success(), "{}", errors(&output));
}

#[cfg(not(feature = "failpoints"))]
#[test]
fn a_build_without_failpoints_refuses_to_start_when_some_are_armed() {
    let output = version_with("ck.after_reserve=abort");
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("--features mestres/failpoints"), "{}", errors(&output));
}

#[cfg(feature = "failpoints")]
#[test]
fn a_build_with_failpoints_says_what_is_armed_and_refuses_what_it_cannot_read() {
    let output = version_with("ck.after_reserve=abort");
    assert!(output.status.success(), "{}", errors(&output));
    assert!(errors(&output).contains("MESTRES_FAILPOINTS: 1 armed"), "{}", errors(&output));
    let output = version_with("ck.after_reserve");
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("name=action"), "{}", errors(&output));
}
