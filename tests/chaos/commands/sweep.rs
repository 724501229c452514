//! A few orders at every failpoint, with every action: the process dies, fails, waits or is killed exactly there.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use tokio::task::JoinSet;

use super::replay;
use crate::client::{Ask, Client, Who};
use crate::load::{Visitor, World};
use crate::plan::Target;
use crate::report;
use crate::session::Session;
use crate::system::{Part, System};

/// Every point, and who passes it.
const POINTS: [(&str, Part); 45] = [
    ("gw.after_auth", Part::Gateway0),
    ("gw.before_upstream", Part::Gateway0),
    ("gw.after_upstream_before_answer", Part::Gateway0),
    ("gw.after_purge_before_answer", Part::Gateway0),
    ("db.after_begin", Part::Orders),
    ("db.after_identity", Part::Orders),
    ("db.before_commit", Part::Orders),
    ("db.after_commit_before_return", Part::Orders),
    ("ck.after_idem_claim", Part::Orders),
    ("ck.after_order_insert", Part::Orders),
    ("ck.after_reserve", Part::Orders),
    ("ck.after_redeem", Part::Orders),
    ("ck.after_outbox", Part::Orders),
    ("ck.after_commit", Part::Orders),
    ("pay.after_T1", Part::Orders),
    ("pay.before_call", Part::Orders),
    ("pay.after_call_before_T2", Part::Orders),
    ("pay.after_T2_before_capture", Part::Orders),
    ("pay.after_capture_before_T3", Part::Orders),
    ("pay.after_T3", Part::Orders),
    ("rec.before_query", Part::Orders),
    ("rec.after_query", Part::Orders),
    ("wh.after_inbox_before_apply", Part::Orders),
    ("refund.after_row", Part::Orders),
    ("refund.after_call", Part::Orders),
    ("rl.after_select", Part::Orders),
    ("rl.after_publish_before_ack", Part::Orders),
    ("rl.after_ack_before_mark", Part::Orders),
    ("rl.after_mark", Part::Orders),
    ("rl.leader_lost", Part::Orders),
    ("iv.before_purge", Part::Invalidator),
    ("iv.after_purge_before_ack", Part::Invalidator),
    ("iv.before_watermark", Part::Invalidator),
    ("cs.after_inbox", Part::Notifications),
    ("cs.before_commit", Part::Notifications),
    ("cs.after_commit_before_ack", Part::Notifications),
    ("cs.after_mail_before_mark", Part::Notifications),
    ("au.after_refresh_used_before_issue", Part::Accounts),
    ("au.after_logout_before_broadcast", Part::Accounts),
    ("mx.before_flush", Part::Metrics),
    ("mx.after_flush", Part::Metrics),
    ("idem.after_claim", Part::Orders),
    ("idem.before_finish", Part::Orders),
    ("stock.after_adjust", Part::Orders),
    ("sweep.before_expire", Part::Orders),
];
const ACTIONS: [&str; 4] = ["abort", "error", "sleep", "pause"];
const SLEEP: &str = "sleep(3000)";
/// A point that nobody has passed by then is not on their way.
const REACHED_WITHIN: Duration = Duration::from_secs(6);

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these points; all that exist when absent
    #[arg(long, value_delimiter = ',')]
    points: Vec<String>,
    /// Of abort, error, sleep and pause; pause is ended by a kill
    #[arg(long, value_delimiter = ',')]
    actions: Vec<String>,
}

/// The points that the product's sources pass.
pub(crate) fn existing() -> Result<Vec<(&'static str, Part)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = String::new();
    for folder in ["crates", "services"] {
        read_sources(&root.join(folder), &mut sources)?;
    }
    Ok(POINTS.into_iter().filter(|(name, _)| sources.contains(&format!("\"{name}\""))).collect())
}

