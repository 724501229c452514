//! An agenda service in memory: everybody sees what is theirs, versions count, receipts name what went stale.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use events::tags;
use prost_types::Timestamp;
use proto::agenda::v1 as pb;
use proto::agenda::v1::agenda_service_server::{AgendaService, AgendaServiceServer};
use proto::events::v1::PurgeReceipt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Request as Grpc, Response as Reply, Status};
use uuid::Uuid;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ScriptedAgenda {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: BTreeMap<i64, (i64, pb::Event)>,
    professionals: BTreeMap<i64, (i64, pb::Professional)>,
    reports: BTreeMap<i64, pb::Report>,
    last_id: i64,
    calls: u64,
    refusal: Option<(Code, &'static str, &'static str)>,
}

impl State {
    fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }
}

impl ScriptedAgenda {
    /// Serves on a port of its own.
    pub(crate) async fn start() -> (Arc<Self>, SocketAddr, AbortOnDropHandle<()>) {
        let agenda = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let service = AgendaServiceServer::from_arc(Arc::clone(&agenda));
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("the agenda serves");
        });
        (agenda, addr, AbortOnDropHandle::new(serving))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// Calls since the last time this was asked.
    pub(crate) fn calls(&self) -> u64 {
        std::mem::take(&mut self.state().calls)
    }

    /// The next change is refused with this code, reason and field.
    pub(crate) fn refuse(&self, code: Code, reason: &'static str, field: &'static str) {
        self.state().refusal = Some((code, reason, field));
    }

    /// Takes a call in: the state, who calls, and what is asked.
    fn called<M>(&self, request: Grpc<M>) -> Result<(MutexGuard<'_, State>, i64, M), Status> {
        let mut state = self.state();
        state.calls += 1;
        let user = caller(&request).ok_or_else(|| Status::unauthenticated("unauthenticated: nobody"))?;
        Ok((state, user, request.into_inner()))
    }

    /// The same for a change, which a test may have refused.
    fn changed<M>(&self, request: Grpc<M>) -> Result<(MutexGuard<'_, State>, i64, M), Status> {
        let (mut state, user, message) = self.called(request)?;
        match state.refusal.take() {
            None => Ok((state, user, message)),
            Some((code, reason, field)) => {
                let mut refusal = Status::new(code, format!("{field}: as the test asked"));
                refusal.metadata_mut().insert("mc-reason", reason.parse().expect("ASCII"));
                refusal.metadata_mut().insert("mc-field", field.parse().expect("ASCII"));
                Err(refusal)
            }
        }
    }
}

