//! One external command with a deadline.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

/// What ran badly, with the end of what it printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("cannot run {program}")]
    Spawn { program: String, source: io::Error },
    #[error("{program} took longer than {} s", after.as_secs())]
    Late { program: String, after: Duration },
    #[error("{program} failed ({status}): {output}")]
    Failed { program: String, status: std::process::ExitStatus, output: String },
}

/// Runs `command` to its end and returns what it printed. It is killed at the deadline and when the caller is
/// cancelled.
pub(crate) async fn run(command: Command, deadline: Duration) -> Result<String, CommandError> {
    run_with_input(command, "", deadline).await
}

/// [`run`] with `input` on the command's standard input.
pub(crate) async fn run_with_input(
    mut command: Command,
    input: &str,
    deadline: Duration,
) -> Result<String, CommandError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let spawn_error = |source| CommandError::Spawn { program: program.clone(), source };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(spawn_error)?;

    let finish = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A command that ends without reading its input is judged by its status.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(deadline, finish)
        .await
        .map_err(|_elapsed| CommandError::Late { program: program.clone(), after: deadline })?
        .map_err(spawn_error)?;

    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let output_end = tail(&format!("{stdout}{stderr}"), 20);
    Err(CommandError::Failed { program, status: output.status, output: output_end })
}

/// The last `lines` lines of `text`.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::{CommandError, run, run_with_input, tail};

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_at_its_deadline() {
        let started = Instant::now();
        let result = run(sh("exec sleep 60"), Duration::from_millis(100)).await;
        assert!(matches!(result, Err(CommandError::Late { .. })), "{result:?}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_failure_carries_what_was_printed() {
        let error = run(sh("echo the reason >&2; exit 3"), Duration::from_secs(10)).await.unwrap_err();
        assert!(error.to_string().contains("the reason"), "{error}");
    }

    #[tokio::test]
    async fn input_reaches_the_command() {
        let printed = run_with_input(sh("cat"), "some input", Duration::from_secs(10)).await.unwrap();
        assert_eq!(printed, "some input");
    }

    #[test]
    fn tail_keeps_the_end() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
        assert_eq!(tail("", 2), "");
    }
}
