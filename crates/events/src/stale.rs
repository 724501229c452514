//! What each event makes stale: the one place of the product where that is decided.

use proto::events::v1::CategoryPath;
use proto::events::v1::event::Fact;

use crate::event::Event;
use crate::tags;

impl Event {
    /// The tags this event makes stale, without repeats.
    ///
    /// Computed once, by the producer, and carried by the outbox row and the message: versions that
    /// run beside each other cannot disagree.
    pub fn stale_tags(&self) -> Vec<String> {
        let mut stale = Stale::default();
        match self.fact() {
            Fact::ProductCreated(fact) => {
                stale.product(fact.product_id, &[&fact.slug]);
                stale.listings();
                stale.texts();
                stale.membership(&[&fact.category]);
                if fact.is_featured {
                    stale.add(tags::products_featured());
                }
            }
            Fact::ProductUpdated(fact) => {
                stale.product(fact.product_id, &[&fact.old_slug, &fact.slug]);
                let moved = fact.old_category != fact.category;
                let shown_or_hidden = fact.was_active != fact.is_active;
                let changed = Changed::of(&fact.changed);
                if moved || shown_or_hidden {
                    stale.membership(&[&fact.old_category, &fact.category]);
                }
                if shown_or_hidden || changed.order {
                    stale.listings();
                    stale.membership(&[&fact.old_category, &fact.category]);
                }
                if shown_or_hidden || fact.was_featured != fact.is_featured || changed.popularity {
                    stale.add(tags::products_featured());
                }
                if shown_or_hidden || changed.texts {
                    stale.texts();
                }
                if shown_or_hidden || moved || changed.facets {
                    stale.add(tags::products_list_filtered());
                }
                if shown_or_hidden || changed.price {
                    stale.add(tags::products_list_price());
                    stale.add(tags::products_list_filtered());
                }
            }
            Fact::ProductDeleted(fact) => {
                stale.product(fact.product_id, &[&fact.slug]);
                stale.listings();
                stale.texts();
                stale.membership(&[&fact.category]);
                stale.add(tags::products_featured());
            }
            Fact::PriceChanged(fact) => {
                stale.add(tags::product(fact.product_id));
                stale.add(tags::products_list_price());
                stale.add(tags::products_list_filtered());
            }
            // Nothing shows who has an account or when they came.
            Fact::UserRegistered(_) | Fact::UserLoggedIn(_) => {}
            Fact::UserUpdated(fact) => stale.add(tags::profile_user(fact.user_id)),
            Fact::UserRoleChanged(fact) => stale.add(tags::profile_user(fact.user_id)),
            Fact::UserDeleted(fact) => stale.everything_of(fact.user_id),
            Fact::AddressChanged(fact) => stale.add(tags::addresses_user(fact.user_id)),
            Fact::AgendaEventCreated(fact)
            | Fact::AgendaEventUpdated(fact)
            | Fact::AgendaEventDeleted(fact) => {
                stale.add(tags::events_user(fact.user_id));
                stale.add(tags::event(fact.event_id));
            }
            // Events show their professional's name.
            Fact::ProfessionalCreated(fact)
            | Fact::ProfessionalUpdated(fact)
            | Fact::ProfessionalDeleted(fact) => {
                stale.add(tags::professionals_user(fact.user_id));
                stale.add(tags::events_user(fact.user_id));
            }
            Fact::ReportCreated(fact) | Fact::ReportUpdated(fact) | Fact::ReportDeleted(fact) => {
                stale.add(tags::reports_user(fact.sender_id));
                stale.add(tags::reports_user(fact.receiver_id));
                stale.add(tags::notifications_user(fact.receiver_id));
                stale.add(tags::report(fact.report_id));
            }
            Fact::NotificationCreated(fact)
            | Fact::NotificationRead(fact)
            | Fact::NotificationDeleted(fact) => stale.add(tags::notifications_user(fact.user_id)),
            Fact::PreferencesChanged(fact) => {
                stale.add(tags::notification_preferences_user(fact.user_id));
            }
            Fact::StockChanged(fact) => stale.add(tags::stock_variant(fact.variant_id)),
            Fact::StockBandChanged(fact) => {
                stale.add(tags::product(fact.product_id));
                stale.add(tags::stock_variant(fact.variant_id));
            }
            Fact::CartUpdated(fact) | Fact::CartExpired(fact) | Fact::CartConverted(fact) => {
                stale.cart(fact.user_id, fact.token_sha256.as_deref());
            }
            Fact::CartMerged(fact) => stale.cart(Some(fact.user_id), Some(&fact.guest_token_sha256)),
            Fact::OrderPlaced(fact) => {
                stale.order(fact.order_id, fact.user_id);
                stale.cart(fact.user_id, fact.cart_token_sha256.as_deref());
            }
            Fact::OrderStatusChanged(fact) => {
                stale.order(fact.order_id, fact.user_id);
                if fact.cart_reopened {
                    stale.cart(fact.user_id, fact.reopened_cart_token_sha256.as_deref());
                }
            }
            Fact::OrderUpdated(fact) => stale.order(fact.order_id, fact.user_id),
            Fact::PaymentChanged(fact) => stale.order(fact.order_id, fact.user_id),
            Fact::ShipmentCreated(fact) | Fact::ShipmentDelivered(fact) => {
                stale.order(fact.order_id, fact.user_id);
            }
            Fact::CouponChanged(fact) => stale.add(tags::coupon(&fact.code)),
            Fact::ShippingTableChanged(_) => stale.add(tags::shipping()),
        }
        stale.tags
    }
}

