//! An orders service in memory: everybody has a cart and orders of their own, keys are kept like the real ones, and a
//! test may have the next call refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use events::tags;
use futures_util::{Stream, StreamExt as _, stream};
use prost::Message as _;
use proto::events::v1::PurgeReceipt;
use proto::orders::v1 as pb;
use proto::orders::v1::cart_service_server::{CartService, CartServiceServer};
use proto::orders::v1::checkout_service_server::{CheckoutService, CheckoutServiceServer};
use proto::orders::v1::order_admin_service_server::{OrderAdminService, OrderAdminServiceServer};
use proto::orders::v1::order_service_server::{OrderService, OrderServiceServer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request as Grpc, Response as Reply, Status};
use uuid::Uuid;

/// The one payment that exists.
pub(crate) const PAYMENT: &str = "0190a5a0-0000-7000-8000-0000000000aa";
/// What opens order 9, a guest's.
pub(crate) const ORDER_TOKEN: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk";

/// See the module.
#[derive(Default)]
pub(crate) struct ScriptedOrders {
    state: Mutex<State>,
}

/// One call as it came.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) rpc: &'static str,
    /// `user:7`, `guest:<hash>`, `service` or `nobody`.
    pub(crate) who: String,
    pub(crate) key: Option<String>,
    pub(crate) route: Option<String>,
    pub(crate) sha256: Option<Vec<u8>>,
    pub(crate) message: String,
}

#[derive(Default)]
struct State {
    carts: BTreeMap<String, pb::Cart>,
    calls: Vec<Called>,
    kept: BTreeMap<(String, String, String), Kept>,
    refusal: Option<Status>,
    warnings: Vec<String>,
    payment: pb::Payment,
    price: i64,
}

struct Kept {
    sha256: Vec<u8>,
    request_id: String,
    answer: Result<Vec<u8>, Status>,
}

impl State {
    fn cart(&mut self, who: &str) -> &mut pb::Cart {
        let price = self.price;
        let warnings = self.warnings.clone();
        let cart = self.carts.entry(who.to_owned()).or_insert_with(|| pb::Cart {
            state: "active".to_owned(),
            currency: "BRL".to_owned(),
            ..pb::Cart::default()
        });
        cart.warnings = warnings;
        let mut items_amount = 0;
        for item in &mut cart.items {
            item.unit_amount = price;
            item.line_amount = price * i64::from(item.quantity);
            items_amount += item.line_amount;
        }
        cart.totals =
            Some(pb::CartTotals { items_amount, total_amount: items_amount, ..pb::CartTotals::default() });
        cart
    }

    fn changed(&mut self, who: &str, change: impl FnOnce(&mut pb::Cart)) -> pb::CartResponse {
        let cart = self.cart(who);
        change(cart);
        cart.version += 1;
        cart.id = "0190a5a0-0000-7000-8000-0000000000cc".to_owned();
        let cart = self.cart(who).clone();
        pb::CartResponse { cart: Some(cart), receipts: receipts(vec![cart_tag(who)]) }
    }

    fn order(&self, id: i64) -> pb::Order {
        let address = pb::Address { recipient: "Ana".to_owned(), ..pb::Address::default() };
        pb::Order {
            id,
            number: format!("MC-2026-{id:06}"),
            user_id: (id != 9).then_some(7),
            status: "paid".to_owned(),
            currency: "BRL".to_owned(),
            items_amount: 4290,
            total_amount: 4290,
            version: 3,
            shipping_address: Some(address),
            items: vec![pb::OrderItem {
                line: 1,
                quantity: 1,
                unit_amount: 4290,
                ..pb::OrderItem::default()
            }],
            history: vec![entry(1), entry(2)],
            payments: vec![self.payment.clone()],
            notes: vec![pb::Note { id: 1, body: "cliente antigo".to_owned(), ..pb::Note::default() }],
            ..pb::Order::default()
        }
    }
}

fn entry(seq: i64) -> pb::TimelineEntry {
    pb::TimelineEntry {
        seq,
        to_status: if seq == 1 { "pending_payment" } else { "paid" }.to_owned(),
        actor: "customer".to_owned(),
        at: at(1_760_000_000 + seq),
        ..pb::TimelineEntry::default()
    }
}

pub(crate) fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn cart_tag(who: &str) -> String {
    match who.split_once(':') {
        Some(("guest", hash)) => tags::cart_token(hash),
        _ => format!("cart:{who}"),
    }
}

pub(crate) fn receipts(tags: Vec<String>) -> Vec<PurgeReceipt> {
    vec![PurgeReceipt { event_id: Uuid::now_v7().to_string(), tags, commit_lsn: 1 }]
}

/// Who may see an order: 9 is a guest's, the others belong to user 7.
fn own(who: &str, id: i64) -> Result<(), Status> {
    let opened = format!("guest:{}", sha256_hex(ORDER_TOKEN));
    let owner = if id == 9 { opened.as_str() } else { "user:7" };
    if who == owner { Ok(()) } else { Err(Status::not_found("order_not_found: as for everybody else")) }
}

