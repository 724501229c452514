//! From the stream to an effect.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use events::{Consumer, ConsumerConfig, Delivery, Failure, inbox, streams};
use rls::{Caller, Class, Database, DatabaseError};
use testkit::eventually;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::{PATIENCE, TestApp};

fn impatient() -> ConsumerConfig {
    ConsumerConfig {
        retry_delays: vec![Duration::from_millis(20), Duration::from_millis(40)],
        ..ConsumerConfig::new("tester")
    }
}

/// Runs a consumer of `app`'s events next to `story`, and stops it when the story is over.
async fn consuming<H, F>(app: &TestApp, config: ConsumerConfig, handler: H, story: impl Future<Output = ()>)
where
    H: Fn(Delivery) -> F + Send + Sync,
    F: Future<Output = Result<(), Failure>> + Send,
{
    let consumer = Consumer::new(config, app.client.clone());
    let stop = CancellationToken::new();
    tokio::join!(consumer.run(stop.clone(), handler), async {
        story.await;
        stop.cancel();
    });
}

/// Messages of the dead letters: payload's event id is in the headers' sequence.
async fn dead_letters(app: &TestApp) -> Vec<(String, String, String)> {
    let Ok(stream) = app.jetstream.get_stream(streams::DEAD_LETTERS).await else { return Vec::new() };
    let state = &stream.cached_info().state;
    let mut letters = Vec::new();
    for seq in 1..=state.last_sequence {
        let message = stream.get_raw_message(seq).await.expect("it is there");
        let header = |name: &str| message.headers.get(name).map(ToString::to_string).unwrap_or_default();
        letters.push((message.subject.to_string(), header("mc-dead-reason"), header("mc-dead-sequence")));
    }
    letters
}

#[tokio::test]
async fn a_handler_gets_every_event_in_order_with_its_tags() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let seen = Mutex::new(Vec::new());
    let handler = |delivery: Delivery| {
        seen.lock().expect("no panic").push(delivery);
        async { Ok(()) }
    };
    consuming(
        &app,
        impatient(),
        handler,
        Box::pin(async {
            let mut ids = Vec::new();
            for version in 1..=30 {
                ids.push(app.change_price(420, version).await);
            }
            eventually(PATIENCE, "all are handled", async || {
                (seen.lock().expect("no panic").len() == 30).then_some(())
            })
            .await;
            for (delivery, id) in seen.lock().expect("no panic").iter().zip(ids) {
                assert_eq!(delivery.event_id, Some(id));
                assert_eq!(delivery.event().expect("an event").id(), id);
                let tags = ["product:42", "products:list:price", "products:list:filtered"].map(str::to_owned);
                assert_eq!(delivery.tags.as_deref(), Some(&tags[..]));
                assert_eq!(delivery.attempt, 1);
                assert!(delivery.commit_lsn > 0);
            }
        }),
    )
    .await;
    relay.stop().await;
}

#[tokio::test]
async fn a_handler_that_fails_is_asked_again_and_later_ones_need_not_wait() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let attempts = Mutex::new(HashMap::<Uuid, i64>::new());
    let first = app.change_price(1, 1).await;
    let handler = |delivery: Delivery| {
        let id = delivery.event_id.expect("ours");
        attempts.lock().expect("no panic").insert(id, delivery.attempt);
        async move {
            if id == first && delivery.attempt < 3 {
                return Err(Failure::Later(anyhow::anyhow!("not yet")));
            }
            Ok(())
        }
    };
    consuming(
        &app,
        impatient(),
        handler,
        Box::pin(async {
            let second = app.change_price(2, 1).await;
            eventually(PATIENCE, "both are handled", async || {
                let attempts = attempts.lock().expect("no panic");
                (attempts.get(&first) == Some(&3) && attempts.get(&second) == Some(&1)).then_some(())
            })
            .await;
        }),
    )
    .await;
    assert_eq!(dead_letters(&app).await, []);
    relay.stop().await;
}

#[tokio::test]
async fn after_five_attempts_a_message_is_a_dead_letter_and_the_others_flow() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let poison = app.change_price(1, 1).await;
    let (attempts, handled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let handler = |delivery: Delivery| {
        let is_poison = delivery.event_id == Some(poison);
        if is_poison { &attempts } else { &handled }.fetch_add(1, Ordering::Relaxed);
        async move {
            if is_poison {
                return Err(Failure::Later(anyhow::anyhow!("line one\nline two")));
            }
            Ok(())
        }
    };
    consuming(
        &app,
        impatient(),
        handler,
        Box::pin(async {
            for version in 1..=10 {
                app.change_price(2, version).await;
            }
            let letters = eventually(PATIENCE, "the message is given up", async || {
                let letters = dead_letters(&app).await;
                (!letters.is_empty()).then_some(letters)
            })
            .await;
            let expected = ("dlq.tester.mc.catalog.price.changed.1", "line one line two", "1");
            assert_eq!(letters, [(expected.0.to_owned(), expected.1.to_owned(), expected.2.to_owned())]);
            eventually(PATIENCE, "the server is done with all of them", async || settled(&app).await).await;
        }),
    )
    .await;
    assert_eq!(attempts.load(Ordering::Relaxed), 5);
    assert_eq!(handled.load(Ordering::Relaxed), 10);
    relay.stop().await;
}

