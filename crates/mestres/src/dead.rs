//! `mestres events dead`: what consumers gave up, for a person to look at, deliver once more, or drop.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use bootstrap::config;
use clap::{Args, Subcommand};
use events::{DeadLetter, DeadLetters};
use time::{Duration, OffsetDateTime};

use crate::folder::Folder;
use crate::up::state::State;

/// Letters that are listed at once; older ones first.
const LISTED_MAX: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the messages that a consumer gave up
    Dead(Dead),
}

#[derive(Debug, Args)]
pub(crate) struct Dead {
    /// Deliver this one again, to the consumer that gave it up and no other
    #[arg(long, value_name = "SEQ", conflicts_with = "drop")]
    redeliver: Option<u64>,
    /// Delete this one
    #[arg(long, value_name = "SEQ")]
    drop: Option<u64>,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::Dead(options) = command;
    let nats_url = nats_url()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let text = runtime.block_on(answer(&nats_url, options))?;
    std::io::stdout().write_all(text.as_bytes()).context("cannot say so")
}

fn nats_url() -> anyhow::Result<String> {
    if let Some(url) = config::optional("NATS_URL") {
        return Ok(url);
    }
    let state = State::of_running(&Folder::find()?)?;
    let url = state.as_ref().and_then(|state| state.export("NATS_URL"));
    url.map(str::to_owned).context("no shop runs here; start one with `mestres up`, or set NATS_URL")
}

async fn answer(nats_url: &str, options: &Dead) -> anyhow::Result<String> {
    let client = bootstrap::nats::connect(nats_url, "mestres").await.context("cannot connect to NATS")?;
    let letters = DeadLetters::new(client);
    if let Some(stream_seq) = options.redeliver {
        let letter = letters.redeliver(stream_seq).await?;
        return Ok(format!("{} gets {} once more\n", letter.consumer, letter.subject));
    }
    if let Some(stream_seq) = options.drop {
        let letter = letters.discard(stream_seq).await?;
        return Ok(format!("{} for {} is dropped\n", letter.subject, letter.consumer));
    }
    Ok(listing(&letters.list(LISTED_MAX).await?, OffsetDateTime::now_utc()))
}

fn listing(letters: &[DeadLetter], now: OffsetDateTime) -> String {
    if letters.is_empty() {
        return "no dead letters: every consumer handled every message\n".to_owned();
    }
    let mut text = format!(
        "{:>6}  {:<24}  {:<44}  {:<36}  {:>5}  {:>7}  error\n",
        "seq", "consumer", "subject", "event id", "tries", "age"
    );
    for letter in letters {
        let DeadLetter { stream_seq, consumer, subject, event_id, attempts, reason, time } = letter;
        let age = age(now - *time);
        writeln!(
            text,
            "{stream_seq:>6}  {consumer:<24}  {subject:<44}  {event_id:<36}  {attempts:>5}  {age:>7}  {reason}"
        )
        .expect("writing to a string cannot fail");
    }
    if letters.len() == LISTED_MAX {
        writeln!(text, "only the first {LISTED_MAX} are shown").expect("writing to a string cannot fail");
    }
    text
}

fn age(age: Duration) -> String {
    match age.whole_seconds().max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds @ 3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        seconds => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use events::{Consumer, ConsumerConfig, Failure};
    use testkit::eventually;
    use tokio_util::sync::CancellationToken;

    use super::*;

    const LIST: Dead = Dead { redeliver: None, drop: None };
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

    #[test]
    fn ages_are_short() {
        for (seconds, expected) in
            [(-3, "0s"), (59, "59s"), (61, "1m01s"), (7_260, "2h01m"), (200_000, "2d07h")]
        {
            assert_eq!(age(Duration::seconds(seconds)), expected);
        }
    }

    #[tokio::test]
    async fn letters_are_listed_delivered_again_and_dropped() {
        let nats = testkit::Nats::start().await;
        let client = bootstrap::nats::connect(&nats.url(), "test").await.unwrap();
        let jetstream = async_nats::jetstream::new(client.clone());
        eventually(PATIENCE, "streams are declared", async || {
            events::streams::declare(&jetstream, 1).await.ok()
        })
        .await;
        let url = nats.url();
        assert_eq!(
            answer(&url, &LIST).await.unwrap(),
            "no dead letters: every consumer handled every message\n"
        );

        let sent = jetstream.publish("mc.other.thing.done.1", "x".into()).await.unwrap();
        sent.await.unwrap();
        let stop = CancellationToken::new();
        let consumer = Consumer::new(ConsumerConfig::new("tester"), client.clone());
        let running = tokio::spawn({
            let stop = stop.clone();
            async move {
                consumer
                    .run(stop, |_delivery| async { Err(Failure::Never(anyhow::anyhow!("no such thing"))) })
                    .await;
            }
        });
        let listed = async |seq: u64| {
            eventually(PATIENCE, "it is a dead letter", async || {
                let text = answer(&url, &LIST).await.unwrap();
                let line = text.lines().nth(1)?.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                (line[0] == seq.to_string()).then_some(line)
            })
            .await
        };
        let line = listed(1).await;
        assert_eq!(line[1..4], ["tester", "mc.other.thing.done.1", "1"]);
        assert_eq!(line[5..], ["no", "such", "thing"]);

        let again = answer(&url, &Dead { redeliver: Some(1), ..LIST }).await.unwrap();
        assert_eq!(again, "tester gets mc.other.thing.done.1 once more\n");
        listed(2).await;
        stop.cancel();
        running.await.unwrap();

        let dropped = answer(&url, &Dead { drop: Some(2), ..LIST }).await.unwrap();
        assert_eq!(dropped, "mc.other.thing.done.1 for tester is dropped\n");
        assert!(answer(&url, &LIST).await.unwrap().starts_with("no dead letters"));
        let gone = answer(&url, &Dead { drop: Some(2), ..LIST }).await.unwrap_err().to_string();
        assert_eq!(gone, "there is no dead letter 2");
    }
}
