//! An agenda and a feed of notifications in memory: each user has their own, and every call is counted by the
//! user whom its assertion names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proto::agenda::v1 as agenda;
use proto::agenda::v1::agenda_service_server::{AgendaService, AgendaServiceServer};
use proto::notifications::v1 as feed;
use proto::notifications::v1::notifications_service_server::{
    NotificationsService, NotificationsServiceServer,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::metadata::MetadataMap;
use tonic::{Request as Grpc, Response as Reply, Status};

/// The user whom a call's assertion names; 0 for a service's own.
pub(crate) fn asserted(metadata: &MetadataMap) -> Result<i64, Status> {
    let refused = || Status::unauthenticated("no assertion");
    let header = metadata.get("authorization").and_then(|value| value.to_str().ok()).ok_or_else(refused)?;
    let claims = header.split('.').nth(1).ok_or_else(refused)?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).map_err(|_error| refused())?;
    let claims: Value = serde_json::from_slice(&claims).map_err(|_error| refused())?;
    Ok(claims["sub"].as_str().and_then(|sub| sub.parse().ok()).unwrap_or(0))
}

/// Both services in one process.
#[derive(Debug, Default)]
pub(crate) struct StandIns {
    calls: Mutex<BTreeMap<(i64, &'static str), u32>>,
}

/// Events of each user's agenda.
const EVENTS: u64 = 45;

impl StandIns {
    /// Serves on a port of its own.
    pub(crate) async fn start() -> (Arc<Self>, SocketAddr, AbortOnDropHandle<()>) {
        let stand_ins = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let agenda = AgendaServiceServer::from_arc(Arc::clone(&stand_ins));
        let feed = NotificationsServiceServer::from_arc(Arc::clone(&stand_ins));
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(agenda)
                .add_service(feed)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("the stand-ins serve");
        });
        (stand_ins, addr, AbortOnDropHandle::new(serving))
    }

    /// How often `rpc` was called for `user`.
    pub(crate) fn calls(&self, user: i64, rpc: &'static str) -> u32 {
        self.calls.lock().expect("no panic").get(&(user, rpc)).copied().unwrap_or(0)
    }

    fn called<M>(&self, rpc: &'static str, request: Grpc<M>) -> Result<(i64, M), Status> {
        let user = asserted(request.metadata())?;
        *self.calls.lock().expect("no panic").entry((user, rpc)).or_default() += 1;
        Ok((user, request.into_inner()))
    }
}

fn event(user: i64, id: i64) -> agenda::Event {
    agenda::Event {
        id,
        title: format!("Cupping {id} da pessoa {user}, com cafés naturais e fermentados da serra"),
        kind: "cupping".to_owned(),
        status: "scheduled".to_owned(),
        version: 1,
        ..agenda::Event::default()
    }
}

macro_rules! service {
    ($service:ident in $package:ident { $($scripted:tt)* } others { $($name:ident $request:ident $response:ident;)* }) => {
        #[tonic::async_trait]
        impl $service for StandIns {
            $($scripted)*
            $(
                async fn $name(
                    &self,
                    request: Grpc<$package::$request>,
                ) -> Result<Reply<$package::$response>, Status> {
                    self.called(stringify!($name), request)?;
                    Ok(Reply::new($package::$response::default()))
                }
            )*
        }
    };
}

service! {
    AgendaService in agenda {
        async fn list_events(
            &self,
            request: Grpc<agenda::ListEventsRequest>,
        ) -> Result<Reply<agenda::ListEventsResponse>, Status> {
            let (user, asked) = self.called("list_events", request)?;
            let page = asked.page.unwrap_or_default();
            let first = u64::from(page.page.saturating_sub(1)) * u64::from(page.limit);
            let ids = (first..EVENTS.min(first + u64::from(page.limit))).map(|id| id as i64 + 1);
            let events = ids.map(|id| event(user, id)).collect();
            Ok(Reply::new(agenda::ListEventsResponse { events, total: EVENTS }))
        }

        /// Odd events are user 7's, even ones user 8's.
        async fn get_event(
            &self,
            request: Grpc<agenda::GetEventRequest>,
        ) -> Result<Reply<agenda::GetEventResponse>, Status> {
            let (user, agenda::GetEventRequest { id }) = self.called("get_event", request)?;
            if id > EVENTS as i64 || (id % 2 == 1) != (user == 7) {
                return Err(Status::not_found("id: no such event"));
            }
            Ok(Reply::new(agenda::GetEventResponse { event: Some(event(user, id)) }))
        }

        async fn list_professionals(
            &self,
            request: Grpc<agenda::ListProfessionalsRequest>,
        ) -> Result<Reply<agenda::ListProfessionalsResponse>, Status> {
            let (user, _) = self.called("list_professionals", request)?;
            let professional =
                agenda::Professional { id: user, name: format!("Mestre {user}"), ..Default::default() };
            Ok(Reply::new(agenda::ListProfessionalsResponse { professionals: vec![professional], total: 1 }))
        }
    }
    others {
        create_event CreateEventRequest CreateEventResponse;
        update_event UpdateEventRequest UpdateEventResponse;
        delete_event DeleteEventRequest DeleteEventResponse;
        get_professional GetProfessionalRequest GetProfessionalResponse;
        create_professional CreateProfessionalRequest CreateProfessionalResponse;
        update_professional UpdateProfessionalRequest UpdateProfessionalResponse;
        delete_professional DeleteProfessionalRequest DeleteProfessionalResponse;
        list_reports ListReportsRequest ListReportsResponse;
        get_report GetReportRequest GetReportResponse;
        create_report CreateReportRequest CreateReportResponse;
        update_report UpdateReportRequest UpdateReportResponse;
        delete_report DeleteReportRequest DeleteReportResponse;
        export_user_data ExportUserDataRequest ExportUserDataResponse;
    }
}

service! {
    NotificationsService in feed {
        type FollowNotificationsStream = tokio_stream::Empty<Result<feed::FollowNotificationsResponse, Status>>;

        async fn follow_notifications(
            &self,
            request: Grpc<feed::FollowNotificationsRequest>,
        ) -> Result<Reply<Self::FollowNotificationsStream>, Status> {
            self.called("follow_notifications", request)?;
            Ok(Reply::new(tokio_stream::empty()))
        }

        async fn list_notifications(
            &self,
            request: Grpc<feed::ListNotificationsRequest>,
        ) -> Result<Reply<feed::ListNotificationsResponse>, Status> {
            let (user, _) = self.called("list_notifications", request)?;
            let notification = feed::Notification {
                id: 1,
                seq: 1,
                kind: "report.received".to_owned(),
                title: format!("Para {user}"),
                ..feed::Notification::default()
            };
            let notifications = vec![notification];
            Ok(Reply::new(feed::ListNotificationsResponse { notifications, total: 1, unread: 1 }))
        }
    }
    others {
        mark_notification MarkNotificationRequest MarkNotificationResponse;
        mark_all_read MarkAllReadRequest MarkAllReadResponse;
        delete_notification DeleteNotificationRequest DeleteNotificationResponse;
        get_preferences GetPreferencesRequest GetPreferencesResponse;
        update_preferences UpdatePreferencesRequest UpdatePreferencesResponse;
        enqueue_email EnqueueEmailRequest EnqueueEmailResponse;
        export_user_data ExportUserDataRequest ExportUserDataResponse;
    }
}
