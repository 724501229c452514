//! The checkout that the chores work on, and folders of generated files in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// What to do with a folder that holds generated files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Bring it up to date.
    Restored,
    /// Fail when it is not up to date.
    Checked,
}

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this package lies two folders below the root").to_owned()
}

/// Makes `folder` hold exactly the files of `fresh`, or checks that it does. `command` restores it.
pub(crate) fn settle(folder: &Path, fresh: &Path, command: &str, freshness: Freshness) -> anyhow::Result<()> {
    let (held, wanted) = (files(folder)?, files(fresh)?);
    let names: std::collections::BTreeSet<&String> = held.keys().chain(wanted.keys()).collect();
    let differences: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (held.get(name), wanted.get(name)) {
            (None, Some(_)) => Some(format!("missing  {name}")),
            (Some(_), None) => Some(format!("surplus  {name}")),
            (Some(held), Some(wanted)) if held != wanted => Some(format!("stale    {name}")),
            _ => None,
        })
        .collect();
    let shown = folder.strip_prefix(root()).unwrap_or(folder).display();
    if differences.is_empty() {
        println!("{shown}: {} files, all fresh", wanted.len());
        return Ok(());
    }
    for difference in &differences {
        println!("{difference}");
    }
    match freshness {
        Freshness::Checked => bail!("{} files of {shown} are not fresh: run `{command}`", differences.len()),
        Freshness::Restored => {
            fs::create_dir_all(folder).with_context(|| format!("making {shown}"))?;
            for name in held.keys().filter(|name| !wanted.contains_key(*name)) {
                fs::remove_file(folder.join(name))
                    .with_context(|| format!("removing {name} from {shown}"))?;
            }
            for (name, content) in wanted.iter().filter(|&(name, content)| held.get(name) != Some(content)) {
                fs::write(folder.join(name), content)
                    .with_context(|| format!("writing {name} to {shown}"))?;
            }
            println!("{shown}: {} files, {} changed", wanted.len(), differences.len());
            Ok(())
        }
    }
}

/// The files directly in `folder`; none when it does not exist.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    if !folder.exists() {
        return Ok(BTreeMap::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    entries
        .map(|entry| {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, fs::read(&path).with_context(|| format!("reading {}", path.display()))?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_names_what_differs_and_changes_nothing_and_a_restore_settles_it() {
        let (held, fresh) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = held.path().join("generated");
        for (name, content) in [("same", "1"), ("other", "2"), ("new", "3")] {
            fs::write(fresh.path().join(name), content).unwrap();
        }
        let settled = |freshness| settle(&folder, fresh.path(), "cargo xtask again", freshness);

        let error = settled(Freshness::Checked).unwrap_err().to_string();
        assert!(error.starts_with("3 files of ") && error.ends_with("run `cargo xtask again`"), "{error}");
        assert!(!folder.exists());

        settled(Freshness::Restored).unwrap();
        settled(Freshness::Checked).unwrap();

        fs::write(folder.join("other"), "changed").unwrap();
        fs::write(folder.join("surplus"), "").unwrap();
        let error = settled(Freshness::Checked).unwrap_err().to_string();
        assert!(error.starts_with("2 files of "), "{error}");
        settled(Freshness::Restored).unwrap();
        assert_eq!(files(&folder).unwrap(), files(fresh.path()).unwrap());
    }
}
