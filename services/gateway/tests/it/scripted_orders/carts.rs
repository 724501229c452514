//! Carts, shipping and availability.

use proto::orders::v1 as pb;
use proto::orders::v1::cart_service_server::CartService;
use tonic::{Code, Request as Grpc, Response as Reply, Status};

use super::state::{State, at, cart_tag};
use super::{ScriptedOrders, calls, refusal};

calls! {
    CartService {
        get_cart(state, who, _asked: GetCartRequest) -> CartResponse {
            Ok(pb::CartResponse { cart: Some(state.cart(who).clone()), receipts: Vec::new() })
        }
        add_item(state, who, asked: AddItemRequest) -> CartResponse {
            Ok(state.changed(who, |cart| {
                let id = cart.items.len() as i64 + 1;
                cart.items.push(pb::CartItem {
                    id,
                    variant_id: asked.variant_id,
                    product_id: asked.variant_id / 10,
                    quantity: asked.quantity,
                    seen_unit_amount: 4290,
                    available: true,
                    ..pb::CartItem::default()
                });
            }))
        }
        set_item_quantity(state, who, asked: SetItemQuantityRequest) -> CartResponse {
            let version = state.cart(who).version;
            if asked.expected_cart_version.is_some_and(|expected| expected != version) {
                return Err(refusal(Code::Aborted, "version_mismatch"));
            }
            Ok(state.changed(who, |cart| {
                cart.items.iter_mut().filter(|item| item.id == asked.item_id).for_each(|item| {
                    item.quantity = asked.quantity;
                });
            }))
        }
        remove_item(state, who, asked: RemoveItemRequest) -> CartResponse {
            Ok(state.changed(who, |cart| cart.items.retain(|item| item.id != asked.item_id)))
        }
        clear_cart(state, who, _asked: ClearCartRequest) -> CartResponse {
            Ok(state.changed(who, |cart| cart.items.clear()))
        }
        set_coupon(state, who, asked: SetCouponRequest) -> CartResponse {
            let coupon = pb::CartCoupon { code: asked.code, kind: "fixed".to_owned(), ..pb::CartCoupon::default() };
            Ok(state.changed(who, |cart| cart.coupon = Some(coupon)))
        }
        remove_coupon(state, who, _asked: RemoveCouponRequest) -> CartResponse {
            Ok(state.changed(who, |cart| cart.coupon = None))
        }
        merge_carts(state, who, asked: MergeCartsRequest) -> MergeCartsResponse {
            let hash: String = asked.cart_token_sha256.iter().map(|byte| format!("{byte:02x}")).collect();
            let guest = format!("guest:{hash}");
            let moved = std::mem::take(&mut state.cart(&guest).items);
            let report = pb::MergeReport {
                strategy: asked.strategy,
                moved: moved.len() as i32,
                capped_variant_ids: vec![10],
                ..pb::MergeReport::default()
            };
            let pb::CartResponse { cart, mut receipts } = state.changed(who, |cart| cart.items.extend(moved));
            receipts.extend(super::state::receipts(vec![cart_tag(&guest)]));
            Ok(pb::MergeCartsResponse { report: Some(report), cart, receipts })
        }
        quote_shipping(_state, _who, asked: QuoteShippingRequest) -> QuoteShippingResponse {
            let quote = pb::ShippingQuote {
                id: format!("PAC.{}", asked.cep),
                carrier: "Correios".to_owned(),
                service: "PAC".to_owned(),
                amount: 1590,
                currency: "BRL".to_owned(),
                days_min: 3,
                days_max: 6,
                expires_at: at(1_760_000_000),
            };
            Ok(pb::QuoteShippingResponse { quotes: vec![quote], table_version: 1, weight_g: 250 })
        }
        look_up_cep(_state, _who, asked: LookUpCepRequest) -> LookUpCepResponse {
            if asked.cep.starts_with('0') {
                return Ok(pb::LookUpCepResponse {
                    cep: asked.cep,
                    state: "SP".to_owned(),
                    region: "SP-capital".to_owned(),
                    city: "São Paulo".to_owned(),
                });
            }
            Err(refusal(Code::InvalidArgument, "cep_not_found"))
        }
        get_availability(_state, _who, asked: GetAvailabilityRequest) -> GetAvailabilityResponse {
            let variants = asked.variant_ids.into_iter().map(|variant_id| pb::Availability {
                variant_id,
                available: true,
                max_quantity: 42,
                band: "in".to_owned(),
            });
            Ok(pb::GetAvailabilityResponse { variants: variants.collect() })
        }
    }
}
