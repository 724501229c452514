//! What the accounts stand-in knows of people: enough for the routes of their data.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use proto::accounts::v1 as pb;
use proto::accounts::v1::{Address, Revocation, Role, User};
use proto::events::v1::PurgeReceipt;
use tonic::Status;
use uuid::Uuid;

use crate::accounts::{role_change, session, soon_s};

/// A session that exists.
pub(crate) const SESSION: &str = "0190a5a0-0000-7000-8000-000000000007";
/// A job that is done.
pub(crate) const JOB: &str = "0190a5a0-0000-7000-8000-000000000001";

/// See the module. Users exist once they are asked for, with version 1.
#[derive(Debug, Default)]
pub(crate) struct People {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    users: BTreeMap<i64, User>,
    addresses: BTreeMap<i64, (i64, Address)>,
    active: Vec<i64>,
}

impl Known {
    fn user(&mut self, id: i64) -> &mut User {
        self.users.entry(id).or_insert_with(|| User {
            id,
            email: format!("p{id}@example.com"),
            name: format!("Pessoa {id}"),
            locale: "pt-BR".to_owned(),
            role: Role::Customer.into(),
            version: 1,
            ..User::default()
        })
    }

    fn change(&mut self, id: i64, version: i64, change: impl FnOnce(&mut User)) -> Result<User, Status> {
        let user = self.user(id);
        if user.version != version {
            return Err(Status::aborted("version: is not the current one"));
        }
        user.version += 1;
        change(user);
        Ok(user.clone())
    }

    fn address(&mut self, user: i64, id: i64) -> Result<&mut Address, Status> {
        let found = self.addresses.get_mut(&id).filter(|(owner, _)| *owner == user);
        found.map(|(_, address)| address).ok_or_else(|| Status::not_found("id: no such address"))
    }
}

fn purge(tag: String) -> Vec<PurgeReceipt> {
    vec![PurgeReceipt { event_id: Uuid::now_v7().to_string(), tags: vec![tag], commit_lsn: 0 }]
}

fn revocation(what: pb::revocation::What) -> Vec<Revocation> {
    vec![Revocation { seq: 1, until_s: soon_s(), what: Some(what) }]
}

fn is_current(address: &Address, expected: Option<i64>) -> Result<(), Status> {
    match expected {
        Some(version) if version != address.version => {
            Err(Status::aborted("version: is not the current one"))
        }
        _ => Ok(()),
    }
}

