//! Each fact, and exactly the tags that it makes stale.

use proto::events::v1::{PriceChanged, ProductCreated, ProductDeleted, ProductUpdated};
use rls::Caller;
use time::OffsetDateTime;

use super::*;

#[track_caller]
fn check(fact: Fact, expected: &[&str]) {
    let mut tags = Event::new(&Caller::Service, OffsetDateTime::UNIX_EPOCH, 1, fact).stale_tags();
    let mut expected: Vec<_> = expected.iter().map(|tag| (*tag).to_owned()).collect();
    tags.sort();
    expected.sort();
    assert_eq!(tags, expected);
}

fn path(ids: &[i64]) -> Option<CategoryPath> {
    Some(CategoryPath { ids: ids.to_vec() })
}

/// Product 42, active, in category 3 below 1; `changed` names what else differs.
fn update(changed: &[&str]) -> ProductUpdated {
    ProductUpdated {
        product_id: 42,
        old_slug: "bourbon".to_owned(),
        slug: "bourbon".to_owned(),
        old_category: path(&[1, 3]),
        category: path(&[1, 3]),
        was_active: true,
        is_active: true,
        was_featured: false,
        is_featured: false,
        changed: changed.iter().map(|column| (*column).to_owned()).collect(),
    }
}

const EVERYTHING: [&str; 13] = [
    "product:42",
    "product:slug:bourbon",
    "products:list",
    "products:list:price",
    "products:list:filtered",
    "products:new",
    "search:all",
    "suggest",
    "category:1",
    "category:3",
    "products:list:category:1",
    "products:list:category:3",
    "categories",
];