/// The user whom the gateway asserts; the services verify the signature, this one believes.
fn caller<M>(request: &Grpc<M>) -> Option<i64> {
    let bearer = request.metadata().get("authorization")?.to_str().ok()?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(bearer.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    assert_eq!(claims["aud"], "agenda", "an assertion for another service");
    claims["sub"].as_str()?.parse().ok()
}

fn missing() -> Status {
    Status::not_found("as for everybody else")
}

fn check(expected: i64, current: i64) -> Result<(), Status> {
    if expected == current { Ok(()) } else { Err(Status::aborted("expected_version: another one")) }
}

fn receipts(tags: Vec<String>) -> Vec<PurgeReceipt> {
    vec![PurgeReceipt { event_id: Uuid::now_v7().to_string(), tags, commit_lsn: 1 }]
}

fn event_receipts(user: i64, id: i64) -> Vec<PurgeReceipt> {
    receipts(vec![tags::events_user(user), tags::event(id)])
}

fn professional_receipts(user: i64) -> Vec<PurgeReceipt> {
    receipts(vec![tags::professionals_user(user), tags::events_user(user)])
}

fn report_receipts(report: &pb::Report) -> Vec<PurgeReceipt> {
    let (sender, receiver) = (report.sender_id(), report.receiver_id());
    receipts(vec![tags::reports_user(sender), tags::reports_user(receiver), tags::report(report.id)])
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn written_event(state: &State, id: i64, version: i64, fields: pb::EventFields) -> pb::Event {
    let professional = fields.professional_id.and_then(|id| state.professionals.get(&id));
    pb::Event {
        id,
        title: fields.title,
        kind: fields.kind,
        professional: professional.map(|(_, professional)| pb::ProfessionalRef {
            id: Some(professional.id),
            name: professional.name.clone(),
            specialty: professional.specialty.clone(),
        }),
        location: fields.location,
        description: fields.description,
        starts_at: fields.starts_at,
        ends_at: fields.ends_at,
        status: fields.status.unwrap_or_else(|| "scheduled".to_owned()),
        version,
        created_at: at(1_777_000_000),
    }
}

fn written_professional(id: i64, version: i64, fields: pb::ProfessionalFields) -> pb::Professional {
    pb::Professional {
        id,
        name: fields.name,
        specialty: fields.specialty,
        bio: fields.bio,
        email: fields.email,
        phone: fields.phone,
        version,
        created_at: at(1_777_000_000),
    }
}

fn written_report(old: pb::Report, fields: pb::ReportFields) -> pb::Report {
    let scores = fields.scores.unwrap_or_default();
    let total = [
        scores.fragrance,
        scores.flavor,
        scores.aftertaste,
        scores.acidity,
        scores.body,
        scores.balance,
        scores.uniformity,
        scores.clean_cup,
        scores.sweetness,
        scores.overall,
    ];
    pb::Report {
        title: fields.title,
        scores: Some(scores),
        total_score_tenths: total.iter().sum(),
        notes: fields.notes,
        event_id: fields.event_id,
        product_id: fields.product_id,
        ..old
    }
}

/// A report as one of its two sees it.
fn seen(report: &pb::Report, user: i64) -> Option<pb::Report> {
    let role = match user {
        _ if report.sender_id == Some(user) => "sender",
        _ if report.receiver_id == Some(user) => "receiver",
        _ => return None,
    };
    Some(pb::Report { role: role.to_owned(), ..report.clone() })
}

/// One page of what there is.
fn paged<T>(rows: Vec<T>, page: Option<pb::Page>) -> (Vec<T>, u64) {
    let page = page.unwrap_or(pb::Page { page: 1, limit: 20 });
    let total = rows.len() as u64;
    let skipped = ((page.page - 1) * page.limit) as usize;
    (rows.into_iter().skip(skipped).take(page.limit as usize).collect(), total)
}

#[tonic::async_trait]
impl AgendaService for ScriptedAgenda {
    async fn list_events(
        &self,
        request: Grpc<pb::ListEventsRequest>,
    ) -> Result<Reply<pb::ListEventsResponse>, Status> {
        let (state, user, message) = self.called(request)?;
        let kind = message.kind.as_deref();
        let rows = state
            .events
            .values()
            .rev()
            .filter(|(owner, event)| *owner == user && kind.is_none_or(|kind| kind == event.kind));
        let (events, total) = paged(rows.map(|(_, event)| event.clone()).collect(), message.page);
        Ok(Reply::new(pb::ListEventsResponse { events, total }))
    }

    async fn get_event(
        &self,
        request: Grpc<pb::GetEventRequest>,
    ) -> Result<Reply<pb::GetEventResponse>, Status> {
        let (state, user, message) = self.called(request)?;
        let found = state.events.get(&message.id).filter(|(owner, _)| *owner == user);
        let (_, event) = found.ok_or_else(missing)?;
        Ok(Reply::new(pb::GetEventResponse { event: Some(event.clone()) }))
    }

    async fn create_event(
        &self,
        request: Grpc<pb::CreateEventRequest>,
    ) -> Result<Reply<pb::CreateEventResponse>, Status> {
        let (mut state, user, message) = self.changed(request)?;
        let id = state.next_id();
        let event = written_event(&state, id, 1, message.fields.unwrap_or_default());
        state.events.insert(id, (user, event.clone()));
        let receipts = event_receipts(user, id);
        Ok(Reply::new(pb::CreateEventResponse { event: Some(event), receipts }))
    }

    async fn update_event(
        &self,
        request: Grpc<pb::UpdateEventRequest>,
    ) -> Result<Reply<pb::UpdateEventResponse>, Status> {
        let (mut state, user, message) = self.changed(request)?;
        let found = state.events.get(&message.id).filter(|(owner, _)| *owner == user);
        let version = found.ok_or_else(missing)?.1.version;
        check(message.expected_version, version)?;
        let event = written_event(&state, message.id, version + 1, message.fields.unwrap_or_default());
        state.events.insert(message.id, (user, event.clone()));
        let receipts = event_receipts(user, message.id);
        Ok(Reply::new(pb::UpdateEventResponse { event: Some(event), receipts }))
    }

    async fn delete_event(
        &self,
        request: Grpc<pb::DeleteEventRequest>,
    ) -> Result<Reply<pb::DeleteEventResponse>, Status> {
        let (mut state, user, message) = self.changed(request)?;
        let found = state.events.get(&message.id).filter(|(owner, _)| *owner == user);
        check(message.expected_version, found.ok_or_else(missing)?.1.version)?;
        state.events.remove(&message.id);
        Ok(Reply::new(pb::DeleteEventResponse { receipts: event_receipts(user, message.id) }))
    }

    async fn list_professionals(
        &self,
        request: Grpc<pb::ListProfessionalsRequest>,
    ) -> Result<Reply<pb::ListProfessionalsResponse>, Status> {
        let (state, user, message) = self.called(request)?;
        let rows = state.professionals.values().filter(|(owner, _)| *owner == user);
        let (professionals, total) = paged(rows.map(|(_, row)| row.clone()).collect(), message.page);
        Ok(Reply::new(pb::ListProfessionalsResponse { professionals, total }))
    }

    async fn get_professional(
        &self,
        request: Grpc<pb::GetProfessionalRequest>,
    ) -> Result<Reply<pb::GetProfessionalResponse>, Status> {
        let (state, user, message) = self.called(request)?;
        let found = state.professionals.get(&message.id).filter(|(owner, _)| *owner == user);
        let professional = Some(found.ok_or_else(missing)?.1.clone());
        Ok(Reply::new(pb::GetProfessionalResponse { professional }))
    }

    async fn create_professional(
        &self,
        request: Grpc<pb::CreateProfessionalRequest>,
    ) -> Result<Reply<pb::CreateProfessionalResponse>, Status> {
        let (mut state, user, message) = self.changed(request)?;
        let id = state.next_id();
        let professional = written_professional(id, 1, message.fields.unwrap_or_default());
        state.professionals.insert(id, (user, professional.clone()));
        let (professional, receipts) = (Some(professional), professional_receipts(user));
        Ok(Reply::new(pb::CreateProfessionalResponse { professional, receipts }))
    }

    async fn update_professional(
        &self,
        request: Grpc<pb::UpdateProfessionalRequest>,
    ) -> Result<Reply<pb::UpdateProfessionalResponse>, Status> {
        let (mut state, user, message) = self.changed(request)?;
        let found = state.professionals.get(&message.id).filter(|(owner, _)| *owner == user);
        let version = found.ok_or_else(missing)?.1.version;
        check(message.expected_version, version)?;
        let new = written_professional(message.id, version + 1, message.fields.unwrap_or_default());
        state.professionals.insert(message.id, (user, new.clone()));
        for (_, event) in state.events.values_mut() {
            if let Some(shown) = event.professional.as_mut().filter(|shown| shown.id == Some(new.id)) {
                shown.name.clone_from(&new.name);
            }
        }
        let (professional, receipts) = (Some(new), professional_receipts(user));
        Ok(Reply::new(pb::UpdateProfessionalResponse { professional, receipts }))
    }

    async fn delete_professional(
        &self,
        request: Grpc<pb::DeleteProfessionalRequest>,
    ) -> Result<Reply<pb::DeleteProfessionalResponse>, Status> {
        let (mut state, user, message) = self.changed(request)?;
        let found = state.professionals.get(&message.id).filter(|(owner, _)| *owner == user);
        check(message.expected_version, found.ok_or_else(missing)?.1.version)?;
        state.professionals.remove(&message.id);
        Ok(Reply::new(pb::DeleteProfessionalResponse { receipts: professional_receipts(user) }))
    }

    async fn list_reports(
        &self,
        request: Grpc<pb::ListReportsRequest>,
    ) -> Result<Reply<pb::ListReportsResponse>, Status> {
        let (state, user, message) = self.called(request)?;
        let role = message.role.as_deref();
        let rows = state.reports.values().rev().filter_map(|report| seen(report, user));
        let rows = rows.filter(|report| role.is_none_or(|role| role == report.role)).collect();
        let (reports, total) = paged(rows, message.page);
        Ok(Reply::new(pb::ListReportsResponse { reports, total }))
    }

    async fn get_report(
        &self,
        request: Grpc<pb::GetReportRequest>,
    ) -> Result<Reply<pb::GetReportResponse>, Status> {
        let (state, user, message) = self.called(request)?;
        let report = state.reports.get(&message.id).and_then(|report| seen(report, user));
        Ok(Reply::new(pb::GetReportResponse { report: Some(report.ok_or_else(missing)?) }))
    }

    async fn create_report(
        &self,
        request: Grpc<pb::CreateReportRequest>,
    ) -> Result<Reply<pb::CreateReportResponse>, Status> {
        let (mut state, user, message) = self.changed(request)?;
        let new = pb::Report {
            id: state.next_id(),
            sender_id: Some(user),
            receiver_id: Some(message.receiver_id),
            version: 1,
            created_at: at(1_777_000_000),
            ..pb::Report::default()
        };
        let new = written_report(new, message.fields.unwrap_or_default());
        state.reports.insert(new.id, new.clone());
        let receipts = report_receipts(&new);
        Ok(Reply::new(pb::CreateReportResponse { report: seen(&new, user), receipts }))
    }

    async fn update_report(
        &self,
        request: Grpc<pb::UpdateReportRequest>,
    ) -> Result<Reply<pb::UpdateReportResponse>, Status> {
        let (mut state, user, message) = self.changed(request)?;
        let old = state.reports.get(&message.id).and_then(|report| seen(report, user)).ok_or_else(missing)?;
        if old.role == "receiver" {
            return Err(Status::permission_denied("permission_denied: only its sender"));
        }
        check(message.expected_version, old.version)?;
        let new = pb::Report { version: old.version + 1, ..old };
        let new = written_report(new, message.fields.unwrap_or_default());
        state.reports.insert(new.id, new.clone());
        let receipts = report_receipts(&new);
        Ok(Reply::new(pb::UpdateReportResponse { report: Some(new), receipts }))
    }

    async fn delete_report(
        &self,
        request: Grpc<pb::DeleteReportRequest>,
    ) -> Result<Reply<pb::DeleteReportResponse>, Status> {
        let (mut state, user, message) = self.changed(request)?;
        let old = state.reports.get(&message.id).and_then(|report| seen(report, user)).ok_or_else(missing)?;
        if old.role == "receiver" {
            return Err(Status::permission_denied("permission_denied: only its sender"));
        }
        check(message.expected_version, old.version)?;
        state.reports.remove(&message.id);
        Ok(Reply::new(pb::DeleteReportResponse { receipts: report_receipts(&old) }))
    }

    async fn export_user_data(
        &self,
        _: Grpc<pb::ExportUserDataRequest>,
    ) -> Result<Reply<pb::ExportUserDataResponse>, Status> {
        Err(Status::unimplemented("the gateway never asks"))
    }
}