/// Each call: for whom, what, the answer.
impl People {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic")
    }

    /// The users with the latest sessions.
    pub(crate) fn set_active(&self, users: &[i64]) {
        self.known().active = users.to_vec();
    }

    pub(crate) fn get_profile(
        &self,
        user: i64,
        _: pb::GetProfileRequest,
    ) -> Result<pb::GetProfileResponse, Status> {
        Ok(pb::GetProfileResponse { user: Some(self.known().user(user).clone()) })
    }

    pub(crate) fn update_profile(
        &self,
        user: i64,
        asked: pb::UpdateProfileRequest,
    ) -> Result<pb::UpdateProfileResponse, Status> {
        let changed = self.known().change(user, asked.expected_version, |user| {
            user.name = asked.name.unwrap_or_else(|| user.name.clone());
            user.locale = asked.locale.unwrap_or_else(|| user.locale.clone());
        })?;
        let receipts = purge(format!("profile:user:{user}"));
        Ok(pb::UpdateProfileResponse { user: Some(changed), receipts })
    }

    pub(crate) fn list_addresses(
        &self,
        user: i64,
        _: pb::ListAddressesRequest,
    ) -> Result<pb::ListAddressesResponse, Status> {
        let known = self.known();
        let own = known.addresses.values().filter(|(owner, _)| *owner == user);
        Ok(pb::ListAddressesResponse { addresses: own.map(|(_, address)| address.clone()).collect() })
    }

    pub(crate) fn create_address(
        &self,
        user: i64,
        asked: pb::CreateAddressRequest,
    ) -> Result<pb::CreateAddressResponse, Status> {
        let fields = asked.fields.unwrap_or_default();
        let mut known = self.known();
        let id = known.addresses.len() as i64 + 1;
        let address = Address {
            id,
            label: fields.label,
            recipient: fields.recipient,
            line1: fields.line1,
            postal_code: fields.postal_code,
            state: "SP".to_owned(),
            country: "BR".to_owned(),
            is_default: true,
            version: 1,
            ..Address::default()
        };
        known.addresses.insert(id, (user, address.clone()));
        let receipts = purge(format!("addresses:user:{user}"));
        Ok(pb::CreateAddressResponse { address: Some(address), receipts })
    }

    pub(crate) fn update_address(
        &self,
        user: i64,
        asked: pb::UpdateAddressRequest,
    ) -> Result<pb::UpdateAddressResponse, Status> {
        let mut known = self.known();
        let address = known.address(user, asked.id)?;
        is_current(address, asked.expected_version)?;
        address.version += 1;
        if let Some(label) = asked.label {
            address.label = Some(label).filter(|label| !label.is_empty());
        }
        let receipts = purge(format!("addresses:user:{user}"));
        Ok(pb::UpdateAddressResponse { address: Some(address.clone()), receipts })
    }

    pub(crate) fn delete_address(
        &self,
        user: i64,
        asked: pb::DeleteAddressRequest,
    ) -> Result<pb::DeleteAddressResponse, Status> {
        let mut known = self.known();
        is_current(known.address(user, asked.id)?, asked.expected_version)?;
        known.addresses.remove(&asked.id);
        Ok(pb::DeleteAddressResponse { receipts: purge(format!("addresses:user:{user}")) })
    }

    pub(crate) fn list_sessions(
        &self,
        _: i64,
        _: pb::ListSessionsRequest,
    ) -> Result<pb::ListSessionsResponse, Status> {
        let session = pb::Session { id: SESSION.to_owned(), current: true, ..pb::Session::default() };
        Ok(pb::ListSessionsResponse { sessions: vec![session] })
    }

    pub(crate) fn revoke_session(
        &self,
        user: i64,
        asked: pb::RevokeSessionRequest,
    ) -> Result<pb::RevokeSessionResponse, Status> {
        if user != 7 || asked.session_id != SESSION {
            return Err(Status::not_found("session_id: no such session"));
        }
        Ok(pb::RevokeSessionResponse { revocations: revocation(session(SESSION)) })
    }

    pub(crate) fn request_export(
        &self,
        _: i64,
        _: pb::RequestExportRequest,
    ) -> Result<pb::RequestExportResponse, Status> {
        let kind = pb::DataJobKind::Export.into();
        let job = pb::DataJob { id: JOB.to_owned(), kind, ..pb::DataJob::default() };
        Ok(pb::RequestExportResponse { job: Some(job) })
    }

    pub(crate) fn request_erasure(
        &self,
        _: i64,
        _: pb::RequestErasureRequest,
    ) -> Result<pb::RequestErasureResponse, Status> {
        let mut refusal = Status::permission_denied("step_up_required: prove it again");
        refusal.metadata_mut().insert("mc-reason", "step_up_required".parse().expect("ASCII"));
        Err(refusal)
    }

    pub(crate) fn get_data_job(
        &self,
        user: i64,
        asked: pb::GetDataJobRequest,
    ) -> Result<pb::GetDataJobResponse, Status> {
        if user != 7 || asked.id != JOB {
            return Err(Status::not_found("id: no such job"));
        }
        let job = pb::DataJob {
            id: JOB.to_owned(),
            kind: pb::DataJobKind::Export.into(),
            state: pb::DataJobState::Done.into(),
            document_json: Some(r#"{"accounts":{"name":"Pessoa 7"}}"#.to_owned()),
            ..pb::DataJob::default()
        };
        Ok(pb::GetDataJobResponse { job: Some(job) })
    }

    pub(crate) fn list_users(
        &self,
        _: i64,
        asked: pb::ListUsersRequest,
    ) -> Result<pb::ListUsersResponse, Status> {
        let mut known = self.known();
        let users = vec![known.user(7).clone(), known.user(8).clone()];
        let wanted = |user: &User| asked.search.as_ref().is_none_or(|part| user.name.contains(part));
        let users: Vec<_> = users.into_iter().filter(wanted).collect();
        Ok(pb::ListUsersResponse { total: users.len() as u64, users })
    }

    pub(crate) fn get_user(&self, _: i64, asked: pb::GetUserRequest) -> Result<pb::GetUserResponse, Status> {
        if asked.id > 100 {
            return Err(Status::not_found("id: no such user"));
        }
        Ok(pb::GetUserResponse { user: Some(self.known().user(asked.id).clone()) })
    }

    pub(crate) fn update_user(
        &self,
        _: i64,
        asked: pb::UpdateUserRequest,
    ) -> Result<pb::UpdateUserResponse, Status> {
        let role = asked.role.map(|_| asked.role());
        let changed = self.known().change(asked.id, asked.expected_version, |user| {
            user.name = asked.name.unwrap_or_else(|| user.name.clone());
            user.role = role.map_or(user.role, i32::from);
        })?;
        Ok(pb::UpdateUserResponse {
            user: Some(changed),
            revocations: role.map_or_else(Vec::new, |role| revocation(role_change(asked.id, role))),
            receipts: purge(format!("profile:user:{}", asked.id)),
        })
    }

    pub(crate) fn lock_user(
        &self,
        _: i64,
        asked: pb::LockUserRequest,
    ) -> Result<pb::LockUserResponse, Status> {
        let changed =
            self.known().change(asked.id, asked.expected_version, |user| user.locked = asked.locked)?;
        Ok(pb::LockUserResponse {
            user: Some(changed),
            revocations: revocation(session(SESSION)),
            receipts: purge(format!("profile:user:{}", asked.id)),
        })
    }

    pub(crate) fn list_active_users(
        &self,
        _: i64,
        _: pb::ListActiveUsersRequest,
    ) -> Result<pb::ListActiveUsersResponse, Status> {
        Ok(pb::ListActiveUsersResponse { user_ids: self.known().active.clone() })
    }
}
