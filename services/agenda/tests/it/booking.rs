//! X74: one professional, one place at a time.

use std::time::Duration;

use futures_util::future::join_all;
use proto::agenda::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, TestApp, booked, hours, refusal, tasting};

fn double_booking() -> (Code, String, String) {
    (Code::AlreadyExists, "double_booking".into(), "starts_at".into())
}

#[tokio::test]
async fn of_64_bookings_of_one_hour_one_is_made() {
    let app = TestApp::start_with_many_writers().await;
    let helena = app.professional("Helena").await;
    let bookings = (0..64).map(|n| {
        let fields = EventFields { title: format!("reserva {n}"), ..booked(0, &helena) };
        app.create_event(ANA, CreateEventRequest { fields: Some(fields) })
    });
    let (made, refused): (Vec<_>, Vec<_>) = join_all(bookings).await.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (1, 63));
    for answer in refused {
        // Not one of them the victim of a deadlock, which would be UNAVAILABLE.
        assert_eq!(refusal(answer), double_booking());
    }
    let listed = app.list_events(ANA, ListEventsRequest::default()).await.unwrap();
    assert_eq!(listed.total, 1);
    assert_eq!(Some(&listed.events[0]), made[0].as_ref().unwrap().event.as_ref());
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE aggregate = 'event'")
        .fetch_one(&mut app.admin().await)
        .await
        .unwrap();
    assert_eq!(events, 1);
}

#[tokio::test]
async fn of_many_events_moved_to_one_hour_one_gets_there() {
    let app = TestApp::start_with_many_writers().await;
    let helena = app.professional("Helena").await;
    let mut ids = Vec::new();
    for n in 1..=16 {
        ids.push(app.event(booked(n * 10, &helena)).await.id);
    }
    let moves = ids.iter().map(|id| {
        app.update_event(
            ANA,
            UpdateEventRequest { id: *id, expected_version: 1, fields: Some(booked(0, &helena)) },
        )
    });
    let (moved, refused): (Vec<_>, Vec<_>) = join_all(moves).await.into_iter().partition(Result::is_ok);
    assert_eq!((moved.len(), refused.len()), (1, 15));
    for answer in refused {
        assert_eq!(refusal(answer), double_booking());
    }
}

#[tokio::test]
async fn only_what_is_scheduled_and_overlaps_is_in_the_way() {
    let app = TestApp::start().await;
    let helena = app.professional("Helena").await;
    let first = app.event(booked(0, &helena)).await;
    let book = async |fields| app.create_event(ANA, CreateEventRequest { fields: Some(fields) }).await;

    // One after the other is fine, a minute into the other is not.
    assert!(book(booked(1, &helena)).await.is_ok());
    assert!(book(booked(-1, &helena)).await.is_ok());
    let mut overlapping = booked(2, &helena);
    overlapping.starts_at.as_mut().unwrap().seconds -= 60;
    assert_eq!(refusal(book(overlapping).await), double_booking());
    let around = EventFields { starts_at: hours(-10), ends_at: hours(10), ..booked(0, &helena) };
    assert_eq!(refusal(book(around).await), double_booking());

    // Without a professional, with another one, or not scheduled: not in the way.
    assert!(book(tasting("x", 0)).await.is_ok());
    let zeca = app.professional("Zeca").await;
    assert!(book(booked(0, &zeca)).await.is_ok());
    let cancelled = EventFields { status: Some("cancelled".into()), ..booked(0, &helena) };
    let cancelled = book(cancelled).await.unwrap().event.unwrap();

    // Scheduling it again is; after the first is cancelled it is not.
    let again =
        UpdateEventRequest { id: cancelled.id, expected_version: 1, fields: Some(booked(0, &helena)) };
    assert_eq!(refusal(app.update_event(ANA, again.clone()).await), double_booking());
    app.delete_event(ANA, DeleteEventRequest { id: first.id, expected_version: 1 }).await.unwrap();
    assert!(app.update_event(ANA, again).await.is_ok());
}

