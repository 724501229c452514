//! Checkouts and payments.

use events::tags;
use proto::orders::v1 as pb;
use proto::orders::v1::checkout_service_server::CheckoutService;
use tonic::{Code, Request as Grpc, Response as Reply, Status};

use super::state::{State, at, cart_tag, own, receipts};
use super::{ORDER_TOKEN, PAYMENT, ScriptedOrders, calls, refusal};

calls! {
    CheckoutService {
        place_order(state, who, asked: PlaceOrderRequest) -> PlaceOrderResponse {
            if asked.shipping_address.is_none() {
                let mut missing = refusal(Code::InvalidArgument, "invalid_value");
                missing.metadata_mut().insert("mc-field", "shipping_address".parse().expect("plain"));
                return Err(missing);
            }
            let mut order = state.order(if who.starts_with("guest") { 9 } else { 5 });
            order.status = "pending_payment".to_owned();
            order.reserved_until = at(1_760_000_900);
            order.shipping_address = asked.shipping_address;
            let order_token = if order.id == 9 { ORDER_TOKEN.to_owned() } else { String::new() };
            let receipts = receipts(vec![cart_tag(who)]);
            Ok(pb::PlaceOrderResponse { order: Some(order), order_token, receipts })
        }
        get_checkout(state, who, asked: GetCheckoutRequest) -> GetCheckoutResponse {
            own(who, asked.order_id)?;
            let (order, payment) = (state.order(asked.order_id), state.payment.clone());
            Ok(pb::GetCheckoutResponse { order: Some(order), payment: Some(payment), remaining_s: 77 })
        }
        pay(state, who, asked: PayRequest) -> PayResponse {
            own(who, asked.order_id)?;
            let (order, payment) = (state.order(asked.order_id), state.payment.clone());
            let receipts = receipts(vec![tags::order(asked.order_id)]);
            Ok(pb::PayResponse { payment: Some(payment), order: Some(order), receipts })
        }
        get_payment(state, who, asked: GetPaymentRequest) -> GetPaymentResponse {
            own(who, 5)?;
            assert_eq!(asked.payment_id, PAYMENT);
            Ok(pb::GetPaymentResponse { payment: Some(state.payment.clone()) })
        }
        cancel_checkout(state, who, asked: CancelCheckoutRequest) -> OrderResponse {
            own(who, asked.order_id)?;
            let receipts = receipts(vec![tags::order(asked.order_id)]);
            Ok(pb::OrderResponse { order: Some(state.order(asked.order_id)), receipts })
        }
        receive_payment_event(_state, _who, asked: ReceivePaymentEventRequest) -> ReceivePaymentEventResponse {
            if asked.signature != "t=1,v1=good" {
                return Err(refusal(Code::InvalidArgument, "invalid_signature"));
            }
            Ok(pb::ReceivePaymentEventResponse {})
        }
    }
}
