//! A payment of one order: charged once, however often it is asked.

use idempotency::Done;
use proto::orders::v1::{PayRequest, PayResponse};

use super::Call;
use crate::domain::payment::Method;
use crate::domain::{Invalid, OrderId};
use crate::error::{Error, Missing};
use crate::payments::pay::{Instrument, Wanted};
use crate::payments::token::CardToken;
use crate::store::orders;
use crate::wire::order::{self as wire, Parts};

/// What a browser's address bar takes, and more.
const URL_BYTES_MAX: usize = 2_000;

pub(crate) async fn pay(call: &Call, request: PayRequest) -> Result<Done<PayResponse>, Error> {
    let buyer = call.buyer()?;
    let id = OrderId::parse("order_id", request.order_id)?;
    let method =
        Method::named(&request.method).ok_or_else(|| Invalid::value("method", "must be `card` or `pix`"))?;
    let with = match method {
        Method::Card => {
            let unknown = || Invalid::value("payment_method", "must be a token of the payment provider");
            let token = CardToken::parse(request.payment_method).ok_or_else(unknown)?;
            if !call.shared.payments.accepts(&token) {
                return Err(unknown().into());
            }
            Instrument::Card { token, return_url: return_url(request.return_url)? }
        }
        Method::Pix => Instrument::Pix,
    };
    let seen = call.read_as(buyer.caller(), move |tx| {
        Box::pin(async move { orders::order(tx, id).await?.ok_or(Error::NotFound(Missing::Order)) })
    });
    // The order's lines, history and earlier payments are not told again.
    let parts = Parts {
        order: seen.await?,
        items: Vec::new(),
        history: Vec::new(),
        payments: Vec::new(),
        notes: Vec::new(),
    };
    let wanted = Wanted {
        order: wire::order(parts),
        expected_total: request.expected_total_amount,
        repeat: call.repeat.clone(),
        actor: call.caller,
    };
    call.shared.payments.pay(wanted, with).await
}

/// A page of the shop; that it is one of ours is for the gateway to say.
fn return_url(url: String) -> Result<String, Invalid> {
    let is_page = url.starts_with("https://") || url.starts_with("http://");
    let fits = url.len() <= URL_BYTES_MAX && url.bytes().all(|byte| byte.is_ascii_graphic());
    if is_page && fits { Ok(url) } else { Err(Invalid::value("return_url", "must be an absolute URL")) }
}
