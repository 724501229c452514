//! Keeps a process running: starts it, notes when it is ready, starts it again when it ends, stops it on request.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::log_file::LogFile;
use crate::probe::{self, Readiness};

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A process that has lasted this long starts again without having to wait for its earlier crashes.
const STEADY_AFTER: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(20);
/// A service that takes traffic but misses something counts as ready after this long.
const WHOLE_WITHIN: Duration = Duration::from_secs(5);
const LOG_CHECK: Duration = Duration::from_secs(2);
const QUOTED_LINES: usize = 20;

/// After the first SIGTERM the process may finish what it has begun, after the second it drops it.
const DRAIN_WITHIN: Duration = Duration::from_millis(600);
const DROP_WITHIN: Duration = Duration::from_millis(250);
/// Nobody survives SIGKILL, but a busy machine takes its time to say so.
const REAP_WITHIN: Duration = Duration::from_secs(2);

/// What to run and how to tell that it works.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) executable: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Variables on top of our own environment; `None` takes one away.
    pub(crate) environment: Vec<(&'static str, Option<String>)>,
    pub(crate) log: LogFile,
    /// Where it answers `/health/ready`.
    pub(crate) internal_http: SocketAddr,
}

/// What happened to a program, by its name.
#[derive(Debug)]
pub(crate) enum Event {
    Started { name: String, pid: u32 },
    Ready { name: String, took: Duration },
    Ended { name: String, why: String, last_lines: Vec<String>, retry_in: Duration },
}

