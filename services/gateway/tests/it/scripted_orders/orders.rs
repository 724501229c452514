//! Orders as their buyers see them.

use std::pin::Pin;

use events::tags;
use futures_util::{Stream, StreamExt as _, stream};
use proto::orders::v1 as pb;
use proto::orders::v1::order_service_server::OrderService;
use tonic::{Request as Grpc, Response as Reply, Status};

use super::state::{State, at, entry, own, receipts};
use super::{ScriptedOrders, calls};

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