#[tokio::test]
async fn nobody_books_a_professional_of_somebody_else() {
    let app = TestApp::start().await;
    let helena = app.professional("Helena").await;
    let hers = app.create_event(BIA, CreateEventRequest { fields: Some(tasting("x", 0)) }).await;
    let hers = hers.unwrap().event.unwrap();
    let before = app.state().await;
    let mut words = Vec::new();
    for professional_id in [Some(helena.id), Some(999_999)] {
        let fields = EventFields { professional_id, ..tasting("x", 0) };
        let create = CreateEventRequest { fields: Some(fields.clone()) };
        let update = UpdateEventRequest { id: hers.id, expected_version: 1, fields: Some(fields) };
        let created = app.create_event(BIA, create).await.unwrap_err();
        let updated = app.update_event(BIA, update).await.unwrap_err();
        words.push((created.message().to_owned(), updated.message().to_owned()));
        let expected =
            (Code::InvalidArgument, "professional_not_found".to_owned(), "professional_id".to_owned());
        assert_eq!(refusal(Err::<(), _>(created)), expected);
        assert_eq!(refusal(Err::<(), _>(updated)), expected);
    }
    assert_eq!(words[0], words[1], "another user's professional is one that does not exist");
    assert_eq!(app.state().await, before);

    // And were it ever forgotten above, the key of two columns would refuse it.
    let foreign = sqlx::query("UPDATE events SET professional_id = $1 WHERE id = $2")
        .bind(helena.id)
        .bind(hers.id)
        .execute(&mut app.admin().await)
        .await
        .unwrap_err();
    let constraint = foreign.as_database_error().and_then(|error| error.constraint()).unwrap();
    assert_eq!(constraint, "events_professional_unknown");
}

#[tokio::test]
async fn deleting_a_professional_and_booking_one_never_wait_for_each_other_in_a_circle() {
    let app = TestApp::start_with_many_writers().await;
    for round in 0..8 {
        let helena = app.professional(&format!("Helena {round}")).await;
        let past = EventFields { status: Some("done".into()), ..booked(round * 10, &helena) };
        let past = app.event(past).await;
        let edit = EventFields { title: "Outra".into(), status: Some("done".into()), ..booked(0, &helena) };
        let update = UpdateEventRequest { id: past.id, expected_version: 1, fields: Some(edit) };
        let delete = DeleteProfessionalRequest { id: helena.id, expected_version: 1 };
        let (updated, deleted) =
            tokio::join!(app.update_event(ANA, update), app.delete_professional(ANA, delete));
        assert!(deleted.is_ok(), "{deleted:?}");
        if let Err(status) = updated {
            // The professional went first.
            let refused = refusal(Err::<(), _>(status));
            assert_eq!((refused.0, refused.1.as_str()), (Code::InvalidArgument, "professional_not_found"));
        }
    }
}

#[tokio::test]
async fn bookings_of_one_professional_queue_before_they_write() {
    let app = TestApp::start().await;
    let helena = app.professional("Helena").await;
    // Somebody else's booking, not committed yet.
    let mut other = app.admin().await;
    sqlx::raw_sql("BEGIN; SELECT id FROM professionals FOR NO KEY UPDATE").execute(&mut other).await.unwrap();
    let mut admin = app.admin().await;
    let waiting = async || {
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
                             WHERE datname = current_database() AND wait_event_type = 'Lock'
                               AND query LIKE '%FOR NO KEY UPDATE')",
        )
        .fetch_one(&mut admin)
        .await
        .unwrap();
        waiting.then_some(())
    };
    let book = app.create_event(ANA, CreateEventRequest { fields: Some(booked(0, &helena)) });
    let release = async {
        testkit::eventually(Duration::from_secs(10), "a booking waits for its turn", waiting).await;
        sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    };
    // How the booking ends depends on how long it had to wait; that it waited is the point.
    let (_booked, ()) = tokio::join!(book, release);
}
