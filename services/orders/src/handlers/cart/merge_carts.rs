//! A guest's cart goes into the caller's. Asked again, the same report.

use events::{Event, Fact};
use idempotency::Done;
use proto::events::v1::CartMerged;
use proto::orders::v1::{MergeCartsRequest, MergeCartsResponse, MergeReport};
use rls::{Caller, Tx, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::Quotes;
use crate::domain::Invalid;
use crate::domain::merge::{self, Report, Strategy};
use crate::error::{Conflict, Error};
use crate::facts;
use crate::handlers::{Buyer, Call, Principal, now, record};
use crate::store::{carts, merges};
use crate::wire;
use crate::wire::cart::Contents;

pub(crate) async fn merge_carts(
    call: &Call,
    request: MergeCartsRequest,
) -> Result<Done<MergeCartsResponse>, Error> {
    let buyer = call.buyer()?;
    let Principal::User(user) = buyer.who else { return Err(Error::Anonymous) };
    let token: [u8; 32] = request
        .cart_token_sha256
        .try_into()
        .map_err(|_other_length| Invalid::value("cart_token_sha256", "must be 32 bytes"))?;
    let strategy = Strategy::parse("strategy", &request.strategy)?;
    let variants = call
        .read_as(Caller::Service, move |tx| {
            Box::pin(async move { Ok(merges::variants(tx, &token, user).await?) })
        })
        .await?;
    let quotes = call.shared.catalog.quote_or_remember(&variants, &call.request_id).await;

    let merging = Merging { buyer, user, token, strategy, now: now(), quotes };
    call.once_as(Caller::Service, move |tx| Box::pin(merging.run(tx))).await
}

/// One attempt.
#[derive(Clone)]
struct Merging {
    buyer: Buyer,
    user: UserId,
    token: [u8; 32],
    strategy: Strategy,
    now: OffsetDateTime,
    quotes: Quotes,
}

impl Merging {
    async fn run(self, tx: &mut Tx) -> Result<MergeCartsResponse, Error> {
        // The guest's cart before the user's, everywhere.
        let Some(guest) = merges::lock_guest(tx, &self.token).await? else {
            let report = merges::report(tx, &self.token, self.user).await?;
            let nothing = || Report {
                strategy: self.strategy.as_str().to_owned(),
                moved: 0,
                capped: Vec::new(),
                dropped: Vec::new(),
            };
            return self.reply(tx, report.unwrap_or_else(nothing)).await;
        };
        let user = merges::lock_user(tx, self.user).await?;
        if guest.is_locked() || user.as_ref().is_some_and(merges::SideRow::is_locked) {
            return Err(Error::Conflict(Conflict::CartLocked));
        }
        let lines = merges::lines(tx, guest.id).await?;
        let Some(user) = user else {
            // Whatever the strategy: the customer has nothing that could be kept instead.
            let moved = i32::try_from(lines.len()).expect("a cart has few lines");
            let report = Report {
                strategy: self.strategy.as_str().to_owned(),
                moved,
                capped: Vec::new(),
                dropped: Vec::new(),
            };
            let version = merges::own(tx, guest.id, self.user, &report).await?;
            self.merged(tx, guest.id, guest.id, version).await?;
            return self.reply(tx, report).await;
        };
        let merged = merge::merge(self.strategy, &lines, &merges::lines(tx, user.id).await?);
        let coupon = self.strategy.coupon(guest.coupon_code.as_deref(), user.coupon_code.as_deref());
        let version = merges::merge(tx, &user, &guest, &merged, coupon).await?;
        self.merged(tx, user.id, guest.id, version).await?;
        self.reply(tx, merged.report).await
    }

    /// Says that the user's cart is another one now, and the guest's gone.
    async fn merged(
        &self,
        tx: &mut Tx,
        user_cart: Uuid,
        guest_cart: Uuid,
        version: i64,
    ) -> Result<(), Error> {
        let fact = Fact::CartMerged(CartMerged {
            cart_id: user_cart.to_string(),
            user_id: self.user.0,
            guest_cart_id: guest_cart.to_string(),
            guest_token_sha256: facts::hex(&self.token),
        });
        record(tx, &Event::new(&self.buyer.actor, self.now, version, fact)).await
    }

    async fn reply(&self, tx: &mut Tx, report: Report) -> Result<MergeCartsResponse, Error> {
        let contents = match carts::of_user(tx, self.user).await? {
            Some(cart) => {
                let lines = carts::lines(tx, cart.id).await?;
                Some(Contents { cart, lines })
            }
            None => None,
        };
        Ok(MergeCartsResponse {
            report: Some(MergeReport {
                strategy: report.strategy,
                moved: report.moved,
                capped_variant_ids: report.capped,
                dropped_variant_ids: report.dropped,
            }),
            cart: Some(wire::cart::cart(contents.as_ref(), &self.quotes)),
            receipts: Vec::new(),
        })
    }
}
