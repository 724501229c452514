//! Merging a guest's cart into a user's: once, whoever asks how often, and nothing gets lost.

use std::collections::BTreeMap;

use futures_util::future::{join, join_all};
use proto::orders::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, GUEST, OTHER_GUEST, TestApp, Who, refusal};
use crate::buying::patiently;

fn token(who: Who) -> [u8; 32] {
    match who {
        Who::Guest(token) => token,
        other => panic!("{other:?} is no guest"),
    }
}

fn merge(guest: Who, strategy: &str) -> MergeCartsRequest {
    MergeCartsRequest { cart_token_sha256: token(guest).to_vec(), strategy: strategy.to_owned() }
}

fn quantities(cart: &Cart) -> BTreeMap<i64, i32> {
    cart.items.iter().map(|item| (item.variant_id, item.quantity)).collect()
}

/// Versions of events have no gap, and the last one is the row's, for every cart.
async fn versions_are_whole(app: &TestApp) {
    let broken = app
        .value(
            "SELECT count(*) FROM carts c
              WHERE (SELECT count(*) <> c.version OR max(aggregate_version) <> c.version FROM outbox o
                      WHERE o.aggregate = 'cart' AND o.aggregate_id = c.id::text)",
        )
        .await;
    assert_eq!(broken, "0");
}

#[tokio::test]
async fn a_guests_cart_goes_into_the_users_and_the_report_is_kept() {
    let app = TestApp::start().await;
    for variant in 1..=3 {
        app.shelf(variant, 1_000, 500).await;
    }
    app.put(GUEST, 1, 60).await;
    app.put(GUEST, 2, 1).await;
    app.put(ANA, 1, 60).await;
    let mine = app.put(ANA, 3, 5).await;
    app.sql("INSERT INTO coupons (code, kind, value) VALUES ('DEZ', 'percent', 1000)").await;
    app.set_coupon(GUEST, SetCouponRequest { code: "DEZ".to_owned() }).await.unwrap();

    let merged = app.merge_carts(ANA, merge(GUEST, "sum")).await.unwrap();
    let report = merged.report.clone().unwrap();
    assert_eq!((report.strategy.as_str(), report.moved), ("sum", 2));
    assert_eq!((report.capped_variant_ids, report.dropped_variant_ids), (vec![1], vec![]));
    let cart = merged.cart.unwrap();
    assert_eq!((cart.id.as_str(), cart.version), (mine.id.as_str(), 3));
    assert_eq!(quantities(&cart), BTreeMap::from([(1, 99), (2, 1), (3, 5)]));
    assert_eq!(cart.coupon.unwrap().code, "DEZ");
    assert_eq!(merged.receipts[0].tags.len(), 2, "{:?}", merged.receipts);
    assert!(app.cart(GUEST).await.items.is_empty());
    versions_are_whole(&app).await;

    // Asked again, the same report and no change; another user has nothing to do with it.
    let again = app.merge_carts(ANA, merge(GUEST, "max")).await.unwrap();
    assert_eq!((again.report, again.receipts.len()), (merged.report, 0));
    let other = app.merge_carts(BIA, merge(GUEST, "sum")).await.unwrap();
    assert_eq!(other.report.unwrap().moved, 0);
    assert_eq!(quantities(&app.cart(ANA).await), BTreeMap::from([(1, 99), (2, 1), (3, 5)]));

    // What the guest puts in afterwards is another cart, and another merge.
    app.put(GUEST, 2, 4).await;
    let second = app.merge_carts(ANA, merge(GUEST, "guest")).await.unwrap();
    let report = second.report.unwrap();
    assert_eq!((report.moved, report.dropped_variant_ids), (1, vec![1, 3]));
    assert_eq!(quantities(&second.cart.unwrap()), BTreeMap::from([(2, 4)]));
    versions_are_whole(&app).await;
}

