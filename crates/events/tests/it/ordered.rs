//! One aggregate after the other's turn: order through failures, replicas and dead letters.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use events::{Consumer, ConsumerConfig, DeadLetters, Delivery, Failure, inbox, streams};
use rls::{Caller, Class, Database, DatabaseError};
use testkit::eventually;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::{PATIENCE, TestApp};

/// Aggregate and version.
type Step = (String, i64);

fn config(concurrency: usize) -> ConsumerConfig {
    ConsumerConfig {
        concurrency,
        ack_wait: Duration::from_secs(3),
        retry_delays: vec![Duration::from_millis(50)],
        ..ConsumerConfig::new("tester")
    }
}

/// What replicas of one consumer have handled, in the order of their commits.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<Step>>>);

impl Journal {
    fn note(&self, step: Step) {
        self.0.lock().expect("no panic").push(step);
    }

    fn steps(&self) -> Vec<Step> {
        self.0.lock().expect("no panic").clone()
    }

    fn versions(&self, aggregate: &str) -> Vec<i64> {
        self.steps().into_iter().filter(|step| step.0 == aggregate).map(|step| step.1).collect()
    }

    async fn holds(&self, count: usize) {
        eventually(PATIENCE, &format!("{count} are handled"), async || {
            (self.steps().len() >= count).then_some(())
        })
        .await;
    }
}

struct Replica {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    fn start<H, F>(app: &TestApp, config: ConsumerConfig, handler: H) -> Self
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let consumer = Consumer::ordered(config, app.client.clone(), app.db.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move { consumer.run(stopped, handler).await });
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").expect("it does not panic");
    }
}

fn step(delivery: &Delivery) -> Step {
    let aggregate = delivery.event().expect("an event").aggregate();
    (aggregate.id, aggregate.version)
}

fn not_yet() -> Result<(), Failure> {
    Err(Failure::Later(anyhow::anyhow!("not yet")))
}

#[tokio::test]
async fn later_events_of_an_aggregate_wait_for_a_failing_one_and_others_go_on() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let journal = Journal::default();
    let open = Arc::new(AtomicBool::new(false));
    for version in 1..=5 {
        app.change_price(1, version).await;
        app.change_price(2, version).await;
    }
    let (noted, gate) = (journal.clone(), Arc::clone(&open));
    let patient = ConsumerConfig { attempts_max: i64::MAX, ..config(2) };
    let replica = Replica::start(&app, patient, move |delivery| {
        let (noted, open) = (noted.clone(), gate.load(Ordering::Relaxed));
        async move {
            let step = step(&delivery);
            if step == ("1".to_owned(), 2) && !open {
                return not_yet();
            }
            noted.note(step);
            Ok(())
        }
    });
    journal.holds(6).await;
    assert_eq!(journal.versions("2"), [1, 2, 3, 4, 5], "another aggregate goes on");
    assert_eq!(journal.versions("1"), [1], "its own later events wait");

    open.store(true, Ordering::Relaxed);
    journal.holds(10).await;
    assert_eq!(journal.versions("1"), [1, 2, 3, 4, 5]);
    replica.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn two_replicas_keep_the_order_past_a_poisoned_event() {
    let app = Arc::new(TestApp::start().await);
    let relay = app.relay().await;
    let journal = Journal::default();
    let start = || {
        let (noted, app_of_handler) = (journal.clone(), Arc::clone(&app));
        Replica::start(&app, config(4), move |delivery| {
            let (noted, app) = (noted.clone(), Arc::clone(&app_of_handler));
            async move {
                let step = step(&delivery);
                if step == ("1".to_owned(), 3) {
                    return not_yet();
                }
                if step == ("1".to_owned(), 4) {
                    let letters =
                        DeadLetters::new(app.client.clone()).list(10).await.expect("they can be read");
                    assert_eq!(letters.len(), 1, "the one before is a dead letter by now");
                }
                // Some fail once, and go to either replica afterwards.
                if delivery.attempt == 1 && step.1 % 3 == 1 {
                    return not_yet();
                }
                noted.note(step);
                Ok(())
            }
        })
    };
    let replicas = [start(), start()];
    for version in 1..=8 {
        for variant in 1..=4 {
            app.change_price(variant, version).await;
        }
    }
    journal.holds(31).await;
    assert_eq!(journal.versions("1"), [1, 2, 4, 5, 6, 7, 8]);
    for aggregate in ["2", "3", "4"] {
        assert_eq!(journal.versions(aggregate), [1, 2, 3, 4, 5, 6, 7, 8], "price {aggregate}");
    }
    for replica in replicas {
        replica.stop().await;
    }
    assert_eq!(journal.steps().len(), 31, "nothing came twice");
    relay.stop().await;
}

