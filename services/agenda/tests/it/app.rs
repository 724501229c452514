//! An agenda of one's own, and a method for each of its calls.

use std::net::SocketAddr;
use std::time::Duration;

use bootstrap::Shutdown;
use prost_types::Timestamp;
use proto::agenda::v1::agenda_service_client::AgendaServiceClient;
use proto::agenda::v1::*;
use sqlx::PgConnection;
use testkit::TestDatabase;
use testkit::jwt::TestKeys;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Longer than any call of a test on a busy machine.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(20);
const NO_NATS: &str = "nats://127.0.0.1:1";
/// 2026-05-02T12:00:00Z.
const NOON: i64 = 1_777_723_200;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    User(i64),
    Staff(i64),
    Admin(i64),
    Service,
}

/// The user of most tests, and one who must not see anything of hers.
pub(crate) const ANA: Who = Who::User(42);
pub(crate) const BIA: Who = Who::User(43);

/// A running agenda; ends with this value.
pub(crate) struct TestApp {
    pub(crate) database: TestDatabase,
    pub(crate) client: AgendaServiceClient<Channel>,
    keys: TestKeys,
    shutdown: Shutdown,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl TestApp {
    /// An empty agenda whose events stay in the outbox.
    pub(crate) async fn start() -> Self {
        Self::start_with(NO_NATS, 8).await
    }

    /// The same with eight transactions that write at once.
    pub(crate) async fn start_with_many_writers() -> Self {
        Self::start_with(NO_NATS, 32).await
    }

    pub(crate) async fn start_with_nats(nats_url: &str) -> Self {
        Self::start_with(nats_url, 8).await
    }

    async fn start_with(nats_url: &str, database_pool_size: u32) -> Self {
        let database = testkit::database("agenda", &agenda::MIGRATOR).await;
        let keys = testkit::jwt::key_set();
        let config = agenda::Config {
            database_url: database.url.clone(),
            database_pool_size,
            nats_url: nats_url.to_owned(),
            stream_replicas: 1,
            grpc_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            internal_http_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            assertion_jwks_file: keys.assertions_file.clone(),
            metrics_url: None,
            instance: "test".to_owned(),
        };
        let app = agenda::App::build(config).await.expect("the agenda starts");
        let grpc_addr = app.grpc_addr();
        let shutdown = Shutdown::manual();
        let serving = tokio::spawn(app.run(shutdown.clone()));
        let channel = bootstrap::grpc::channel(&format!("http://{grpc_addr}")).unwrap();
        let client = AgendaServiceClient::new(channel);
        Self { database, client, keys, shutdown, serving }
    }

    /// Ends the service as SIGTERM does and returns when it has.
    pub(crate) async fn stop(mut self) {
        self.shutdown.drain.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), &mut self.serving).await;
        ended.expect("the agenda drains in time").expect("it does not panic").expect("it ends well");
    }

    /// Looks and writes behind the service's back, as superuser.
    pub(crate) async fn admin(&self) -> PgConnection {
        let mut admin = self.database.admin().await;
        sqlx::raw_sql("SET search_path = agenda, app, public").execute(&mut admin).await.unwrap();
        admin
    }

    /// Runs SQL as superuser.
    pub(crate) async fn sql(&self, statements: &'static str) {
        sqlx::raw_sql(statements).execute(&mut self.admin().await).await.unwrap();
    }

    /// Everything that a refused call could have changed.
    pub(crate) async fn state(&self) -> String {
        sqlx::query_scalar(
            "SELECT concat((SELECT string_agg(e::text, ' ' ORDER BY e.id) FROM events e),
                           (SELECT string_agg(p::text, ' ' ORDER BY p.id) FROM professionals p),
                           (SELECT string_agg(r::text, ' ' ORDER BY r.id) FROM reports r),
                           (SELECT string_agg(p::text, ' ' ORDER BY p) FROM report_participants p),
                           (SELECT count(*) FROM outbox))",
        )
        .fetch_one(&mut self.admin().await)
        .await
        .unwrap()
    }

    /// The event that Ana just made.
    pub(crate) async fn event(&self, fields: EventFields) -> Event {
        let request = CreateEventRequest { fields: Some(fields) };
        self.create_event(ANA, request).await.unwrap().event.unwrap()
    }

    /// The professional whom Ana just wrote down.
    pub(crate) async fn professional(&self, name: &str) -> Professional {
        self.professional_of(ANA, name).await
    }

    pub(crate) async fn professional_of(&self, who: Who, name: &str) -> Professional {
        let request = CreateProfessionalRequest { fields: Some(professional(name)) };
        self.create_professional(who, request).await.unwrap().professional.unwrap()
    }

    /// The report that Ana just sent to Bia.
    pub(crate) async fn report(&self, title: &str) -> Report {
        let request = CreateReportRequest { receiver_id: id(BIA), fields: Some(report(title)) };
        self.create_report(ANA, request).await.unwrap().report.unwrap()
    }

    pub(crate) fn assertion(&self, who: Who) -> Option<String> {
        match who {
            Who::Nobody => None,
            Who::User(id) => Some(self.keys.assertion("agenda", "customer", id)),
            Who::Staff(id) => Some(self.keys.assertion("agenda", "staff", id)),
            Who::Admin(id) => Some(self.keys.assertion("agenda", "admin", id)),
            Who::Service => Some(self.keys.service_assertion("accounts", "agenda")),
        }
    }

    /// Asks with any assertion, or what pretends to be one.
    pub(crate) async fn list_events_with(&self, bearer: &str) -> Result<ListEventsResponse, Status> {
        let request = bootstrap::grpc::request(ListEventsRequest::default(), CALL_DEADLINE, Some(bearer));
        self.client.clone().list_events(request).await.map(tonic::Response::into_inner)
    }

    /// Something signed with this agenda's keys, for another service.
    pub(crate) fn assertion_for_catalog(&self) -> String {
        self.keys.assertion("catalog", "customer", id(ANA))
    }

    /// An access token instead of an assertion.
    pub(crate) fn access_token(&self) -> String {
        self.keys.token("customer", id(ANA))
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.drain.cancel();
        self.shutdown.hard.cancel();
        self.serving.abort();
    }
}