#[tokio::test]
async fn a_user_without_a_cart_takes_over_the_guests() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 50).await;
    let theirs = app.put(GUEST, 1, 3).await;
    let merged = app.merge_carts(ANA, merge(GUEST, "customer")).await.unwrap();
    assert_eq!(merged.report.as_ref().unwrap().moved, 1);
    let cart = merged.cart.unwrap();
    assert_eq!((cart.id.as_str(), cart.version), (theirs.id.as_str(), 2));
    assert_eq!(quantities(&app.cart(ANA).await), BTreeMap::from([(1, 3)]));
    assert!(app.cart(GUEST).await.items.is_empty());
    app.put(ANA, 1, 1).await;
    let again = app.merge_carts(ANA, merge(GUEST, "sum")).await.unwrap();
    assert_eq!(again.report, merged.report);
    assert_eq!(quantities(&again.cart.unwrap()), BTreeMap::from([(1, 4)]));
    versions_are_whole(&app).await;
    let told = app.value("SELECT string_agg(split_part(subject, '.', 4) || ' ' || array_to_string(tags, ' '), ', ' ORDER BY seq) FROM outbox WHERE aggregate_version = 2").await;
    assert_eq!(told, format!("merged cart:user:42 cart:token:{}", "aa".repeat(32)));
}

#[tokio::test]
async fn what_cannot_be_merged_is_refused() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 50).await;
    app.put(GUEST, 1, 3).await;
    assert_eq!(refusal(app.merge_carts(ANA, merge(GUEST, "all")).await).2, "strategy");
    let short = MergeCartsRequest { cart_token_sha256: vec![1; 31], strategy: "sum".to_owned() };
    assert_eq!(refusal(app.merge_carts(ANA, short).await).2, "cart_token_sha256");
    for who in [GUEST, OTHER_GUEST, Who::Nobody] {
        assert_eq!(refusal(app.merge_carts(who, merge(GUEST, "sum")).await).0, Code::Unauthenticated);
    }
    // A guest who is at the checkout goes on as a guest.
    app.sql("UPDATE carts SET state = 'locked'").await;
    assert_eq!(refusal(app.merge_carts(ANA, merge(GUEST, "sum")).await).1, "cart_locked");
    // There is nothing to merge for a token that never had a cart.
    let nothing = app.merge_carts(ANA, merge(OTHER_GUEST, "sum")).await.unwrap();
    assert_eq!((nothing.report.unwrap().moved, nothing.cart.unwrap().items.len()), (0, 0));
}

#[tokio::test]
async fn of_many_merges_at_once_one_has_an_effect_and_all_report_it() {
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 1_000, 500).await;
    app.put(GUEST, 1, 3).await;
    app.put(ANA, 1, 4).await;
    let merging = (0..20).map(|_| patiently(|| app.merge_carts(ANA, merge(GUEST, "sum"))));
    let answers = join_all(merging).await;
    let effects = answers.iter().filter(|answer| !answer.as_ref().unwrap().receipts.is_empty()).count();
    assert_eq!(effects, 1);
    for answer in answers {
        assert_eq!(answer.unwrap().report.unwrap().moved, 1);
    }
    assert_eq!(quantities(&app.cart(ANA).await), BTreeMap::from([(1, 7)]));
    versions_are_whole(&app).await;
}

#[tokio::test]
async fn two_guests_become_one_user_at_once() {
    let app = TestApp::start_with_many_writers().await;
    for variant in 1..=2 {
        app.shelf(variant, 1_000, 500).await;
    }
    for user in 100..120 {
        let (one, other) = (Who::Guest([1; 32]), Who::Guest([2; 32]));
        app.put(one, 1, 1).await;
        app.put(other, 2, 2).await;
        let who = Who::User(user);
        let (first, second) = join(
            patiently(|| app.merge_carts(who, merge(one, "sum"))),
            patiently(|| app.merge_carts(who, merge(other, "sum"))),
        )
        .await;
        assert_eq!((first.unwrap().report.unwrap().moved, second.unwrap().report.unwrap().moved), (1, 1));
        assert_eq!(quantities(&app.cart(who).await), BTreeMap::from([(1, 1), (2, 2)]), "user {user}");
    }
    versions_are_whole(&app).await;
}

