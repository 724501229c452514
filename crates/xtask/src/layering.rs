//! `cargo xtask layering`: the invariants of ARCHITECTURE.md that no compiler checks.

mod rules;
mod source;

use std::{fmt, fs, path::Path};

use anyhow::{Context, bail};

use self::{rules::RULES, source::Source};
use crate::workspace;

/// Folders without text of ours.
const SKIPPED_FOLDERS: [&str; 7] = ["target", "node_modules", "gen", ".git", ".sqlx", ".mestres", "dist"];

/// What is read; images, lock files and data are not.
const EXTENSIONS: [&str; 9] = ["rs", "toml", "sql", "proto", "md", "sh", "yml", "yaml", "js"];

/// One rule, with the reason that is shown beside each violation.
struct Rule {
    name: &'static str,
    reason: &'static str,
    /// The lines of a file that break the rule.
    broken_at: fn(&Source) -> Vec<usize>,
}

struct Violation {
    path: String,
    line: usize,
    rule: &'static Rule,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let root = workspace::root();
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources)?;
    let violations: Vec<Violation> = sources.iter().flat_map(violations).collect();
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("{} violations of the layering", violations.len());
    }
    println!("layering: {} rules hold in {} files", RULES.len(), sources.len());
    Ok(())
}

fn violations(source: &Source) -> Vec<Violation> {
    RULES
        .iter()
        .flat_map(|rule| {
            let lines = (rule.broken_at)(source);
            lines.into_iter().map(|line| Violation { path: source.path.clone(), line, rule })
        })
        .collect()
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule } = self;
        write!(f, "{path}:{line}: {}: {}", rule.name, rule.reason)
    }
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() {
            if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                collect(root, &path, sources)?;
            }
        } else if kind.is_file() && path.extension().is_some_and(|is| EXTENSIONS.iter().any(|one| is == *one))
        {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            sources.push(Source { path, text });
        }
    }
    Ok(())
}