fn read_sources(folder: &Path, sources: &mut String) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            read_sources(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Answers the number of violations.
pub(crate) async fn run(options: &Options) -> Result<usize> {
    let existing = existing()?;
    let is_asked = |list: &[String], name: &str| list.is_empty() || list.iter().any(|asked| asked == name);
    let points: Vec<_> = existing.iter().filter(|(name, _)| is_asked(&options.points, name)).collect();
    ensure!(!points.is_empty(), "none of these points exists: {:?}", options.points);
    let actions: Vec<_> = ACTIONS.into_iter().filter(|action| is_asked(&options.actions, action)).collect();
    let session = Session::start("sweep").await?;
    report::say(&format!("{} of {} points exist; {} actions", existing.len(), POINTS.len(), actions.len()));
    let world = World::look(&session.system, &session.history).await?;
    let (mut unreached, mut violations, mut turn) = (Vec::new(), 0, 0);
    for (point, part) in points {
        for action in &actions {
            turn += 1;
            let was_reached = one(&session, &world, point, *part, action, options.seed + turn).await?;
            if !was_reached {
                unreached.push(format!("{point}={action}"));
            }
            let again = replay(&format!("sweep --seed {} --points {point} --actions {action}", options.seed));
            let found = session.judge_quietly(options.seed, &again).await?.len();
            report::say(&format!("{point}={action}: {}", if found == 0 { "holds" } else { "VIOLATED" }));
            violations += found;
            if found > 0 {
                // What is broken stays broken and would be found again at every other point.
                return Ok(violations);
            }
        }
    }
    report::say(&format!("not reached: {}", unreached.join(", ")));
    Ok(violations)
}

/// Arms the point, shops, and makes sure that the process goes on unarmed. Answers whether it was reached, as far
/// as a process says so.
async fn one(
    session: &Session,
    world: &Arc<World>,
    point: &str,
    part: Part,
    action: &str,
    seed: u64,
) -> Result<bool> {
    let system = &session.system;
    let armed = match action {
        "sleep" => format!("{point}={SLEEP}*1"),
        action => format!("{point}={action}*1"),
    };
    session.history.note(format!("arm {part} {armed}"));
    system.kill(Target::Part(part)).await?;
    system.bring_back(Target::Part(part), Some(&armed)).await?;
    let mut shoppers = JoinSet::new();
    for index in 0..4_usize {
        shoppers.spawn(Box::pin(shop(visitor(session, world, index, seed)?, index)));
    }
    let mut was_reached = action == "sleep";
    let mut is_armed = true;
    let deadline = Instant::now() + REACHED_WITHIN;
    while !shoppers.is_empty() {
        tokio::select! {
            done = shoppers.join_next() => {
                done.transpose().context("a shopper was lost")?;
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        was_reached |= has_passed(system, part, point);
        if is_armed && action == "pause" && (system.waits_at(part, point) || Instant::now() > deadline) {
            system.kill(Target::Part(part)).await?;
            system.bring_back(Target::Part(part), None).await?;
            is_armed = false;
        }
    }
    was_reached |= has_passed(system, part, point);
    system.kill(Target::Part(part)).await?;
    system.bring_back(Target::Part(part), None).await?;
    Ok(was_reached)
}

fn has_passed(system: &System, part: Part, point: &str) -> bool {
    let log = system.log(part);
    [format!("ABORT {point}"), format!("AT {point}")].iter().any(|word| log.contains(word.as_str()))
        || log.lines().any(|line| line.contains("an error is injected") && line.contains(point))
}

fn visitor(session: &Session, world: &Arc<World>, index: usize, seed: u64) -> Result<Visitor> {
    // Others every time: nobody may have many orders without money.
    let number = usize::try_from(seed).context("a seed")? * 4 + index;
    let who = match index {
        3 => Who::Guest(number),
        _ => Who::User(i64::try_from(number % 399).context("a user")? + 2),
    };
    let client = Client::new(who, seed * 10 + index as u64, &session.system, &session.history);
    Ok(Visitor { world: Arc::clone(world), client, orders: Vec::new(), unpaid: Vec::new() })
}

/// What passes as many points as possible: a card, a card and a refund, a Pix, and a guest's card; and a sign-in.
async fn shop(mut visitor: Visitor, index: usize) {
    if index == 0 {
        visitor.sign_in().await;
    }
    let variant = visitor.world.variants[visitor.client.draw.usize(0..visitor.world.variants.len())];
    visitor.add(variant, 1).await;
    let Some(order) = visitor.check_out().await else { return };
    match index {
        2 => {
            visitor.pay_by_pix(order).await;
        }
        _ => {
            visitor.pay_by_card(order, "pm_card_visa").await;
        }
    }
    if index == 1 {
        let path = format!("/api/v1/orders/{order}/cancel");
        let body = serde_json::json!({ "reason": "mudei de ideia" });
        visitor.client.ask_surely(Ask::post("order_cancel", &path, body)).await;
    }
}