/// What the changed columns of a product mean for lists and searches.
struct Changed {
    texts: bool,
    facets: bool,
    price: bool,
    popularity: bool,
    order: bool,
}

impl Changed {
    fn of(columns: &[String]) -> Self {
        let mut changed = Self { texts: false, facets: false, price: false, popularity: false, order: false };
        for column in columns {
            match column.as_str() {
                // Shown with the product itself, which has its own tag.
                "slug" | "images" | "variants" | "category_id" | "is_active" | "is_featured" | "version"
                | "updated_at" => {}
                "description" => changed.texts = true,
                "price" | "price_min_amount" | "price_max_amount" => changed.price = true,
                "popularity" => (changed.popularity, changed.facets) = (true, true),
                "created_at" => (changed.order, changed.facets) = (true, true),
                // Bands and ratings are filters and orders, not words.
                "stock_band" | "rating_sum" | "rating_count" => changed.facets = true,
                // Names, attributes, and whatever this version does not know: a purge too many.
                _ => (changed.texts, changed.facets) = (true, true),
            }
        }
        changed
    }
}

/// A growing list of tags.
#[derive(Default)]
struct Stale {
    tags: Vec<String>,
}

impl Stale {
    fn add(&mut self, tag: String) {
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }

    fn product(&mut self, id: i64, slugs: &[&str]) {
        self.add(tags::product(id));
        for slug in slugs {
            self.add(tags::product_slug(slug));
        }
    }

    fn cart(&mut self, user: Option<i64>, token_sha256: Option<&str>) {
        self.tags.extend(user.map(tags::cart_user));
        self.tags.extend(token_sha256.map(tags::cart_token));
    }

    /// An order, the list it is in, and every sum.
    fn order(&mut self, id: i64, user: Option<i64>) {
        self.add(tags::order(id));
        self.tags.extend(user.map(tags::orders_user));
        self.add(tags::orders_stats());
    }

    /// Whatever is kept for a user, in every service.
    fn everything_of(&mut self, user: i64) {
        self.add(tags::profile_user(user));
        self.add(tags::addresses_user(user));
        self.add(tags::events_user(user));
        self.add(tags::professionals_user(user));
        self.add(tags::reports_user(user));
        self.add(tags::notifications_user(user));
        self.add(tags::notification_preferences_user(user));
        self.add(tags::cart_user(user));
        self.add(tags::orders_user(user));
    }

    /// Every list that a product may enter, leave, or move in.
    fn listings(&mut self) {
        self.add(tags::products_list());
        self.add(tags::products_list_price());
        self.add(tags::products_list_filtered());
        self.add(tags::products_new());
    }

    fn texts(&mut self) {
        self.add(tags::search_all());
        self.add(tags::suggest());
    }

    /// The categories whose subtree gained or lost a product, and their counts.
    fn membership(&mut self, paths: &[&Option<CategoryPath>]) {
        for id in paths.iter().filter_map(|path| path.as_ref()).flat_map(|path| &path.ids) {
            self.add(tags::category(*id));
            self.add(tags::products_list_category(*id));
        }
        self.add(tags::categories());
    }
}

#[cfg(test)]
mod tests;
