//! `mestres.orders.v1.CheckoutService`.

use proto::orders::v1::checkout_service_server::CheckoutService;

use super::calls;
use crate::handlers::{self, checkout};

calls! {
    CheckoutService {
        place_order: PlaceOrderRequest => PlaceOrderResponse = checkout::place_order::place_order,
        get_checkout: GetCheckoutRequest => GetCheckoutResponse = checkout::get_checkout::get_checkout,
        pay: PayRequest => PayResponse = handlers::pay::pay,
        get_payment: GetPaymentRequest => GetPaymentResponse = handlers::get_payment::get_payment,
        cancel_checkout: CancelCheckoutRequest => OrderResponse = checkout::cancel_checkout::cancel_checkout,
        receive_payment_event: ReceivePaymentEventRequest => ReceivePaymentEventResponse = handlers::receive_payment_event::receive_payment_event,
    }
}
