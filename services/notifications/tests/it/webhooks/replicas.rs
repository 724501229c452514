//! Several processes, and processes that die.

use std::collections::HashSet;

use time::Duration;

use super::Hooks;
use super::receiver::{Answer, Receiver};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn two_replicas_share_the_work_and_send_everything_once() {
    const EVENTS: i64 = 60;
    let hooks = Hooks::start().await;
    let second = hooks.world.replica(hooks.setup()).await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    for product_id in 1..=EVENTS {
        hooks.updated(product_id, 1).await;
    }
    let count = usize::try_from(EVENTS).unwrap();
    testkit::eventually(crate::app::SOON, "deliveries", async || {
        let log = hooks.log(endpoint.id).await;
        let delivered = log.iter().filter(|delivery| delivery.status == "delivered").count();
        (delivered == count).then_some(())
    })
    .await;
    let received = receiver.received();
    let ids: HashSet<_> = received.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!((received.len(), ids.len()), (count, count));
    second.stop().await;
}

#[test]
fn a_process_that_dies_before_it_notes_a_success_leaves_the_message_to_the_next() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // The first process lives in a runtime of its own, and dies with it.
    let (doomed, outside) = (runtime(), runtime());
    let receiver = outside.block_on(Receiver::answering(Answer::Held(CancellationToken::new())));
    let (hooks, endpoint, event) = doomed.block_on(async {
        let hooks = Hooks::start().await;
        let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
        let event = hooks.updated(5, 1).await;
        (hooks, endpoint, event)
    });
    outside.block_on(receiver.requests(1));
    doomed.shutdown_background();

    outside.block_on(async {
        receiver.answers(Answer::Status(200));
        let hooks = hooks.with_another_process().await;
        // Until the lease is over the message is the dead process's; others go out.
        let other = hooks.updated(6, 1).await;
        hooks.delivery(endpoint.id, &other, "delivered").await;
        assert_eq!(hooks.delivery(endpoint.id, &event, "pending").await.attempts, 0);

        hooks.clock.advance(Duration::seconds(61));
        hooks.delivery(endpoint.id, &event, "delivered").await;
        let received = receiver.received();
        let twice = [&received[0], &received[2]];
        assert_eq!(received.len(), 3);
        assert!(twice.iter().all(|request| request.header("webhook-id") == event.id().to_string()));
        assert_eq!(twice[0].body, twice[1].body);
    });
}

#[tokio::test]
async fn a_success_that_the_database_did_not_take_is_sent_again() {
    let hooks = Hooks::start().await;
    // A sequence counts what is rolled back, too.
    hooks
        .world
        .sql(
            "CREATE SEQUENCE public.notes;
             CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
             AS $$ BEGIN PERFORM nextval('public.notes'); RAISE 'not today'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE OF status ON webhook_deliveries
                FOR EACH ROW WHEN (new.status = 'delivered') EXECUTE FUNCTION public.refuse()",
        )
        .await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let event = hooks.updated(5, 1).await;
    testkit::eventually(crate::app::SOON, "three notes that are not taken", async || {
        let notes: i64 =
            hooks.world.one("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.notes").await;
        (notes == 3).then_some(())
    })
    .await;
    hooks.world.sql("DROP TRIGGER refuse ON webhook_deliveries").await;
    assert_eq!(hooks.delivery(endpoint.id, &event, "pending").await.attempts, 0);

    hooks.clock.advance(Duration::seconds(61));
    assert_eq!(hooks.delivery(endpoint.id, &event, "delivered").await.attempts, 1);
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|request| request.header("webhook-id") == event.id().to_string()));
}