async fn enter_once(db: &Database, id: Uuid) -> Result<bool, DatabaseError> {
    let entered = db.run(&Caller::Service, Class::Worker, PATIENCE, move |tx| {
        Box::pin(async move {
            let first = inbox::first_time(tx, "tester", &id.to_string()).await?;
            if first {
                sqlx::query("INSERT INTO entries VALUES ($1)")
                    .bind(id)
                    .execute(&mut *tx.statement("INSERT entry"))
                    .await?;
            }
            Ok::<_, DatabaseError>(first)
        })
    });
    Ok(entered.await?.value)
}

#[tokio::test]
async fn what_a_killed_replica_held_is_handled_by_the_other_once_and_in_order() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let journal = Journal::default();
    let stuck = Arc::new(AtomicBool::new(false));

    // The first replica commits the first event's effect and is killed before it can say so; the later ones
    // wait in its memory.
    let (db, stuck_now) = (app.db.clone(), Arc::clone(&stuck));
    let first = Replica::start(&app, config(2), move |delivery| {
        let (db, stuck) = (db.clone(), Arc::clone(&stuck_now));
        async move {
            enter_once(&db, delivery.event_id.expect("ours")).await.expect("the database is there");
            stuck.store(true, Ordering::Relaxed);
            std::future::pending().await
        }
    });
    for version in 1..=4 {
        app.change_price(1, version).await;
    }
    eventually(PATIENCE, "the first is under way", async || stuck.load(Ordering::Relaxed).then_some(()))
        .await;
    first.task.abort();

    let (noted, db) = (journal.clone(), app.db.clone());
    let second = Replica::start(&app, config(2), move |delivery| {
        let (noted, db) = (noted.clone(), db.clone());
        async move {
            if enter_once(&db, delivery.event_id.expect("ours")).await.expect("the database is there") {
                noted.note(step(&delivery));
            }
            Ok(())
        }
    });
    journal.holds(3).await;
    second.stop().await;
    assert_eq!(journal.versions("1"), [2, 3, 4], "the first has had its effect");
    let entries: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.entries")
        .fetch_one(&mut app.database.admin().await)
        .await
        .expect("the superuser sees everything");
    assert_eq!(entries, 4);
    relay.stop().await;
}

