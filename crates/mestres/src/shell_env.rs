//! `mestres env`: the running shop's addresses, for a shell.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;

use crate::folder::Folder;
use crate::up::state::{Phase, State};

/// Prints one `export` line per variable. Fails with the next step when no shop runs.
pub(crate) fn run() -> anyhow::Result<()> {
    let folder = Folder::find()?;
    let state = State::of_running(&folder)?.filter(|state| state.phase == Phase::Ready);
    let state = state.context("no shop runs here; start one with `mestres up`")?;
    std::io::stdout().write_all(lines(&state.exports).as_bytes()).context("cannot print the variables")
}

fn lines(exports: &[(String, String)]) -> String {
    exports.iter().fold(String::new(), |mut text, (variable, value)| {
        let quoted = value.replace('\'', r"'\''");
        writeln!(text, "export {variable}='{quoted}'").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_every_value_as_it_is() {
        let value = r#"/home/joão's "shop" $HOME `id` \"#;
        let script = lines(&[("MESTRES_JWKS_FILE".to_owned(), value.to_owned())]);

        let shell = std::process::Command::new("/bin/sh")
            .args(["-c", &format!("{script}printf %s \"$MESTRES_JWKS_FILE\"")])
            .output()
            .unwrap();

        assert_eq!(String::from_utf8(shell.stdout).unwrap(), value);
    }
}
