//! Asking orders what became of one, and whom to tell when it is a guest's.

use std::time::Duration;

use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{GetOrderForNoticeRequest, GetOrderForNoticeResponse, Order};
use rls::Asserter;
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::domain::locale::Locale;
use crate::domain::order::{Happening, OrderNews, Parcel};
use crate::mail::Addressee;

const AUDIENCE: &str = "orders";
const DEADLINE: Duration = Duration::from_millis(1_500);

/// Orders, asked as a process of the product. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    client: OrderServiceClient<Channel>,
    asserter: Asserter,
}

/// An order as its notices need it.
#[derive(Clone)]
pub(crate) struct Notice {
    order: Order,
    email: Option<String>,
    order_token: Option<String>,
    pub(crate) locale: Locale,
}

/// Addresses and tokens stay out of logs.
impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notice").field("order.id", &self.order.id).finish_non_exhaustive()
    }
}

impl Orders {
    /// Orders behind `channel`.
    pub(crate) fn new(channel: Channel, asserter: Asserter) -> Self {
        Self { client: OrderServiceClient::new(channel), asserter }
    }

    /// The order as it is now; none when there is no such order any more.
    ///
    /// # Errors
    /// When orders does not answer.
    pub(crate) async fn notice(&self, order_id: i64) -> Result<Option<Notice>, Status> {
        let bearer = self.asserter.service(AUDIENCE, &Uuid::now_v7().to_string());
        let request = GetOrderForNoticeRequest { order_id };
        let request = bootstrap::grpc::request(request, DEADLINE, Some(&bearer));
        match self.client.clone().get_order_for_notice(request).await {
            Ok(answer) => Ok(Notice::read(answer.into_inner())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }
}

impl Notice {
    fn read(answer: GetOrderForNoticeResponse) -> Option<Self> {
        let GetOrderForNoticeResponse { order, email, order_token, locale } = answer;
        Some(Self { order: order?, email, order_token, locale: Locale::or_default(&locale) })
    }

    /// What `happening` means for this order.
    pub(crate) fn news(&self, happening: Happening) -> OrderNews {
        let order = &self.order;
        // The latest parcel is the one that this is about.
        let parcel = order.shipments.iter().rev().find_map(|shipment| {
            let tracking_code = shipment.tracking_code.clone().filter(|code| !code.is_empty())?;
            Some(Parcel { carrier: shipment.carrier.clone(), tracking_code })
        });
        OrderNews {
            order_id: order.id,
            number: order.number.clone(),
            total_amount: order.total_amount,
            refunded_amount: order.refunded_amount,
            currency: order.currency.clone(),
            parcel,
            happening,
        }
    }

    /// Whether nobody should be told of it any more: an attempt to pay that was given up because the order is cancelled is
    /// not one to be made again.
    pub(crate) fn is_outdated(&self, happening: Happening) -> bool {
        happening == Happening::PaymentFailed && self.order.status == "cancelled"
    }

    /// The guest who bought; none when nobody said where to write to.
    pub(crate) fn guest(&self) -> Option<Addressee> {
        let email = self.email.clone().filter(|email| !email.is_empty())?;
        let recipient = self.order.shipping_address.as_ref().map(|address| address.recipient.trim());
        let name = match (recipient, self.locale) {
            (Some(recipient), _) if !recipient.is_empty() => recipient.to_owned(),
            (_, Locale::PtBr) => "cliente".to_owned(),
            (_, Locale::En) => "customer".to_owned(),
        };
        Some(Addressee { email, name })
    }

    /// The address that opens the order for whoever has it: as good as a password.
    pub(crate) fn guest_link(&self, shop_url: &str) -> String {
        let page = format!("{shop_url}/orders/{}", self.order.id);
        match &self.order_token {
            Some(token) => {
                let token = percent_encoding::utf8_percent_encode(token, UNRESERVED);
                format!("{page}?order_token={token}")
            }
            None => page,
        }
    }
}

/// RFC 3986: everything else is encoded.
const UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use proto::orders::v1::{Address, Shipment};

    use super::*;

    fn notice(order: Order) -> Notice {
        Notice {
            order,
            email: Some("gil@example.com".into()),
            order_token: Some("a-b_c=&x".into()),
            locale: Locale::En,
        }
    }

    #[test]
    fn the_latest_parcel_with_a_code_is_named() {
        let shipment = |code: Option<&str>| Shipment {
            carrier: "Correios".into(),
            tracking_code: code.map(str::to_owned),
            ..Default::default()
        };
        let shipments = vec![shipment(Some("BR1")), shipment(Some("BR2")), shipment(None)];
        let news = notice(Order { shipments, ..Default::default() }).news(Happening::Shipped);
        assert_eq!(news.parcel.map(|parcel| parcel.tracking_code), Some("BR2".to_owned()));
    }

    #[test]
    fn a_guest_is_addressed_by_the_recipients_name_and_shown_the_way_in() {
        let address = Address { recipient: " Gil ".into(), ..Default::default() };
        let named = notice(Order { id: 17, shipping_address: Some(address), ..Default::default() });
        assert_eq!(named.guest().map(|guest| guest.name), Some("Gil".to_owned()));
        let link = named.guest_link("https://shop");
        assert_eq!(link, "https://shop/orders/17?order_token=a-b_c%3D%26x");
        assert_eq!(notice(Order::default()).guest().map(|guest| guest.name), Some("customer".to_owned()));
        assert!(!format!("{named:?}").contains("a-b_c") && !format!("{named:?}").contains("example"));
    }
}
