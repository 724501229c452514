//! The state file: one line per change, written before anybody hears of it.
//!
//! A line is a whole change of the world, so that a kill in the middle of a write loses a change that nobody was
//! told of. When most of the file is obsolete, it is written anew beside itself and put into its place. The file
//! survives the process, not the machine: nothing is flushed to the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::PathBuf;

use crate::world::Record;

/// Smaller files are never worth rewriting.
const WASTE_MIN: u64 = 256 * 1024 * 1024;

/// An open state file.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    compacted: u64,
}

impl Journal {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path)?;
        let length = file.metadata()?.len();
        Ok(Self { path, file, length, compacted: length })
    }

    /// Tells every change, oldest first. A torn last line is one that nobody heard of.
    pub(crate) fn replay(&mut self, mut change: impl FnMut(Record)) -> io::Result<()> {
        // Bytes, because a torn line may end in the middle of a character.
        let mut lines = BufReader::new(File::open(&self.path)?).split(b'\n').peekable();
        while let Some(line) = lines.next() {
            match serde_json::from_slice::<Vec<Record>>(&line?) {
                Ok(records) => records.into_iter().for_each(&mut change),
                Err(_) if lines.peek().is_none() => {
                    tracing::warn!("the last change was not written completely");
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        Ok(())
    }

    /// Adds one change.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut line = serde_json::to_vec(records)?;
        line.push(b'\n');
        self.length += line.len() as u64;
        self.file.write_all(&line)
    }

    /// Most of the file is obsolete.
    pub(crate) fn is_wasteful(&self) -> bool {
        self.length > WASTE_MIN && self.length > 4 * self.compacted
    }

    /// Writes the file anew, with nothing but `records` in it.
    pub(crate) fn compact(&mut self, records: impl Iterator<Item = Record>) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut writer = BufWriter::new(File::create(&beside)?);
        for record in records {
            serde_json::to_writer(&mut writer, &[record])?;
            writer.write_all(b"\n")?;
        }
        writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        std::fs::rename(&beside, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.length = self.file.metadata()?.len();
        self.compacted = self.length;
        Ok(())
    }
}