/// A program that is kept running until [`Supervised::stop`]. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Supervised {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervised {
    /// Events go to `events`; when nobody takes them, the program is kept running all the same.
    pub(crate) fn start(program: Program, events: mpsc::Sender<Event>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep_running(program, events, stop.clone()));
        Self { stop, task }
    }

    /// Ends the process, within a second as a rule: SIGTERM, SIGTERM again, SIGKILL.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        // The task cannot panic but by a bug, and then its child was killed when it was dropped.
        let _ended = (&mut self.task).await;
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_running(program: Program, events: mpsc::Sender<Event>, stop: CancellationToken) {
    let mut backoff = BACKOFF_FIRST;
    loop {
        let started = Instant::now();
        let why = match program.spawn() {
            Ok(child) => match watch(child, &program, &events, &stop).await {
                Some(status) => how_it_ended(status),
                None => return,
            },
            Err(error) => format!("did not start: {error:#}"),
        };
        if started.elapsed() > STEADY_AFTER {
            backoff = BACKOFF_FIRST;
        }
        let last_lines = program.log.last_lines(QUOTED_LINES);
        let ended = Event::Ended { name: program.name.clone(), why, last_lines, retry_in: backoff };
        let _nobody_listens = events.send(ended).await;
        tokio::select! {
            () = tokio::time::sleep(backoff) => {}
            () = stop.cancelled() => return,
        }
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// Until the process ends by itself (its status) or was stopped on request (`None`).
async fn watch(
    mut child: Child,
    program: &Program,
    events: &mpsc::Sender<Event>,
    stop: &CancellationToken,
) -> Option<ExitStatus> {
    let pid = child.id()?;
    let started = Instant::now();
    // The process reads this until its end: when we are gone, however we went, so is it.
    let _lifeline = child.stdin.take();
    let _nobody_listens = events.send(Event::Started { name: program.name.clone(), pid }).await;

    let announce_ready = async {
        loop {
            match probe::ready(program.internal_http).await {
                Ok(Readiness::Whole) => break,
                // Others of the shop may still be starting; who waits longer waits for nothing.
                Ok(Readiness::Degraded) if started.elapsed() > WHOLE_WITHIN => break,
                Ok(Readiness::Degraded) | Err(_) => tokio::time::sleep(READY_POLL).await,
            }
        }
        let ready = Event::Ready { name: program.name.clone(), took: started.elapsed() };
        let _nobody_listens = events.send(ready).await;
        std::future::pending::<()>().await;
    };
    let mind_the_log = async {
        loop {
            tokio::time::sleep(LOG_CHECK).await;
            // A log that cannot be shortened is no reason to stop the shop.
            let _still_long = program.log.cut_back();
        }
    };
    let status = tokio::select! {
        status = child.wait() => Some(status),
        () = announce_ready => None,
        () = mind_the_log => None,
        () = stop.cancelled() => None,
    };
    match status {
        Some(status) => Some(status.unwrap_or_else(|_| ExitStatus::from_raw(0))),
        None => {
            end(&mut child, pid).await;
            None
        }
    }
}

async fn end(child: &mut Child, pid: u32) {
    for (signal, patience) in
        [(Signal::SIGTERM, DRAIN_WITHIN), (Signal::SIGTERM, DROP_WITHIN), (Signal::SIGKILL, REAP_WITHIN)]
    {
        send(signal, pid);
        if tokio::time::timeout(patience, child.wait()).await.is_ok() {
            return;
        }
    }
}

fn send(signal: Signal, group: u32) {
    let Ok(group) = i32::try_from(group) else { return };
    // A group that has just ended is what we want.
    let _already_gone = killpg(Pid::from_raw(group), signal);
}

fn how_it_ended(status: ExitStatus) -> String {
    match status.signal().map(Signal::try_from) {
        Some(Ok(signal)) => format!("was killed by {signal}"),
        Some(Err(_)) | None => format!("ended with {status}"),
    }
}

impl Program {
    fn spawn(&self) -> anyhow::Result<Child> {
        self.log.cut_back().with_context(|| format!("cannot shorten {}", self.log.path().display()))?;
        let (out, err) = self.log.for_child()?;
        let mut command = Command::new(&self.executable);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            // Its own group: Ctrl-C reaches us alone, and we stop things in order.
            .process_group(0)
            .kill_on_drop(true);
        for (variable, value) in &self.environment {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        command.spawn().with_context(|| format!("cannot run {}", self.executable.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A shell script as the program, and a listener that says "ready" for it.
    async fn supervised(script: &str) -> (tempfile::TempDir, Supervised, mpsc::Receiver<Event>) {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let internal_http = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 1024];
                let _asked = stream.read(&mut head).await;
                let report = b"HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{\"status\":\"ready\"}";
                let _told = stream.write_all(report).await;
            }
        });
        let program = Program {
            name: "script".to_owned(),
            executable: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("GREETING", Some("olá".to_owned())), ("HOME", None)],
            log: LogFile::begin(folder.path(), "script").unwrap(),
            internal_http,
        };
        let (sender, events) = mpsc::channel(16);
        (folder, Supervised::start(program, sender), events)
    }

    async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
        let next = tokio::time::timeout(Duration::from_secs(10), events.recv()).await;
        next.expect("an event within 10 s").expect("the supervisor goes on")
    }

    #[tokio::test]
    async fn a_crash_is_explained_and_followed_by_a_start() {
        let (_folder, program, mut events) = supervised("echo $GREETING ${HOME-without}; exit 3").await;

        let Event::Started { pid: first, .. } = next(&mut events).await else { panic!("not started") };
        let why = loop {
            match next(&mut events).await {
                Event::Ended { why, last_lines, retry_in, .. } => {
                    assert_eq!(last_lines, ["olá without"]);
                    assert_eq!(retry_in, BACKOFF_FIRST);
                    break why;
                }
                Event::Ready { .. } => {}
                Event::Started { .. } => panic!("started before it had ended"),
            }
        };
        assert_eq!(why, "ended with exit status: 3");

        let Event::Started { pid: second, .. } = next(&mut events).await else { panic!("not started again") };
        assert_ne!(first, second);
        program.stop().await;
    }

    #[tokio::test]
    async fn a_process_that_ignores_sigterm_is_gone_within_two_seconds() {
        let (_folder, program, mut events) = supervised("trap '' TERM; while :; do sleep 0.1; done").await;
        let Event::Started { pid, .. } = next(&mut events).await else { panic!("not started") };
        let Event::Ready { .. } = next(&mut events).await else { panic!("not ready") };

        let begun = Instant::now();
        program.stop().await;

        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        // A killed grandchild is in the group until the system's first process has collected it.
        let group = Pid::from_raw(i32::try_from(pid).unwrap());
        testkit::eventually(Duration::from_secs(20), "nobody of the group is left", async || {
            killpg(group, None).is_err().then_some(())
        })
        .await;
    }

    #[test]
    fn a_signal_is_named() {
        assert_eq!(how_it_ended(ExitStatus::from_raw(9)), "was killed by SIGKILL");
        assert_eq!(how_it_ended(ExitStatus::from_raw(256)), "ended with exit status: 1");
    }
}