macro_rules! calls {
    ($($name:ident($request:ty) -> $response:ty),+ $(,)?) => {
        impl TestApp {
            $(
                pub(crate) async fn $name(&self, who: Who, request: $request) -> Result<$response, Status> {
                    let assertion = self.assertion(who);
                    let request = bootstrap::grpc::request(request, CALL_DEADLINE, assertion.as_deref());
                    self.client.clone().$name(request).await.map(tonic::Response::into_inner)
                }
            )+
        }
    };
}

calls! {
    list_events(ListEventsRequest) -> ListEventsResponse,
    get_event(GetEventRequest) -> GetEventResponse,
    create_event(CreateEventRequest) -> CreateEventResponse,
    update_event(UpdateEventRequest) -> UpdateEventResponse,
    delete_event(DeleteEventRequest) -> DeleteEventResponse,
    list_professionals(ListProfessionalsRequest) -> ListProfessionalsResponse,
    get_professional(GetProfessionalRequest) -> GetProfessionalResponse,
    create_professional(CreateProfessionalRequest) -> CreateProfessionalResponse,
    update_professional(UpdateProfessionalRequest) -> UpdateProfessionalResponse,
    delete_professional(DeleteProfessionalRequest) -> DeleteProfessionalResponse,
    list_reports(ListReportsRequest) -> ListReportsResponse,
    get_report(GetReportRequest) -> GetReportResponse,
    create_report(CreateReportRequest) -> CreateReportResponse,
    update_report(UpdateReportRequest) -> UpdateReportResponse,
    delete_report(DeleteReportRequest) -> DeleteReportResponse,
    export_user_data(ExportUserDataRequest) -> ExportUserDataResponse,
}

/// The user's id.
pub(crate) fn id(who: Who) -> i64 {
    match who {
        Who::User(id) | Who::Staff(id) | Who::Admin(id) => id,
        Who::Nobody | Who::Service => panic!("{who:?} has no id"),
    }
}

/// So many hours after noon of some day.
pub(crate) fn hours(hours: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: NOON + hours * 3_600, nanos: 0 })
}

/// A tasting of an hour that starts so many hours after noon.
pub(crate) fn tasting(title: &str, starts: i64) -> EventFields {
    EventFields {
        title: title.to_owned(),
        kind: "degustacao".to_owned(),
        starts_at: hours(starts),
        ends_at: hours(starts + 1),
        ..Default::default()
    }
}

/// A tasting with a professional.
pub(crate) fn booked(starts: i64, professional: &Professional) -> EventFields {
    EventFields { professional_id: Some(professional.id), ..tasting("Com hora marcada", starts) }
}

pub(crate) fn professional(name: &str) -> ProfessionalFields {
    ProfessionalFields { name: name.to_owned(), specialty: "barista".to_owned(), ..Default::default() }
}

/// 80.5 points.
pub(crate) fn report(title: &str) -> ReportFields {
    let scores = Scores {
        fragrance: 85,
        flavor: 80,
        aftertaste: 75,
        acidity: 0,
        body: 100,
        balance: 81,
        uniformity: 100,
        clean_cup: 100,
        sweetness: 100,
        overall: 84,
    };
    ReportFields { title: title.to_owned(), scores: Some(scores), ..Default::default() }
}

pub(crate) fn page(page: u32, limit: u32) -> Option<Page> {
    Some(Page { page, limit })
}

/// Code, `mc-reason` and `mc-field` of a refusal.
#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String, String) {
    let status = answer.expect_err("the call was answered");
    let word =
        |name: &str| status.metadata().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (reason, field) = (word("mc-reason"), word("mc-field"));
    let named = if field.is_empty() { &reason } else { &field };
    assert!(status.message().starts_with(&format!("{named}: ")), "{status:?}");
    (status.code(), reason, field)
}
