//! `mestres.orders.v1.OrderService`.

use proto::orders::v1::WatchOrderRequest;
use proto::orders::v1::order_service_server::OrderService;
use tonic::{Request, Response, Status};

use super::calls;
use crate::handlers::orders;
use crate::handlers::orders::watch_order::Watching;

calls! {
    OrderService {
        list_orders: ListOrdersRequest => ListOrdersResponse = orders::list_orders::list_orders,
        get_order: GetOrderRequest => OrderResponse = orders::get_order::get_order,
        cancel_order: CancelOrderRequest => OrderResponse = orders::cancel_order::cancel_order,
        request_return: RequestReturnRequest => OrderResponse = orders::request_return::request_return,
        reorder: ReorderRequest => ReorderResponse = orders::reorder::reorder,
        get_order_for_notice: GetOrderForNoticeRequest => GetOrderForNoticeResponse = orders::get_order_for_notice::get_order_for_notice,
        export_user_data: ExportUserDataRequest => ExportUserDataResponse = orders::export_user_data::export_user_data,
    }

    type WatchOrderStream = Watching;

    async fn watch_order(&self, request: Request<WatchOrderRequest>) -> Result<Response<Watching>, Status> {
        let call = self.call(&request).map_err(|error| super::status(error, rls::Caller::Anonymous))?;
        let answer = orders::watch_order::watch_order(&call, request.into_inner()).await;
        answer.map(Response::new).map_err(|error| super::status(error, call.caller))
    }
}
