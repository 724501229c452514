//! `cargo xtask ci`: what CI runs, step for step, and what a developer runs before sending a change.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use tokio::process::Command;

use crate::{
    codegen, layering, sqlx_cache,
    workspace::{self, Freshness},
};

/// One step, and the command line that repeats it by hand.
struct Step {
    name: &'static str,
    /// Variables, then the command, separated by single spaces.
    command: &'static str,
    work: Work,
}

/// Who does a step's work.
enum Work {
    /// The command.
    Command,
    /// This process: the command would only build it again, with other features.
    Codegen,
    Sqlx,
    Layering,
}

/// Whatever is built is built with failpoints, so that the tests of faults need no second build. Only the documentation
/// is made without them, as a release is: what it reads of the workspace is shared with no other step anyway.
const STEPS: [Step; 10] = [
    Step { name: "format", command: "cargo fmt --all --check", work: Work::Command },
    Step { name: "layering", command: "cargo xtask layering", work: Work::Layering },
    Step { name: "generated code", command: "cargo xtask codegen --check", work: Work::Codegen },
    Step { name: "SQL descriptions", command: "cargo xtask sqlx --check", work: Work::Sqlx },
    Step {
        name: "lints",
        command: "cargo clippy --workspace --all-targets --features mestres/failpoints -- -D warnings",
        work: Work::Command,
    },
    Step {
        name: "documentation",
        command: "RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps",
        work: Work::Command,
    },
    Step {
        name: "build of the tests",
        command: "cargo test --workspace --features mestres/failpoints --no-run",
        work: Work::Command,
    },
    // To the end: one run tells of every failure.
    Step {
        name: "tests",
        command: "cargo test --workspace --features mestres/failpoints --no-fail-fast",
        work: Work::Command,
    },
    // First whether violations would be seen at all.
    Step {
        name: "the checker of faults",
        command: "cargo test --workspace --features mestres/failpoints --test chaos -- self-test",
        work: Work::Command,
    },
    // It prints the phase that went wrong, with the command that plays that phase alone.
    Step {
        name: "faults",
        command: "cargo test --workspace --features mestres/failpoints --test chaos -- smoke",
        work: Work::Command,
    },
];

/// Dependencies' licences, bans and sources; needs a tool that is not everywhere.
const DENY: Step =
    Step { name: "dependencies", command: "cargo deny check bans licenses sources", work: Work::Command };

pub(crate) async fn run() -> anyhow::Result<()> {
    let root = workspace::root();
    let started = Instant::now();
    let mut times = Vec::new();
    for step in &STEPS {
        times.push((step.name, step.run(&root).await?));
    }
    if is_installed("cargo-deny").await {
        times.push((DENY.name, DENY.run(&root).await?));
    } else {
        println!("\n=== {} === skipped: `cargo install cargo-deny` first", DENY.name);
    }
    println!();
    for (name, took) in times {
        println!("ok  {:>7.1} s  {name}", took.as_secs_f64());
    }
    println!("\nci: everything passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

impl Step {
    async fn run(&self, root: &Path) -> anyhow::Result<Duration> {
        println!("\n=== {} === {}", self.name, self.command);
        let started = Instant::now();
        let outcome = self.work(root).await;
        let took = started.elapsed().as_secs_f64();
        outcome.map_err(|error| {
            let Self { name, command, .. } = self;
            anyhow!("step \"{name}\" FAILED after {took:.1} s: {error:#}\nrepeat it with: {command}")
        })?;
        println!("--- {} passed in {took:.1} s", self.name);
        Ok(started.elapsed())
    }

    async fn work(&self, root: &Path) -> anyhow::Result<()> {
        match self.work {
            Work::Codegen => codegen::run(Freshness::Checked),
            Work::Sqlx => sqlx_cache::run(Freshness::Checked).await,
            Work::Layering => layering::run(),
            Work::Command => {
                let status = command(self.command).current_dir(root).status().await;
                let status = status.with_context(|| format!("starting `{}`", self.command))?;
                ensure!(status.success(), "{status}");
                Ok(())
            }
        }
    }
}

/// Splits at spaces, leading `NAME=value` words become variables. No shell, hence no quoting.
fn command(line: &str) -> Command {
    let (variables, words): (Vec<&str>, Vec<&str>) = {
        let words: Vec<&str> = line.split(' ').collect();
        let variables = words.iter().take_while(|word| word.contains('=')).count();
        (words[..variables].to_vec(), words[variables..].to_vec())
    };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command.envs(variables.iter().filter_map(|variable| variable.split_once('=')));
    command
}

async fn is_installed(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output().await;
    output.is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_step_says_how_to_repeat_it() {
        let root = workspace::root();
        let failing = Step { name: "nothing", command: "ls --no-such-option", work: Work::Command };
        let error = failing.run(&root).await.unwrap_err().to_string();
        assert!(error.starts_with("step \"nothing\" FAILED after "), "{error}");
        assert!(error.ends_with("repeat it with: ls --no-such-option"), "{error}");
    }

    #[tokio::test]
    async fn variables_before_the_command_are_set() {
        let output = command("GREETING=bom-dia printenv GREETING").output().await.unwrap();
        assert_eq!(output.stdout, b"bom-dia\n");
    }
}
