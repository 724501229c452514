//! Orders, stock and coupons as staff see them.

use events::tags;
use proto::orders::v1 as pb;
use proto::orders::v1::order_admin_service_server::OrderAdminService;
use tonic::{Code, Request as Grpc, Response as Reply, Status};

use super::state::{State, receipts};
use super::{PAYMENT, ScriptedOrders, calls, refusal};

calls! {
    OrderAdminService {
        list_orders(_state, _who, _asked: AdminListOrdersRequest) -> AdminListOrdersResponse {
            let order = pb::OrderSummary { id: 5, user_id: Some(7), version: 3, ..pb::OrderSummary::default() };
            Ok(pb::AdminListOrdersResponse { orders: vec![order], total: 70_000, total_exact: false })
        }
        get_order(state, _who, asked: AdminGetOrderRequest) -> OrderResponse {
            Ok(pb::OrderResponse { order: Some(state.order(asked.order_id)), receipts: Vec::new() })
        }
        change_order_status(state, _who, asked: ChangeOrderStatusRequest) -> OrderResponse {
            if asked.expected_version != 3 {
                return Err(refusal(Code::Aborted, "version_mismatch"));
            }
            let receipts = receipts(vec![tags::order(asked.order_id), tags::orders_user(7)]);
            let order = pb::Order { version: 4, status: asked.status, ..state.order(asked.order_id) };
            Ok(pb::OrderResponse { order: Some(order), receipts })
        }
        add_note(state, _who, asked: AddNoteRequest) -> OrderResponse {
            Ok(pb::OrderResponse { order: Some(state.order(asked.order_id)), receipts: Vec::new() })
        }
        create_shipment(state, _who, asked: CreateShipmentRequest) -> OrderResponse {
            if asked.expected_version != 3 {
                return Err(refusal(Code::Aborted, "version_mismatch"));
            }
            Ok(pb::OrderResponse { order: Some(state.order(asked.order_id)), receipts: Vec::new() })
        }
        refund_order(state, _who, asked: RefundOrderRequest) -> RefundOrderResponse {
            let refund = pb::Refund {
                id: "r".to_owned(),
                payment_id: PAYMENT.to_owned(),
                amount: asked.amount.unwrap_or(4290),
                reason: asked.reason,
                status: "pending".to_owned(),
            };
            let order = Some(state.order(asked.order_id));
            Ok(pb::RefundOrderResponse { refund: Some(refund), order, receipts: Vec::new() })
        }
        list_stock(_state, _who, asked: ListStockRequest) -> ListStockResponse {
            let levels = asked.variant_ids.iter().map(|variant_id| pb::StockLevel {
                variant_id: *variant_id,
                on_hand: 12,
                ..pb::StockLevel::default()
            });
            Ok(pb::ListStockResponse { levels: levels.collect(), total: 2 })
        }
        adjust_stock(_state, _who, asked: AdjustStockRequest) -> AdjustStockResponse {
            let levels = asked.adjustments.iter().map(|row| pb::StockLevel {
                variant_id: row.variant_id,
                on_hand: row.to.unwrap_or(12 + row.delta.unwrap_or(0)),
                ..pb::StockLevel::default()
            });
            Ok(pb::AdjustStockResponse { levels: levels.collect(), receipts: Vec::new() })
        }
        list_coupons(_state, _who, _asked: ListCouponsRequest) -> ListCouponsResponse {
            Ok(pb::ListCouponsResponse { coupons: vec![coupon()], total: 1 })
        }
        get_coupon(_state, _who, asked: GetCouponRequest) -> CouponResponse {
            if asked.code != "NATAL-10" {
                return Err(refusal(Code::NotFound, "coupon_not_found"));
            }
            Ok(pb::CouponResponse { coupon: Some(coupon()), receipts: Vec::new() })
        }
        create_coupon(_state, _who, asked: CreateCouponRequest) -> CouponResponse {
            let coupon = pb::Coupon { version: 1, ..asked.coupon.unwrap_or_default() };
            Ok(pb::CouponResponse { coupon: Some(coupon), receipts: Vec::new() })
        }
        update_coupon(_state, _who, asked: UpdateCouponRequest) -> CouponResponse {
            if asked.expected_version != 2 {
                return Err(refusal(Code::Aborted, "version_mismatch"));
            }
            let coupon = pb::Coupon { version: 3, ..asked.coupon.unwrap_or_default() };
            Ok(pb::CouponResponse { coupon: Some(coupon), receipts: Vec::new() })
        }
    }
}

fn coupon() -> pb::Coupon {
    pb::Coupon {
        code: "NATAL-10".to_owned(),
        kind: "percent".to_owned(),
        value: 1000,
        is_active: true,
        version: 2,
        ..pb::Coupon::default()
    }
}
