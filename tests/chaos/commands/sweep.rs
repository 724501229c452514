//! A few orders at every failpoint, with every action: the process dies, fails, waits, is killed or loses whoever
//! asked exactly there.

pub(crate) mod points;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use tokio::task::JoinSet;

use super::replay;
use crate::client::{Ask, Client, Who};
use crate::load::{Visitor, World};
use crate::plan::Target;
use crate::report;
use crate::session::Session;
use crate::system::Part;
use points::{POINTS, Point};

/// Shoppers at a time.
const SHOPPERS: usize = 5;
/// Patience with a process that has just been started.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// A point that nobody has passed by then is not on their way.
const REACHED_WITHIN: Duration = Duration::from_secs(25);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Points that an action cannot be tried at, each with the reason. Any other that is not reached fails the sweep.
const OUT_OF_REACH: [(&str, Action, &str); 0] = [];

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// The process ends by itself
    Abort,
    /// The point answers an error
    Error,
    /// It goes on three seconds later
    Sleep,
    /// It is killed while it waits there
    Pause,
    /// Everybody who has asked for something hangs up while it waits there; then it goes on
    HangUp,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Error => "error",
            Self::Sleep => "sleep",
            Self::Pause => "pause",
            Self::HangUp => "hang-up",
        }
    }

    /// How it is armed, once.
    fn armed(self, point: &str) -> String {
        let action = match self {
            Self::Abort => "abort",
            Self::Error => "error",
            Self::Sleep | Self::HangUp => "sleep(3000)",
            Self::Pause => "pause",
        };
        format!("{point}={action}*1")
    }

    /// Whether a line of the log is what a process says when it is there.
    fn is_told_by(self, line: &str, point: &str) -> bool {
        match self {
            Self::Abort => line == format!("ABORT {point}"),
            Self::Error => line.contains("an error is injected") && line.contains(&format!("\"{point}\"")),
            Self::Sleep | Self::HangUp => line == format!("SLEEP {point}"),
            Self::Pause => line == format!("AT {point}"),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these points; all of them when absent
    #[arg(long, value_delimiter = ',')]
    points: Vec<String>,
    /// Only these actions; all of them when absent
    #[arg(long, value_delimiter = ',')]
    actions: Vec<Action>,
}

/// Answers the number of violations, and of points that nobody passed.
pub(crate) async fn run(options: &Options) -> Result<usize> {
    points::check()?;
    let points: Vec<Point> = POINTS
        .into_iter()
        .filter(|point| options.points.is_empty() || options.points.iter().any(|name| name == point.name))
        .collect();
    let unknown: Vec<&String> =
        options.points.iter().filter(|name| !POINTS.iter().any(|point| point.name == **name)).collect();
    ensure!(unknown.is_empty(), "there are no such points: {unknown:?}");
    let actions =
        if options.actions.is_empty() { Action::value_variants() } else { options.actions.as_slice() };
    let session = Session::start("sweep").await?;
    report::say(&format!("{} points, {} actions", points.len(), actions.len()));
    let world = World::look(&session.system, &session.history).await?;
    let (mut unreached, mut turn, begun) = (Vec::new(), 0, Instant::now());
    for Point { name, part } in points {
        for action in actions {
            turn += 1;
            let is_reached = one(&session, &world, name, part, *action, options.seed + turn).await?;
            let reason = OUT_OF_REACH.iter().find(|(point, out, _)| *point == name && out == action);
            match (is_reached, reason) {
                (true, _) => {}
                (false, Some((_, _, reason))) => {
                    report::say(&format!("{name}={}: not tried, {reason}", action.name()));
                }
                (false, None) => {
                    report::say(&format!("{name}={}: NOT REACHED", action.name()));
                    unreached.push(format!("{name}={}", action.name()));
                }
            }
        }
        let names: Vec<&str> = actions.iter().map(|action| action.name()).collect();
        let again =
            replay(&format!("sweep --seed {} --points {name} --actions {}", options.seed, names.join(",")));
        let found = session.judge_quietly(options.seed, &again).await?.len();
        let after = begun.elapsed().as_secs();
        report::say(&format!("{after:>5} s  {name}: {}", if found == 0 { "holds" } else { "VIOLATED" }));
        if found > 0 {
            // What is broken stays broken and would be found again at every other point.
            return Ok(found);
        }
    }
    if !unreached.is_empty() {
        report::say(&format!(
            "VIOLATION: nothing is proved where nobody passed: {}\nagain: {}",
            unreached.join(", "),
            replay(&format!("sweep --seed {}", options.seed))
        ));
    }
    Ok(unreached.len())
}

/// Arms the point, shops until it is passed, and leaves a process that is not armed. Answers whether it was passed,
/// as the process itself says.
async fn one(
    session: &Session,
    world: &Arc<World>,
    point: &str,
    part: Part,
    action: Action,
    seed: u64,
) -> Result<bool> {
    let system = &session.system;
    let armed = action.armed(point);
    session.history.note(format!("arm {part} {armed}, {}", action.name()));
    let mark = system.log_mark(part);
    let has_passed = || system.log_since(part, mark).lines().any(|line| action.is_told_by(line, point));
    system.kill(Target::Part(part)).await?;
    system.bring_back(Target::Part(part), Some(&armed)).await?;
    let begun = Instant::now();
    while !has_passed() && !system.is_ready(part).await {
        ensure!(begun.elapsed() < READY_WITHIN, "{part} is not ready with {armed} after {READY_WITHIN:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let begun = Instant::now();
    let mut is_passed = false;
    let (mut shoppers, mut index) = (JoinSet::new(), 0);
    loop {
        if !is_passed && has_passed() {
            is_passed = true;
            match action {
                Action::Abort | Action::Error | Action::Sleep => {}
                Action::Pause => {
                    system.kill(Target::Part(part)).await?;
                    system.bring_back(Target::Part(part), None).await?;
                }
                Action::HangUp => system.hang_up(),
            }
        }
        // Everybody has come once, and others come for as long as nobody was at the point.
        let is_late = begun.elapsed() > REACHED_WITHIN;
        if shoppers.is_empty() && (index < SHOPPERS || !is_passed && !is_late) {
            for kind in 0..SHOPPERS {
                shoppers.spawn(Box::pin(shop(visitor(session, world, index, seed)?, kind)));
                index += 1;
            }
        }
        if shoppers.is_empty() && (is_passed || is_late) {
            break;
        }
        tokio::select! {
            done = shoppers.join_next() => {
                done.transpose().context("a shopper was lost")?;
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    if !is_passed {
        system.kill(Target::Part(part)).await?;
        system.bring_back(Target::Part(part), None).await?;
    }
    Ok(is_passed)
}

fn visitor(session: &Session, world: &Arc<World>, index: usize, seed: u64) -> Result<Visitor> {
    // Others every time: nobody may have many orders without money.
    let number = usize::try_from(seed).context("a seed")? * SHOPPERS * 4 + index;
    let who = match index % SHOPPERS {
        3 => Who::Guest(number),
        _ => Who::User(i64::try_from(number % 399).context("a user")? + 2),
    };
    let client = Client::new(who, seed * 1_000 + index as u64, &session.system, &session.history);
    Ok(Visitor { world: Arc::clone(world), client, orders: Vec::new(), unpaid: Vec::new() })
}

/// What passes as many points as possible: a card, a card and a refund, a Pix, a guest's card, and a card whose answer
/// is lost, so that somebody has to ask; and a person with a password who comes and goes.
async fn shop(mut visitor: Visitor, kind: usize) {
    if kind == 0 {
        visitor.come_and_go().await;
    }
    let variant = visitor.world.variants[visitor.client.draw.usize(0..visitor.world.variants.len())];
    visitor.add(variant, 1).await;
    let Some(order) = visitor.check_out().await else { return };
    match kind {
        2 => visitor.pay_by_pix(order).await,
        4 => visitor.pay_by_card(order, "pm_sandbox_timeout_after_charge").await,
        _ => visitor.pay_by_card(order, "pm_card_visa").await,
    };
    if kind == 1 {
        let path = format!("/api/v1/orders/{order}/cancel");
        let body = serde_json::json!({ "reason": "mudei de ideia" });
        visitor.client.ask_surely(Ask::post("order_cancel", &path, body)).await;
    }
}
