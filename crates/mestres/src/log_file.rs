//! A service's log file: one previous start is kept, and a service that floods it is cut back.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;

/// Beyond this the log is moved to `<name>.log.1` and begins anew.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// How much of the end is read to quote the last lines.
const TAIL_BYTES: u64 = 16 << 10;
/// A quoted line is cut here; the whole one is in the file.
const QUOTED_CHARS_MAX: usize = 300;

#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    path: PathBuf,
}

impl LogFile {
    /// Begins `<folder>/<name>.log`; what an earlier start left becomes `<name>.log.1`.
    pub(crate) fn begin(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = folder.join(format!("{name}.log"));
        if path.exists() {
            std::fs::rename(&path, previous(&path))
                .with_context(|| format!("cannot put {} aside", path.display()))?;
        }
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// For a child's standard output and error. The child writes by itself: its log neither waits for us nor
    /// ends with us.
    pub(crate) fn for_child(&self) -> anyhow::Result<(Stdio, Stdio)> {
        let open = || OpenOptions::new().append(true).create(true).open(&self.path);
        let out = open().with_context(|| format!("cannot write {}", self.path.display()))?;
        let err = out.try_clone().with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok((out.into(), err.into()))
    }

    /// Copies and truncates, since the child keeps the file open; in append mode it goes on at the new end.
    /// Lines written between the two steps are lost, which a flood can afford.
    pub(crate) fn cut_back(&self) -> std::io::Result<()> {
        let too_long = std::fs::metadata(&self.path).is_ok_and(|log| log.len() > LOG_BYTES_MAX);
        if too_long {
            std::fs::copy(&self.path, previous(&self.path))?;
            OpenOptions::new().write(true).open(&self.path)?.set_len(0)?;
        }
        Ok(())
    }

    /// The last `count` lines, as far as they can be read.
    pub(crate) fn last_lines(&self, count: usize) -> Vec<String> {
        let text = self.tail().unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(count)..];
        last.iter().map(|line| readable(line).chars().take(QUOTED_CHARS_MAX).collect()).collect()
    }

    fn tail(&self) -> std::io::Result<String> {
        let mut log = File::open(&self.path)?;
        let length = log.metadata()?.len();
        log.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut end = Vec::new();
        log.take(TAIL_BYTES).read_to_end(&mut end)?;
        Ok(String::from_utf8_lossy(&end).into_owned())
    }
}

/// What a person looks for in a line: of a JSON log line level, message and error, any other line whole.
fn readable(line: &str) -> String {
    let field = |record: &serde_json::Value, name: &str| Some(record.get(name)?.as_str()?.to_owned());
    let shortened = || {
        let record: serde_json::Value = serde_json::from_str(line).ok()?;
        let level = field(&record, "level")?;
        let message = field(&record, "message")?;
        let error = field(&record, "error").map(|error| format!(": {error}")).unwrap_or_default();
        Some(format!("{:<5} {message}{error}", level.to_uppercase()))
    };
    shortened().unwrap_or_else(|| line.to_owned())
}

fn previous(log: &Path) -> PathBuf {
    log.with_extension("log.1")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_new_start_keeps_the_log_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("catalog.log"), "yesterday\n").unwrap();

        let log = LogFile::begin(folder.path(), "catalog").unwrap();

        assert!(log.last_lines(5).is_empty());
        assert_eq!(std::fs::read_to_string(folder.path().join("catalog.log.1")).unwrap(), "yesterday\n");
    }

    #[test]
    fn the_last_lines_are_the_last_ones() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::begin(folder.path(), "catalog").unwrap();
        let filler = "x".repeat(70);
        let lines: String = (0..2_000).map(|n| format!("{n} {filler}\n")).collect();
        std::fs::write(&log.path, lines + "\n").unwrap();

        let last = log.last_lines(2);

        assert_eq!(last, [format!("1998 {filler}"), format!("1999 {filler}")]);
    }

    #[test]
    fn a_json_line_is_quoted_for_people() {
        let line = r#"{"level":"error","message":"catalog ends","error":"no database","target":"mestres"}"#;
        assert_eq!(readable(line), "ERROR catalog ends: no database");
        assert_eq!(readable("thread 'main' panicked"), "thread 'main' panicked");
    }

    #[test]
    fn a_flood_is_cut_back_while_the_child_writes_on() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::begin(folder.path(), "catalog").unwrap();
        let mut child = OpenOptions::new().append(true).create(true).open(&log.path).unwrap();
        let flood = vec![b'x'; usize::try_from(LOG_BYTES_MAX).unwrap() + 1];

        child.write_all(&flood).unwrap();
        log.cut_back().unwrap();
        child.write_all(b"after\n").unwrap();
        log.cut_back().unwrap();

        assert_eq!(std::fs::read_to_string(&log.path).unwrap(), "after\n");
        assert_eq!(std::fs::metadata(previous(&log.path)).unwrap().len(), LOG_BYTES_MAX + 1);
    }
}