#[tokio::test]
async fn a_consumer_that_stops_gives_waiting_events_back_at_once() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    for version in 1..=3 {
        app.change_price(1, version).await;
    }
    let tried = Arc::new(AtomicBool::new(false));
    let tried_now = Arc::clone(&tried);
    let long_wait = ConsumerConfig {
        ack_wait: Duration::from_secs(60),
        retry_delays: vec![Duration::from_secs(5)],
        attempts_max: i64::MAX,
        ..ConsumerConfig::new("tester")
    };
    let first = Replica::start(&app, long_wait.clone(), move |_delivery| {
        tried_now.store(true, Ordering::Relaxed);
        async { not_yet() }
    });
    eventually(PATIENCE, "the first was tried, the others wait", async || {
        use async_nats::jetstream::consumer::{PullConsumer, pull};
        let durable: PullConsumer = app
            .jetstream
            .get_consumer_from_stream::<pull::Config, _, _>("tester", streams::MUTATIONS)
            .await
            .ok()?;
        (tried.load(Ordering::Relaxed) && durable.cached_info().num_ack_pending == 3).then_some(())
    })
    .await;
    first.stop().await;

    let journal = Journal::default();
    let noted = journal.clone();
    let second = Replica::start(&app, long_wait, move |delivery| {
        noted.note(step(&delivery));
        async { Ok(()) }
    });
    // Well before the server's own patience is over.
    journal.holds(3).await;
    assert_eq!(journal.versions("1"), [1, 2, 3]);
    second.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_looked_at_delivered_again_to_its_consumer_only_or_dropped() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let letters = DeadLetters::new(app.client.clone());
    assert_eq!(letters.list(10).await.expect("the stream is there"), []);

    let (poison, healthy) = (app.change_price(1, 1).await, app.change_price(1, 2).await);
    let (journal, broken) = (Journal::default(), Arc::new(AtomicBool::new(true)));
    let (noted, db, breaks) = (journal.clone(), app.db.clone(), Arc::clone(&broken));
    let replica = Replica::start(&app, config(1), move |delivery| {
        let (noted, db, broken) = (noted.clone(), db.clone(), breaks.load(Ordering::Relaxed));
        async move {
            if delivery.event_id == Some(poison) && broken {
                return not_yet();
            }
            if enter_once(&db, delivery.event_id.expect("ours")).await.expect("the database is there") {
                noted.note(step(&delivery));
            }
            Ok(())
        }
    });
    let others = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&others);
    let other = Replica::start(&app, ConsumerConfig { durable: "other", ..config(1) }, move |delivery| {
        seen.lock().expect("no panic").push(delivery.event_id);
        async { Ok(()) }
    });
    journal.holds(1).await;
    let listed = letters.list(10).await.expect("the stream is there");
    let [letter] = listed.as_slice() else { panic!("one letter: {listed:?}") };
    assert_eq!(
        (&*letter.consumer, &*letter.subject, &*letter.reason, letter.attempts),
        ("tester", "mc.catalog.price.changed.1", "not yet", 5)
    );
    assert_eq!(letter.event_id, poison.to_string());
    assert!((time::OffsetDateTime::now_utc() - letter.time).abs() < PATIENCE);

    broken.store(false, Ordering::Relaxed);
    assert_eq!(letters.redeliver(letter.stream_seq).await.expect("it is there"), *letter);
    journal.holds(2).await;
    assert_eq!(journal.versions("1"), [2, 1], "its effect came at last");
    assert_eq!(letters.list(10).await.expect("the stream is there"), []);

    // Whatever follows is seen by both; the one before was for its consumer only.
    app.change_price(1, 3).await;
    journal.holds(3).await;
    eventually(PATIENCE, "the other consumer saw it too", async || {
        (others.lock().expect("no panic").len() == 3).then_some(())
    })
    .await;
    let seen: HashSet<_> = others.lock().expect("no panic").iter().flatten().copied().collect();
    assert!(seen.len() == 3 && seen.contains(&poison) && seen.contains(&healthy));

    let gone = letters.redeliver(letter.stream_seq).await.expect_err("it went").to_string();
    assert_eq!(gone, format!("there is no dead letter {}", letter.stream_seq));
    replica.stop().await;
    other.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_dropped_letter_is_gone() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    app.change_price(1, 1).await;
    let replica =
        Replica::start(&app, config(1), |_delivery| async { Err(Failure::Never(anyhow::anyhow!("never"))) });
    let letters = DeadLetters::new(app.client.clone());
    let letter = eventually(PATIENCE, "it is given up", async || letters.list(1).await.ok()?.pop()).await;
    assert_eq!((letter.attempts, &*letter.reason), (1, "never"));
    letters.discard(letter.stream_seq).await.expect("it is there");
    assert_eq!(letters.list(10).await.expect("the stream is there"), []);
    assert!(letters.discard(letter.stream_seq).await.is_err());
    replica.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_filtered_consumer_waits_for_nothing_that_it_never_gets() {
    let app = TestApp::start().await;
    let journal = Journal::default();
    let noted = journal.clone();
    let filtered = ConsumerConfig { filter_subject: "mc.catalog.product.deleted.>".to_owned(), ..config(1) };
    let replica = Replica::start(&app, filtered, move |delivery| {
        noted.note((delivery.subject, i64::try_from(delivery.stream_seq).expect("small")));
        async { Ok(()) }
    });
    let mut counts = BTreeMap::new();
    for verb in ["created", "updated", "deleted", "updated", "deleted"] {
        let mut head = async_nats::HeaderMap::new();
        head.insert("Nats-Msg-Id", Uuid::now_v7().to_string().as_str());
        let subject = format!("mc.catalog.product.{verb}.1");
        let sent = app.jetstream.publish_with_headers(subject, head, "x".into()).await.expect("sent");
        sent.await.expect("stored");
        *counts.entry(verb).or_insert(0) += 1;
    }
    journal.holds(counts["deleted"]).await;
    assert_eq!(journal.versions("mc.catalog.product.deleted.1"), [3, 5]);
    replica.stop().await;
}
