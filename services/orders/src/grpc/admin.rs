//! `mestres.orders.v1.OrderAdminService`.

use proto::orders::v1::order_admin_service_server::OrderAdminService;

use super::calls;
use crate::handlers::{coupons, refund_order, staff, stock};

calls! {
    OrderAdminService {
        list_orders: AdminListOrdersRequest => AdminListOrdersResponse = staff::list_orders::list_orders,
        get_order: AdminGetOrderRequest => OrderResponse = staff::get_order::get_order,
        change_order_status: ChangeOrderStatusRequest => OrderResponse = staff::change_order_status::change_order_status,
        add_note: AddNoteRequest => OrderResponse = staff::add_note::add_note,
        create_shipment: CreateShipmentRequest => OrderResponse = staff::create_shipment::create_shipment,
        refund_order: RefundOrderRequest => RefundOrderResponse = refund_order::refund_order,
        list_stock: ListStockRequest => ListStockResponse = stock::list_stock::list_stock,
        adjust_stock: AdjustStockRequest => AdjustStockResponse = stock::adjust_stock::adjust_stock,
        list_coupons: ListCouponsRequest => ListCouponsResponse = coupons::list_coupons::list_coupons,
        get_coupon: GetCouponRequest => CouponResponse = coupons::get_coupon::get_coupon,
        create_coupon: CreateCouponRequest => CouponResponse = coupons::create_coupon::create_coupon,
        update_coupon: UpdateCouponRequest => CouponResponse = coupons::update_coupon::update_coupon,
    }
}
