//! `mestres.orders.v1.CartService`.

use proto::orders::v1::cart_service_server::CartService;

use super::calls;
use crate::handlers::cart;

calls! {
    CartService {
        get_cart: GetCartRequest => CartResponse = cart::get_cart::get_cart,
        add_item: AddItemRequest => CartResponse = cart::add_item::add_item,
        set_item_quantity: SetItemQuantityRequest => CartResponse = cart::set_item_quantity::set_item_quantity,
        remove_item: RemoveItemRequest => CartResponse = cart::remove_item::remove_item,
        clear_cart: ClearCartRequest => CartResponse = cart::clear_cart::clear_cart,
        set_coupon: SetCouponRequest => CartResponse = cart::set_coupon::set_coupon,
        remove_coupon: RemoveCouponRequest => CartResponse = cart::remove_coupon::remove_coupon,
        merge_carts: MergeCartsRequest => MergeCartsResponse = cart::merge_carts::merge_carts,
        quote_shipping: QuoteShippingRequest => QuoteShippingResponse = cart::quote_shipping::quote_shipping,
        look_up_cep: LookUpCepRequest => LookUpCepResponse = cart::look_up_cep::look_up_cep,
        get_availability: GetAvailabilityRequest => GetAvailabilityResponse = cart::get_availability::get_availability,
    }
}
