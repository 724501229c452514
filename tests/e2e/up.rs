//! `mestres up`, as a newcomer types it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Starting, being found by a second `up`, answering, restarting a crashed service, and leaving
/// nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn up_runs_the_shop_and_leaves_no_process() {
    let folder = folder();
    let mut first = start(folder.path());
    let lines = read_until(&mut first, "ready in");
    let curl = lines.iter().find(|line| line.contains("curl ")).expect("a curl to try");
    let url = curl.split_whitespace().find(|word| word.contains("/api/v1/products")).unwrap();
    let url = if url.starts_with("http") { url.to_owned() } else { format!("http://{url}") };
    let body = reqwest::get(&url).await.unwrap().text().await.unwrap();
    assert!(body.contains("\"products\":[{"), "{body}");

    let second = Command::new(env!("CARGO_BIN_EXE_mestres"))
        .arg("up")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stdout).into_owned();
    assert!(second.status.success() && said.contains("/api/v1/products"), "{said}");

    let children = processes_below(folder.path(), first.id());
    assert!(children.len() >= 7, "three servers and four services at least: {children:?}");

    let asked = Instant::now();
    kill(Pid::from_raw(first.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let status =
        testkit::eventually(Duration::from_secs(10), "up has left", async || first.try_wait().unwrap()).await;
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < Duration::from_secs(6), "stopping took {:?}", asked.elapsed());
    testkit::eventually(Duration::from_secs(5), "no process is left", async || {
        children.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    })
    .await;
}

/// `up` itself is killed: its children notice and go.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_up_leaves_no_process() {
    let folder = folder();
    let mut up = start(folder.path());
    read_until(&mut up, "ready in");
    let children = processes_below(folder.path(), up.id());
    up.kill().unwrap();
    up.wait().unwrap();
    testkit::eventually(Duration::from_secs(30), "the children are gone", async || {
        children.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    })
    .await;
}

/// A folder outside any checkout, with the servers that this checkout has downloaded already.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.mestres/tools");
    if let Ok(tools) = std::fs::canonicalize(tools) {
        std::fs::create_dir(folder.path().join(".mestres")).unwrap();
        std::os::unix::fs::symlink(tools, folder.path().join(".mestres/tools")).unwrap();
    }
    folder
}

fn start(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mestres"))
        .args(["up", "--products", "40"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads the table until a line contains `mark`; panics when `up` ends before.
fn read_until(up: &mut Child, mark: &str) -> Vec<String> {
    let mut reader = BufReader::new(up.stdout.take().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let read = reader.read_line(&mut line).unwrap();
        assert!(read > 0, "up ended:\n{}", lines.concat());
        let done = line.contains(mark);
        lines.push(line);
        if done {
            // Keep the pipe open: `up` goes on printing.
            std::thread::spawn(move || reader.lines().count());
            return lines;
        }
    }
}

/// Processes descended from `ancestor` (a service) or working below `folder` (a server).
fn processes_below(folder: &Path, ancestor: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        let parent = std::fs::read_to_string(entry.path().join("stat"))
            .ok()
            .and_then(|stat| stat.rsplit(") ").next()?.split(' ').nth(1)?.parse::<u32>().ok());
        let below = command.contains(folder.to_str().unwrap());
        if pid != ancestor && (parent == Some(ancestor) || below) {
            found.push(pid);
        }
    }
    found
}