fn everything_and(more: &[&'static str]) -> Vec<&'static str> {
    EVERYTHING.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn a_new_product_enters_every_list_and_ends_the_cached_404() {
    let created = ProductCreated {
        product_id: 42,
        slug: "bourbon".to_owned(),
        category: path(&[1, 3]),
        is_active: true,
        is_featured: false,
    };
    check(Fact::ProductCreated(created.clone()), &EVERYTHING);
    check(
        Fact::ProductCreated(ProductCreated { is_featured: true, ..created.clone() }),
        &everything_and(&["products:featured"]),
    );
    check(
        Fact::ProductCreated(ProductCreated { category: None, ..created }),
        &EVERYTHING.into_iter().filter(|tag| !tag.contains("category:")).collect::<Vec<_>>(),
    );
}

#[test]
fn a_deleted_product_leaves_every_list() {
    let deleted = ProductDeleted {
        product_id: 42,
        slug: "bourbon".to_owned(),
        category: path(&[1, 3]),
        was_active: true,
        was_featured: false,
    };
    check(Fact::ProductDeleted(deleted), &everything_and(&["products:featured"]));
}

#[test]
fn an_update_purges_what_its_columns_can_change() {
    let own = ["product:42", "product:slug:bourbon"];
    check(Fact::ProductUpdated(update(&[])), &own);
    check(Fact::ProductUpdated(update(&["images"])), &own);
    check(Fact::ProductUpdated(update(&["variants"])), &own);
    check(
        Fact::ProductUpdated(update(&["description"])),
        &["product:42", "product:slug:bourbon", "search:all", "suggest"],
    );
    check(
        Fact::ProductUpdated(update(&["name"])),
        &["product:42", "product:slug:bourbon", "search:all", "suggest", "products:list:filtered"],
    );
    check(
        Fact::ProductUpdated(update(&["stock_band"])),
        &["product:42", "product:slug:bourbon", "products:list:filtered"],
    );
    check(
        Fact::ProductUpdated(update(&["price_min_amount"])),
        &["product:42", "product:slug:bourbon", "products:list:price", "products:list:filtered"],
    );
    check(Fact::ProductUpdated(update(&["created_at"])), &{
        let words = ["search:all", "suggest"];
        EVERYTHING.into_iter().filter(|tag| !words.contains(tag)).collect::<Vec<_>>()
    });
    check(
        Fact::ProductUpdated(update(&["a_column_of_next_year"])),
        &["product:42", "product:slug:bourbon", "search:all", "suggest", "products:list:filtered"],
    );
}

#[test]
fn a_renamed_slug_purges_both() {
    let renamed = ProductUpdated { slug: "bourbon-amarelo".to_owned(), ..update(&["slug"]) };
    check(
        Fact::ProductUpdated(renamed),
        &["product:42", "product:slug:bourbon", "product:slug:bourbon-amarelo"],
    );
}

#[test]
fn a_move_purges_both_branches_and_the_counts() {
    let moved = ProductUpdated { category: path(&[2, 5]), ..update(&["category_id"]) };
    check(
        Fact::ProductUpdated(moved),
        &[
            "product:42",
            "product:slug:bourbon",
            "category:1",
            "category:3",
            "category:2",
            "category:5",
            "products:list:category:1",
            "products:list:category:3",
            "products:list:category:2",
            "products:list:category:5",
            "categories",
            "products:list:filtered",
        ],
    );
}

#[test]
fn showing_or_hiding_a_product_purges_like_creating_it() {
    let hidden = ProductUpdated { is_active: false, ..update(&["is_active"]) };
    check(Fact::ProductUpdated(hidden), &everything_and(&["products:featured"]));
}

#[test]
fn featuring_a_product_purges_the_featured_ones() {
    let featured = ProductUpdated { is_featured: true, ..update(&["is_featured"]) };
    check(Fact::ProductUpdated(featured), &["product:42", "product:slug:bourbon", "products:featured"]);
}

#[test]
fn a_price_purges_the_product_and_what_prices_order() {
    let changed = PriceChanged { product_id: 42, variant_id: 99, ..Default::default() };
    check(Fact::PriceChanged(changed), &["product:42", "products:list:price", "products:list:filtered"]);
}

#[test]
fn facts_about_a_user_purge_what_is_kept_for_that_user() {
    use proto::events::v1::{
        AddressChanged, PreferencesChanged, UserFact, UserLoggedIn, UserRoleChanged, UserUpdated,
    };

    check(Fact::UserRegistered(UserFact { user_id: 7 }), &[]);
    check(Fact::UserLoggedIn(UserLoggedIn { user_id: 7, session_id: "s".to_owned() }), &[]);
    check(Fact::UserUpdated(UserUpdated { user_id: 7, ..Default::default() }), &["profile:user:7"]);
    check(Fact::UserRoleChanged(UserRoleChanged { user_id: 7, ..Default::default() }), &["profile:user:7"]);
    check(
        Fact::UserDeleted(UserFact { user_id: 7 }),
        &[
            "profile:user:7",
            "addresses:user:7",
            "events:user:7",
            "professionals:user:7",
            "reports:user:7",
            "notifications:user:7",
            "notifprefs:user:7",
            "cart:user:7",
            "orders:user:7",
        ],
    );
    check(Fact::AddressChanged(AddressChanged { address_id: 1, user_id: 7 }), &["addresses:user:7"]);
    check(Fact::PreferencesChanged(PreferencesChanged { user_id: 7 }), &["notifprefs:user:7"]);
}

#[test]
fn facts_of_the_agenda_purge_the_lists_of_everyone_concerned() {
    use proto::events::v1::{AgendaEventFact, NotificationFact, ProfessionalFact, ReportFact};

    let event = AgendaEventFact { event_id: 5, user_id: 7, professional_id: Some(3) };
    let professional = ProfessionalFact { professional_id: 3, user_id: 7 };
    let report = ReportFact { report_id: 9, sender_id: 7, receiver_id: 8 };
    let notification = NotificationFact { user_id: 7, ..Default::default() };
    for fact in [Fact::AgendaEventCreated, Fact::AgendaEventUpdated, Fact::AgendaEventDeleted] {
        check(fact(event), &["events:user:7", "event:5"]);
    }
    for fact in [Fact::ProfessionalCreated, Fact::ProfessionalUpdated, Fact::ProfessionalDeleted] {
        check(fact(professional), &["professionals:user:7", "events:user:7"]);
    }
    // The three tags of S32, and the report's own page.
    for fact in [Fact::ReportCreated, Fact::ReportUpdated, Fact::ReportDeleted] {
        check(fact(report), &["reports:user:7", "reports:user:8", "notifications:user:8", "report:9"]);
    }
    for fact in [Fact::NotificationCreated, Fact::NotificationRead, Fact::NotificationDeleted] {
        check(fact(notification.clone()), &["notifications:user:7"]);
    }
}

#[test]
fn facts_of_carts_purge_their_owners_carts() {
    use proto::events::v1::{CartFact, CartMerged};

    let cart = |user_id, token: Option<&str>| CartFact {
        cart_id: "c-1".to_owned(),
        user_id,
        token_sha256: token.map(str::to_owned),
    };
    for fact in [Fact::CartUpdated, Fact::CartExpired, Fact::CartConverted] {
        check(fact(cart(Some(7), None)), &["cart:user:7"]);
        check(fact(cart(None, Some("ab"))), &["cart:token:ab"]);
    }
    let merged = CartMerged { user_id: 7, guest_token_sha256: "ab".to_owned(), ..Default::default() };
    check(Fact::CartMerged(merged), &["cart:user:7", "cart:token:ab"]);
}

#[test]
fn facts_of_orders_purge_the_order_its_list_and_the_sums() {
    use proto::events::v1::{OrderFact, OrderPlaced, OrderStatusChanged, PaymentFact, ShipmentFact};

    const OF_A_USER: [&str; 3] = ["order:42", "orders:user:7", "orders:stats"];
    const OF_A_GUEST: [&str; 2] = ["order:42", "orders:stats"];
    for (user_id, stale) in [(Some(7), &OF_A_USER[..]), (None, &OF_A_GUEST[..])] {
        let moved = OrderStatusChanged { order_id: 42, user_id, ..Default::default() };
        check(Fact::OrderStatusChanged(moved), stale);
        check(Fact::OrderUpdated(OrderFact { order_id: 42, user_id, ..Default::default() }), stale);
        check(Fact::PaymentChanged(PaymentFact { order_id: 42, user_id, ..Default::default() }), stale);
        let shipment = ShipmentFact { order_id: 42, user_id, ..Default::default() };
        check(Fact::ShipmentCreated(shipment.clone()), stale);
        check(Fact::ShipmentDelivered(shipment), stale);
    }

    // The cart became the order.
    let placed = OrderPlaced { order_id: 42, user_id: Some(7), ..Default::default() };
    check(Fact::OrderPlaced(placed), &[&OF_A_USER[..], &["cart:user:7"]].concat());
    let by_a_guest =
        OrderPlaced { order_id: 42, cart_token_sha256: Some("ab".to_owned()), ..Default::default() };
    check(Fact::OrderPlaced(by_a_guest), &[&OF_A_GUEST[..], &["cart:token:ab"]].concat());

    // The order became a cart again.
    let reopened = OrderStatusChanged { order_id: 42, cart_reopened: true, ..Default::default() };
    let of_a_user = OrderStatusChanged { user_id: Some(7), ..reopened.clone() };
    check(Fact::OrderStatusChanged(of_a_user), &[&OF_A_USER[..], &["cart:user:7"]].concat());
    let token = Some("ab".to_owned());
    let of_a_guest = OrderStatusChanged { reopened_cart_token_sha256: token, ..reopened };
    check(Fact::OrderStatusChanged(of_a_guest), &[&OF_A_GUEST[..], &["cart:token:ab"]].concat());
}

#[test]
fn stock_purges_a_product_only_when_its_band_changes() {
    use proto::events::v1::{StockBandChanged, StockChanged};

    let stock = StockChanged { variant_id: 5, product_id: 4, ..Default::default() };
    check(Fact::StockChanged(stock), &["stock:variant:5"]);
    let band = StockBandChanged { variant_id: 5, product_id: 4, ..Default::default() };
    check(Fact::StockBandChanged(band), &["product:4", "stock:variant:5"]);
}

#[test]
fn coupons_and_shipping_tables_purge_what_is_computed_from_them() {
    use proto::events::v1::{CouponChanged, ShippingTableChanged};

    check(Fact::CouponChanged(CouponChanged { code: "CAFE10".to_owned() }), &["coupon:CAFE10"]);
    check(Fact::ShippingTableChanged(ShippingTableChanged { version: 2 }), &["shipping"]);
}
