//! Every failpoint, who passes it, and whether that is still what the sources say.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::system::Part;

/// A place where the product can be made to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) name: &'static str,
    /// The process that is armed. Points that several pass are tried where most is at stake.
    pub(crate) part: Part,
}

const fn at(name: &'static str, part: Part) -> Point {
    Point { name, part }
}

/// All of them.
pub(crate) const POINTS: [Point; 43] = [
    at("gw.after_auth", Part::Gateway0),
    at("gw.before_upstream", Part::Gateway0),
    at("gw.after_upstream_before_answer", Part::Gateway0),
    at("gw.after_purge_before_answer", Part::Gateway0),
    at("db.after_begin", Part::Orders),
    at("db.after_identity", Part::Orders),
    at("db.before_commit", Part::Orders),
    at("db.after_commit_before_return", Part::Orders),
    at("idem.after_claim", Part::Orders),
    at("idem.before_finish", Part::Orders),
    at("ck.after_idem_claim", Part::Orders),
    at("ck.after_order_insert", Part::Orders),
    at("ck.after_reserve", Part::Orders),
    at("ck.after_redeem", Part::Orders),
    at("ck.after_outbox", Part::Orders),
    at("ck.after_commit", Part::Orders),
    at("pay.after_T1", Part::Orders),
    at("pay.before_call", Part::Orders),
    at("pay.after_call_before_T2", Part::Orders),
    at("pay.after_T2_before_capture", Part::Orders),
    at("pay.after_capture_before_T3", Part::Orders),
    at("pay.after_T3", Part::Orders),
    at("rec.before_query", Part::Orders),
    at("rec.after_query", Part::Orders),
    at("wh.after_inbox_before_apply", Part::Orders),
    at("refund.after_row", Part::Orders),
    at("refund.after_call", Part::Orders),
    at("rl.after_select", Part::Orders),
    at("rl.after_publish_before_ack", Part::Orders),
    at("rl.after_ack_before_mark", Part::Orders),
    at("rl.after_mark", Part::Orders),
    at("rl.leader_lost", Part::Orders),
    at("iv.before_purge", Part::Invalidator),
    at("iv.after_purge_before_ack", Part::Invalidator),
    at("iv.before_watermark", Part::Invalidator),
    at("cs.after_inbox", Part::Notifications),
    at("cs.before_commit", Part::Notifications),
    at("cs.after_commit_before_ack", Part::Notifications),
    at("cs.after_mail_before_mark", Part::Notifications),
    at("au.after_refresh_used_before_issue", Part::Accounts),
    at("au.after_logout_before_broadcast", Part::Accounts),
    at("mx.before_flush", Part::Metrics),
    at("mx.after_flush", Part::Metrics),
];

/// The names of the points that this process passes.
pub(crate) fn of(part: Part) -> Vec<&'static str> {
    POINTS.iter().filter(|point| point.part == part).map(|point| point.name).collect()
}

/// Whether [`POINTS`] names what the product's sources pass, no more and no less.
pub(crate) fn check() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut passed = BTreeSet::new();
    for folder in ["crates", "services"] {
        for package in std::fs::read_dir(root.join(folder)).context("no sources")? {
            let package = package?.path();
            // Its own tests pass points that exist nowhere.
            if !package.ends_with("failpoints") && package.join("src").is_dir() {
                read_names(&package.join("src"), &mut passed)?;
            }
        }
    }
    ensure!(!passed.is_empty(), "no failpoint is found in the sources");
    let listed: BTreeSet<String> = POINTS.iter().map(|point| point.name.to_owned()).collect();
    ensure!(listed.len() == POINTS.len(), "a point is listed twice");
    let gone: Vec<_> = listed.difference(&passed).collect();
    ensure!(gone.is_empty(), "points that the sweep lists and nobody passes: {gone:?}");
    let forgotten: Vec<_> = passed.difference(&listed).collect();
    ensure!(forgotten.is_empty(), "points in the sources that the sweep does not list: {forgotten:?}");
    Ok(())
}

fn read_names(folder: &Path, names: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            read_names(&path, names)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path)?;
            names.extend(names_in(&source).with_context(|| path.display().to_string())?);
        }
    }
    Ok(())
}

/// What is in `hit("…")`. A name that is not written there cannot be listed, so it is refused.
fn names_in(source: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (at, call) in source.match_indices("hit(") {
        let before = source[..at].chars().next_back().unwrap_or(' ');
        let is_another = before.is_alphanumeric() || matches!(before, '_' | '.');
        let is_qualified = source[..at].ends_with("failpoints::");
        let name = source[at + call.len()..].trim_start().strip_prefix('"');
        match name.and_then(|rest| rest.split_once('"')) {
            Some((name, _)) if !is_another => names.push(name.to_owned()),
            None if is_qualified => anyhow::bail!("a failpoint's name is not written where it is passed"),
            Some(_) | None => {}
        }
    }
    Ok(names)
}