/// Whether the server neither waits for an answer nor has anything left to deliver.
async fn settled(app: &TestApp) -> Option<()> {
    use async_nats::jetstream::consumer::{PullConsumer, pull};
    let durable: PullConsumer = app
        .jetstream
        .get_consumer_from_stream::<pull::Config, _, _>("tester", streams::MUTATIONS)
        .await
        .ok()?;
    let info = durable.cached_info();
    (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
}

#[tokio::test]
async fn what_can_never_be_handled_is_a_dead_letter_at_once() {
    let app = TestApp::start().await;
    let attempts = AtomicUsize::new(0);
    let handler = |delivery: Delivery| {
        attempts.fetch_add(1, Ordering::Relaxed);
        async move {
            assert_eq!(
                (delivery.event_id, &delivery.tags),
                (None, &None),
                "a stranger's message says nothing"
            );
            delivery.event().map(drop).map_err(|error| Failure::Never(error.into()))
        }
    };
    consuming(
        &app,
        impatient(),
        handler,
        Box::pin(async {
            let ack =
                app.jetstream.publish("mc.other.thing.done.1", "no protobuf".into()).await.expect("sent");
            ack.await.expect("stored");
            eventually(PATIENCE, "the message is given up", async || {
                (dead_letters(&app).await.len() == 1).then_some(())
            })
            .await;
        }),
    )
    .await;
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
}

async fn enter_once(db: &Database, id: Uuid) -> Result<(), DatabaseError> {
    let entered = db.run(&Caller::Service, Class::Worker, PATIENCE, move |tx| {
        Box::pin(async move {
            if inbox::first_time(tx, "tester", &id.to_string()).await? {
                sqlx::query("INSERT INTO entries VALUES ($1)")
                    .bind(id)
                    .execute(&mut *tx.statement("INSERT entry"))
                    .await?;
            }
            Ok::<_, DatabaseError>(())
        })
    });
    entered.await.map(drop)
}

#[tokio::test]
async fn a_message_delivered_twice_has_its_effect_once() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let deliveries = AtomicUsize::new(0);
    let handler = |delivery: Delivery| {
        deliveries.fetch_add(1, Ordering::Relaxed);
        let app = &app;
        async move {
            enter_once(&app.db, delivery.event_id.expect("ours"))
                .await
                .map_err(|error| Failure::Later(error.into()))?;
            // The effect is committed; the answer to the server gets lost the first time.
            if delivery.attempt == 1 { Err(Failure::Later(anyhow::anyhow!("crashed"))) } else { Ok(()) }
        }
    };
    consuming(
        &app,
        impatient(),
        handler,
        Box::pin(async {
            for version in 1..=5 {
                app.change_price(1, version).await;
            }
            eventually(PATIENCE, "each came twice", async || {
                (deliveries.load(Ordering::Relaxed) == 10).then_some(())
            })
            .await;
        }),
    )
    .await;
    let entries: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.entries")
        .fetch_one(&mut app.database.admin().await)
        .await
        .expect("the superuser sees everything");
    assert_eq!(entries, 5);
    relay.stop().await;
}

#[tokio::test]
async fn a_consumer_survives_a_restart_and_the_loss_of_everything() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let seen = Mutex::new(std::collections::HashSet::new());
    let handler = |delivery: Delivery| {
        seen.lock().expect("no panic").insert(delivery.event_id.expect("ours"));
        async { Ok(()) }
    };
    consuming(
        &app,
        impatient(),
        handler,
        Box::pin(async {
            let saw = async |id: Uuid| {
                eventually(PATIENCE, "the event is handled", async || {
                    seen.lock().expect("no panic").contains(&id).then_some(())
                })
                .await;
            };
            saw(app.change_price(1, 1).await).await;
            app.nats.kill().await;
            let while_away = app.change_price(1, 2).await;
            app.nats.restart().await;
            saw(while_away).await;
            app.nats.restart_empty().await;
            saw(app.change_price(1, 3).await).await;
        }),
    )
    .await;
    relay.stop().await;
}