pub(crate) fn sha256_hex(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who is asserted; the services verify the signature, this one believes.
fn claims(metadata: &MetadataMap) -> Option<Value> {
    let bearer = metadata.get("authorization")?.to_str().ok()?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(bearer.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok()
}

fn who(claims: Option<&Value>) -> String {
    let Some(claims) = claims else { return "nobody".to_owned() };
    assert_eq!(claims["aud"], "orders", "an assertion for another service");
    let sub = claims["sub"].as_str().expect("a subject");
    match claims["role"].as_str() {
        Some("guest") => format!("guest:{sub}"),
        Some("service") => "service".to_owned(),
        _ => format!("user:{sub}"),
    }
}

impl ScriptedOrders {
    /// Serves on a port of its own.
    pub(crate) async fn start() -> (Arc<Self>, SocketAddr, AbortOnDropHandle<()>) {
        let payment = pb::Payment {
            id: PAYMENT.to_owned(),
            order_id: 5,
            method: "card".to_owned(),
            status: "succeeded".to_owned(),
            amount: 4290,
            captured_amount: 4290,
            currency: "BRL".to_owned(),
            created_at: at(1_760_000_000),
            ..pb::Payment::default()
        };
        let state = Mutex::new(State { payment, price: 4290, ..State::default() });
        let orders = Arc::new(Self { state });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let service = Arc::clone(&orders);
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(CartServiceServer::from_arc(Arc::clone(&service)))
                .add_service(CheckoutServiceServer::from_arc(Arc::clone(&service)))
                .add_service(OrderServiceServer::from_arc(Arc::clone(&service)))
                .add_service(OrderAdminServiceServer::from_arc(service))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("the orders serve");
        });
        (orders, addr, AbortOnDropHandle::new(serving))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// What was asked since the last time.
    pub(crate) fn calls(&self) -> Vec<Called> {
        std::mem::take(&mut self.state().calls)
    }

    /// The next call is refused with this reason.
    pub(crate) fn refuse(&self, code: Code, reason: &'static str) {
        self.refuse_with(refusal(code, reason));
    }

    /// The next call is refused with this status.
    pub(crate) fn refuse_with(&self, status: Status) {
        self.state().refusal = Some(status);
    }

    /// Carts say so from now on.
    pub(crate) fn warn(&self, warning: &str) {
        self.state().warnings = vec![warning.to_owned()];
    }

    /// Everything costs this from now on.
    pub(crate) fn set_price(&self, price: i64) {
        self.state().price = price;
    }

    /// What becomes of payments from now on.
    pub(crate) fn pay_as(&self, change: impl FnOnce(&mut pb::Payment)) {
        change(&mut self.state().payment);
    }

    /// Takes a call in, and does it once under its key.
    fn once<M: std::fmt::Debug, R: prost::Message + Default>(
        &self,
        rpc: &'static str,
        request: Grpc<M>,
        work: impl FnOnce(&mut State, &str, M) -> Result<R, Status>,
    ) -> Result<Reply<R>, Status> {
        let (metadata, _, message) = request.into_parts();
        let text = |name| {
            metadata.get(name).and_then(|value: &MetadataValue<_>| value.to_str().ok()).map(str::to_owned)
        };
        let claims = claims(&metadata);
        let who = who(claims.as_ref());
        let called = Called {
            rpc,
            who: who.clone(),
            key: text("mc-idempotency-key"),
            route: text("mc-idempotency-route"),
            sha256: metadata
                .get_bin("mc-idempotency-sha256-bin")
                .and_then(|value| value.to_bytes().ok())
                .map(|bytes| bytes.to_vec()),
            message: format!("{message:?}"),
        };
        let mut state = self.state();
        state.calls.push(called.clone());
        let (Some(key), Some(route), Some(sha256)) = (called.key, called.route, called.sha256) else {
            let refused = state.refusal.take().map_or(Ok(()), Err);
            return refused.and_then(|()| work(&mut state, &who, message)).map(Reply::new);
        };
        let name = (who.clone(), route, key);
        if let Some(kept) = state.kept.get(&name) {
            if kept.sha256 != sha256 {
                return Err(refusal(Code::FailedPrecondition, "idempotency_key_reused"));
            }
            let note = |metadata: &mut MetadataMap| {
                metadata.insert("mc-idempotent-replayed", MetadataValue::from_static("true"));
                let request_id = kept.request_id.parse().expect("ASCII");
                metadata.insert("mc-idempotent-request-id", request_id);
            };
            return match &kept.answer {
                Ok(bytes) => {
                    let mut reply = Reply::new(R::decode(bytes.as_slice()).expect("encoded below"));
                    note(reply.metadata_mut());
                    Ok(reply)
                }
                Err(status) => {
                    let mut status = status.clone();
                    note(status.metadata_mut());
                    Err(status)
                }
            };
        }
        let answer = match state.refusal.take() {
            Some(refusal) => Err(refusal),
            None => work(&mut state, &who, message),
        };
        let request_id =
            claims.and_then(|claims| claims["rid"].as_str().map(str::to_owned)).unwrap_or_default();
        let keep = !matches!(&answer, Err(status) if status.code() == Code::Unavailable);
        if keep {
            let answer = answer.as_ref().map(R::encode_to_vec).map_err(Status::clone);
            state.kept.insert(name, Kept { sha256, request_id, answer });
        }
        answer.map(Reply::new)
    }
}

/// A refusal as the services make them.
pub(crate) fn refusal(code: Code, reason: &'static str) -> Status {
    let mut status = Status::new(code, format!("{reason}: as the test asked"));
    status.metadata_mut().insert("mc-reason", MetadataValue::from_static(reason));
    status
}

/// The same with lines to blame.
pub(crate) fn blaming(reason: &'static str, lines: Vec<pb::LineProblem>) -> Status {
    let mut status = refusal(Code::Aborted, reason);
    let bytes = pb::LineProblems { lines }.encode_to_vec();
    status.metadata_mut().insert_bin("mc-lines-bin", MetadataValue::from_bytes(&bytes));
    status
}

macro_rules! calls {
    ($service:ident {
        $($name:ident($state:ident, $who:ident, $message:ident: $request:ident) -> $response:ident $body:block)+
    } $($more:tt)*) => {
        #[tonic::async_trait]
        impl $service for ScriptedOrders {
            $(
                async fn $name(
                    &self,
                    request: Grpc<pb::$request>,
                ) -> Result<Reply<pb::$response>, Status> {
                    self.once(
                        stringify!($name),
                        request,
                        |$state: &mut State, $who: &str, $message: pb::$request| -> Result<pb::$response, Status> { $body },
                    )
                }
            )+

            $($more)*
        }
    };
}

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
            receipts.extend(self::receipts(vec![cart_tag(&guest)]));
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

calls! {
    CheckoutService {
        place_order(state, who, asked: PlaceOrderRequest) -> PlaceOrderResponse {
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

calls! {
    OrderService {
        list_orders(state, who, asked: ListOrdersRequest) -> ListOrdersResponse {
            own(who, 5)?;
            let order = state.order(5);
            let summary = pb::OrderSummary {
                id: order.id,
                number: order.number,
                status: order.status,
                items_count: 1,
                total_amount: order.total_amount,
                currency: order.currency,
                created_at: at(1_760_000_000),
                user_id: Some(7),
                version: 3,
            };
            let next_cursor = Some(format!("after-{}", asked.per_page));
            Ok(pb::ListOrdersResponse { orders: vec![summary], total: 1, next_cursor, prev_cursor: None })
        }
        get_order(state, who, asked: GetOrderRequest) -> OrderResponse {
            own(who, asked.order_id)?;
            Ok(pb::OrderResponse { order: Some(state.order(asked.order_id)), receipts: Vec::new() })
        }
        cancel_order(state, who, asked: CancelOrderRequest) -> OrderResponse {
            own(who, asked.order_id)?;
            let receipts = receipts(vec![tags::order(asked.order_id)]);
            Ok(pb::OrderResponse { order: Some(state.order(asked.order_id)), receipts })
        }
        request_return(state, who, asked: RequestReturnRequest) -> OrderResponse {
            own(who, asked.order_id)?;
            let receipts = receipts(vec![tags::order(asked.order_id)]);
            Ok(pb::OrderResponse { order: Some(state.order(asked.order_id)), receipts })
        }
        reorder(state, who, asked: ReorderRequest) -> ReorderResponse {
            own(who, asked.order_id)?;
            let pb::CartResponse { cart, receipts } = state.changed(who, |_| ());
            Ok(pb::ReorderResponse {
                cart,
                unavailable_variant_ids: vec![77],
                capped_variant_ids: Vec::new(),
                receipts,
            })
        }
        get_order_for_notice(_state, _who, _asked: GetOrderForNoticeRequest) -> GetOrderForNoticeResponse {
            Err(Status::unimplemented("no gateway asks this"))
        }
        export_user_data(_state, _who, _asked: ExportUserDataRequest) -> ExportUserDataResponse {
            Err(Status::unimplemented("no gateway asks this"))
        }
    }

    type WatchOrderStream = Pin<Box<dyn Stream<Item = Result<pb::TimelineEntry, Status>> + Send>>;

    async fn watch_order(
        &self,
        request: Grpc<pb::WatchOrderRequest>,
    ) -> Result<Reply<Self::WatchOrderStream>, Status> {
        let mut after = 0;
        self.once("watch_order", request, |_, who, asked: pb::WatchOrderRequest| {
            own(who, asked.order_id)?;
            after = asked.after_seq;
            Ok(pb::OrderResponse::default())
        })?;
        // One entry more for every watch, then it breaks: a gateway that watches again goes on.
        let entries = [entry(after + 1), entry(after + 1), entry(after + 2)].map(Ok);
        let broken = stream::once(async { Err(Status::unavailable("as if restarted")) });
        Ok(Reply::new(Box::pin(stream::iter(entries).chain(broken))))
    }
}

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
