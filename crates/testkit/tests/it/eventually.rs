//! Bounded waiting.

use std::time::{Duration, Instant};

use testkit::eventually;

#[tokio::test]
async fn answers_as_soon_as_there_is_an_answer() {
    let mut looks = 0;
    let answer = eventually(Duration::from_secs(30), "three looks", async || {
        looks += 1;
        (looks == 3).then_some("there")
    })
    .await;
    assert_eq!((answer, looks), ("there", 3));
}

#[tokio::test]
#[should_panic(expected = "the moon turns green")]
async fn names_what_did_not_happen() {
    eventually(Duration::from_millis(50), "the moon turns green", async || None::<()>).await;
}

#[tokio::test]
async fn a_probe_that_hangs_does_not_hang_the_test() {
    let started = Instant::now();
    let hung = tokio::spawn(eventually(Duration::from_millis(50), "an end", async || {
        std::future::pending::<Option<()>>().await
    }));
    assert!(hung.await.unwrap_err().is_panic());
    assert!(started.elapsed() < Duration::from_secs(5));
}