#[tokio::test]
async fn additions_during_a_merge_are_all_somewhere() {
    let app = &TestApp::start_with_many_writers().await;
    app.shelf(1, 1_000, 5_000).await;
    for round in 0..10 {
        let (guest, user) = (Who::Guest([round + 10; 32]), Who::User(200 + i64::from(round)));
        app.put(guest, 1, 1).await;
        app.put(user, 1, 1).await;
        let add = |who| patiently(move || app.add_item(who, AddItemRequest { variant_id: 1, quantity: 1 }));
        let adding = join(join_all((0..12).map(|_| add(guest))), join_all((0..12).map(|_| add(user))));
        let ((of_guest, of_user), merged) =
            join(adding, patiently(|| app.merge_carts(user, merge(guest, "sum")))).await;
        merged.unwrap();
        let added = of_guest.into_iter().chain(of_user).map(Result::unwrap).count();
        assert_eq!(added, 24);
        let left = quantities(&app.cart(guest).await).get(&1).copied().unwrap_or(0);
        let kept = quantities(&app.cart(user).await).get(&1).copied().unwrap_or(0);
        assert_eq!(left + kept, 26, "round {round}: {left} of the guest, {kept} of the user");
    }
    versions_are_whole(app).await;
}

#[tokio::test]
async fn hundreds_of_random_merges_lose_nothing() {
    let app = TestApp::start_with_many_writers().await;
    for variant in 1..=12 {
        app.shelf(variant, 1_000, 5_000).await;
    }
    let mut random = fastrand::Rng::with_seed(4);
    for batch in 0..20 {
        let merging = (0..15).map(|n| {
            let number = batch * 15 + n;
            let mut bytes = [0xcc; 32];
            bytes[..8].copy_from_slice(&i64::from(number).to_be_bytes());
            let (guest, user) = (Who::Guest(bytes), Who::User(1_000 + i64::from(number)));
            let mut cart = |most: usize| -> BTreeMap<i64, i32> {
                (0..random.usize(0..=most)).map(|_| (random.i64(1..=12), random.i32(1..=99))).collect()
            };
            let (guests, users) = (cart(6), cart(6));
            let strategy = *["sum", "max", "guest", "customer"].get(random.usize(0..4)).unwrap();
            let app = &app;
            async move {
                for (who, goods) in [(guest, &guests), (user, &users)] {
                    for (variant, quantity) in goods {
                        app.put(who, *variant, *quantity).await;
                    }
                }
                let merging = || patiently(|| app.merge_carts(user, merge(guest, strategy)));
                let (merged, again) = (merging().await.unwrap(), merging().await.unwrap());
                assert_eq!(again.report, merged.report);
                let lines = |answer: &MergeCartsResponse| quantities(answer.cart.as_ref().unwrap());
                assert_eq!(lines(&again), lines(&merged));
                let report = merged.report.unwrap();
                let kept = quantities(&merged.cart.unwrap());
                assert_eq!(kept, quantities(&app.cart(user).await));
                let taken_over = users.is_empty();
                for variant in 1..=12 {
                    let of = |goods: &BTreeMap<i64, i32>| goods.get(&variant).copied().unwrap_or(0);
                    let (of_guest, of_user) = (of(&guests), of(&users));
                    let expected = match strategy {
                        _ if taken_over || guests.is_empty() => of_guest + of_user,
                        "sum" => (of_guest + of_user).min(99),
                        "max" => of_guest.max(of_user),
                        "guest" => of_guest,
                        _ => of_user,
                    };
                    assert_eq!(of(&kept), expected, "merge {number} ({strategy}), variant {variant}");
                    let named = report.capped_variant_ids.contains(&variant)
                        || report.dropped_variant_ids.contains(&variant);
                    let wished = if strategy == "sum" { of_guest + of_user } else { of_guest.max(of_user) };
                    assert_eq!(of(&kept) < wished, named, "merge {number} ({strategy}), variant {variant}");
                }
            }
        });
        join_all(merging.collect::<Vec<_>>()).await;
    }
    versions_are_whole(&app).await;
}
