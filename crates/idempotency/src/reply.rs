//! Replies of mutations: what each of them makes stale is in its field `receipts`, if anybody caches such things.

use proto::events::v1::PurgeReceipt;
use proto::{accounts, agenda, catalog, notifications, orders};

/// A mutation's reply, which holds the receipts of what it made stale.
pub trait Reply: prost::Message + Default + Clone + Send + 'static {
    /// Where its receipts are; `None` in a reply of what nobody caches.
    fn receipts_mut(&mut self) -> Option<&mut Vec<PurgeReceipt>>;
}

/// The messages are of another crate than the services that answer with them, so all are listed here.
macro_rules! replies {
    ($($of:ident: $($message:ident),+;)+) => {
        $($(
            impl Reply for $of::v1::$message {
                fn receipts_mut(&mut self) -> Option<&mut Vec<PurgeReceipt>> {
                    Some(&mut self.receipts)
                }
            }
        )+)+
    };
}

macro_rules! replies_without_receipts {
    ($($of:ident: $($message:ident),+;)+) => {
        $($(
            impl Reply for $of::v1::$message {
                fn receipts_mut(&mut self) -> Option<&mut Vec<PurgeReceipt>> {
                    None
                }
            }
        )+)+
    };
}

replies_without_receipts! {
    accounts: RequestExportResponse, RequestErasureResponse;
    notifications: CreateEndpointResponse, UpdateEndpointResponse, DeleteEndpointResponse, RotateSecretResponse,
        TestEndpointResponse, RedeliverResponse;
}

replies! {
    accounts: VerifyEmailResponse, ResetPasswordResponse, ConfirmTotpResponse, DisableTotpResponse,
        UpdateProfileResponse, CreateAddressResponse, UpdateAddressResponse, DeleteAddressResponse,
        UpdateUserResponse, LockUserResponse;
    agenda: CreateEventResponse, UpdateEventResponse, DeleteEventResponse, CreateProfessionalResponse,
        UpdateProfessionalResponse, DeleteProfessionalResponse, CreateReportResponse, UpdateReportResponse,
        DeleteReportResponse;
    catalog: CreateProductResponse, UpdateProductResponse, PatchProductResponse, DeleteProductResponse,
        ChangePricesResponse;
    notifications: MarkNotificationResponse, MarkAllReadResponse, DeleteNotificationResponse,
        UpdatePreferencesResponse;
    orders: CartResponse, MergeCartsResponse, PlaceOrderResponse, PayResponse, OrderResponse, ReorderResponse,
        RefundOrderResponse, AdjustStockResponse, CouponResponse;
}
