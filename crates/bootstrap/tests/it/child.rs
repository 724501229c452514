//! Stories that need a process of their own: this test binary again, with one ignored test as its `main`.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{ChildStderr, Command},
    time::timeout,
};

const LONG: Duration = Duration::from_secs(60);

/// What a story left behind.
pub(crate) struct Ended {
    /// Its log lines.
    pub(crate) lines: Vec<serde_json::Value>,
    /// Its whole standard error.
    pub(crate) raw: String,
}

/// A story that is running.
pub(crate) struct Running {
    process: tokio::process::Child,
    log: Lines<BufReader<ChildStderr>>,
}

/// Runs a story to its end and expects it to pass.
pub(crate) async fn child(story: &str, environment: &[(&str, &str)]) -> Ended {
    let output = timeout(LONG, command(story, environment).output()).await.expect("the child hangs").unwrap();
    let raw = String::from_utf8(output.stderr).unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{story} failed:\n{stdout}\n{raw}");
    assert!(stdout.contains("1 passed"), "{story} did not run:\n{stdout}");
    let lines = raw.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Ended { lines, raw }
}

impl Running {
    pub(crate) fn start(story: &str, environment: &[(&str, &str)]) -> Self {
        let mut process = command(story, environment).spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap()).lines();
        Self { process, log }
    }

    /// Waits for a log line with this message.
    pub(crate) async fn says(&mut self, message: &str) {
        timeout(LONG, async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if line["message"] == message {
                    return;
                }
            }
            panic!("the child ended without saying {message:?}");
        })
        .await
        .unwrap_or_else(|_| panic!("the child never said {message:?}"));
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = self.process.id().expect("the child runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
    }

    /// Waits for its end and expects it to have passed.
    pub(crate) async fn ends(mut self, within: Duration) {
        let status = timeout(within, self.process.wait()).await.expect("the child does not end").unwrap();
        let mut stdout = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut stdout).await.unwrap();
        assert!(status.success(), "{status}:\n{stdout}");
    }
}

fn command(story: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", story, "--nocapture", "--test-threads=1"])
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("MESTRES_DRAIN_DELAY_S")
        .env_remove("MESTRES_LOG")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}
