//! An accounts service in memory: everybody is who their token says, until the test says otherwise.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use proto::accounts::v1 as pb;
use proto::accounts::v1::accounts_service_server::{AccountsService, AccountsServiceServer};
use proto::accounts::v1::revocation::What;
use proto::accounts::v1::{Revocation, Role, RoleChange};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request as Grpc, Response as Reply, Status};

use crate::people::People;
use crate::stand_ins::asserted;

/// The one password that is right.
pub(crate) const PASSWORD: &str = "cinco cavalos azuis";

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ScriptedAccounts {
    state: Mutex<State>,
    away: AtomicBool,
    pub(crate) people: People,
}

#[derive(Debug, Default)]
struct State {
    revoked: HashSet<String>,
    roles: HashMap<i64, Role>,
    revocations: Vec<Revocation>,
    refusals: BTreeMap<&'static str, (tonic::Code, &'static str, &'static str)>,
    calls: Vec<Call>,
    access_token: String,
    made: u32,
}

/// A call that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) rpc: &'static str,
    /// `Bearer` and an assertion.
    pub(crate) bearer: Option<String>,
    /// The message as Rust shows it.
    pub(crate) message: String,
}

impl ScriptedAccounts {
    /// Serves on a port of its own.
    pub(crate) async fn start() -> (Arc<Self>, SocketAddr, AbortOnDropHandle<()>) {
        let accounts = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let service = AccountsServiceServer::from_arc(Arc::clone(&accounts));
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("accounts serves");
        });
        (accounts, addr, AbortOnDropHandle::new(serving))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// From now on every call is refused as if nobody were there, or no longer.
    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// A check of this session says that it has ended.
    pub(crate) fn end_session(&self, session_id: &str) {
        self.state().revoked.insert(session_id.to_owned());
    }

    /// A check says that the user has this role.
    pub(crate) fn set_role(&self, user_id: i64, role: Role) {
        self.state().roles.insert(user_id, role);
    }

    /// Puts a revocation on the list that is polled.
    pub(crate) fn list(&self, what: What, until_s: i64) {
        let mut state = self.state();
        let seq = state.revocations.len() as u64 + 1;
        state.revocations.push(Revocation { seq, until_s, what: Some(what) });
    }

    /// The access token that the next sign-ins hand out.
    pub(crate) fn hand_out(&self, access_token: &str) {
        self.state().access_token = access_token.to_owned();
    }

    /// The next call of `rpc` is refused with this code, reason and milliseconds to wait (empty for none).
    pub(crate) fn refuse(
        &self,
        rpc: &'static str,
        code: tonic::Code,
        reason: &'static str,
        wait_ms: &'static str,
    ) {
        self.state().refusals.insert(rpc, (code, reason, wait_ms));
    }

    /// The calls of `rpc` so far.
    pub(crate) fn calls(&self, rpc: &str) -> Vec<Call> {
        self.state().calls.iter().filter(|call| call.rpc == rpc).cloned().collect()
    }

    fn called<M: std::fmt::Debug>(&self, rpc: &'static str, request: Grpc<M>) -> Result<M, Status> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Status::unavailable("as the test asked"));
        }
        let bearer = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let bearer = bearer.map(str::to_owned);
        let message = request.into_inner();
        let mut state = self.state();
        state.calls.push(Call { rpc, bearer, message: format!("{message:?}") });
        match state.refusals.remove(rpc) {
            None => Ok(message),
            Some((code, reason, wait_ms)) => {
                let mut refusal = Status::new(code, format!("{reason}: as the test asked"));
                for (name, value) in [("mc-reason", reason), ("mc-retry-after-ms", wait_ms)] {
                    if !value.is_empty() {
                        refusal.metadata_mut().insert(name, value.parse().expect("ASCII"));
                    }
                }
                Err(refusal)
            }
        }
    }

    fn tokens(&self) -> pb::Tokens {
        let mut state = self.state();
        state.made += 1;
        pb::Tokens {
            access_token: state.access_token.clone(),
            expires_in_s: 300,
            refresh_token: format!("refresh-{}", state.made),
            refresh_expires_at: None,
            session_id: "session".to_owned(),
        }
    }
}

/// An ended session.
pub(crate) fn session(id: &str) -> What {
    What::SessionId(id.to_owned())
}

/// A changed role.
pub(crate) fn role_change(user_id: i64, role: Role) -> What {
    What::RoleChange(RoleChange { user_id, role: role.into() })
}

/// A few minutes from now.
pub(crate) fn soon_s() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp() + 330
}

fn user() -> pb::User {
    pb::User {
        id: 7,
        email: "ana@example.com".to_owned(),
        name: "Ana".to_owned(),
        locale: "pt-BR".to_owned(),
        role: Role::Admin.into(),
        email_verified: true,
        version: 1,
        ..pb::User::default()
    }
}

/// The service, of which only some calls do anything.
macro_rules! accounts_service {
    (
        scripted { $($scripted:tt)* }
        people { $($known:ident $asked:ident $told:ident;)* }
        others { $($name:ident $request:ident $response:ident;)* }
    ) => {
        #[tonic::async_trait]
        impl AccountsService for ScriptedAccounts {
            $($scripted)*
            $(
                async fn $known(&self, request: Grpc<pb::$asked>) -> Result<Reply<pb::$told>, Status> {
                    let user = asserted(request.metadata())?;
                    let asked = self.called(stringify!($known), request)?;
                    self.people.$known(user, asked).map(Reply::new)
                }
            )*
            $(
                async fn $name(&self, request: Grpc<pb::$request>) -> Result<Reply<pb::$response>, Status> {
                    self.called(stringify!($name), request)?;
                    Ok(Reply::new(pb::$response::default()))
                }
            )*
        }
    };
}

accounts_service! {
    scripted {
        async fn check_session(
            &self,
            request: Grpc<pb::CheckSessionRequest>,
        ) -> Result<Reply<pb::CheckSessionResponse>, Status> {
            let asked = self.called("check_session", request)?;
            let state = self.state();
            let role = state.roles.get(&asked.user_id).copied().unwrap_or(Role::Admin);
            let revoked = state.revoked.contains(&asked.session_id);
            Ok(Reply::new(pb::CheckSessionResponse { revoked, role: role.into() }))
        }

        async fn list_revocations(
            &self,
            request: Grpc<pb::ListRevocationsRequest>,
        ) -> Result<Reply<pb::ListRevocationsResponse>, Status> {
            let asked = self.called("list_revocations", request)?;
            let listed = self.state().revocations.clone();
            let revocations = listed.into_iter().filter(|one| one.seq > asked.after_seq).collect();
            Ok(Reply::new(pb::ListRevocationsResponse { revocations }))
        }

        async fn register(
            &self,
            request: Grpc<pb::RegisterRequest>,
        ) -> Result<Reply<pb::RegisterResponse>, Status> {
            let asked = self.called("register", request)?;
            let pb::RegisterRequest { email, name, locale, .. } = asked;
            Ok(Reply::new(pb::RegisterResponse { email, name, locale }))
        }

        async fn login(&self, request: Grpc<pb::LoginRequest>) -> Result<Reply<pb::LoginResponse>, Status> {
            let asked = self.called("login", request)?;
            if asked.password != PASSWORD {
                let mut refusal = Status::unauthenticated("invalid_credentials: no");
                refusal.metadata_mut().insert("mc-reason", "invalid_credentials".parse().expect("ASCII"));
                return Err(refusal);
            }
            Ok(Reply::new(pb::LoginResponse {
                user: Some(user()),
                tokens: Some(self.tokens()),
                device: "device-1".to_owned(),
            }))
        }

        async fn refresh(
            &self,
            request: Grpc<pb::RefreshRequest>,
        ) -> Result<Reply<pb::RefreshResponse>, Status> {
            self.called("refresh", request)?;
            Ok(Reply::new(pb::RefreshResponse { tokens: Some(self.tokens()), user_id: 7 }))
        }

        async fn logout(&self, request: Grpc<pb::LogoutRequest>) -> Result<Reply<pb::LogoutResponse>, Status> {
            self.called("logout", request)?;
            let what = Some(session("session-7"));
            let revocations = vec![Revocation { seq: 1, until_s: soon_s(), what }];
            Ok(Reply::new(pb::LogoutResponse { revocations }))
        }

        async fn step_up(
            &self,
            request: Grpc<pb::StepUpRequest>,
        ) -> Result<Reply<pb::StepUpResponse>, Status> {
            self.called("step_up", request)?;
            let access_token = self.tokens().access_token;
            Ok(Reply::new(pb::StepUpResponse { access_token, expires_in_s: 300 }))
        }

        async fn enrol_totp(
            &self,
            request: Grpc<pb::EnrolTotpRequest>,
        ) -> Result<Reply<pb::EnrolTotpResponse>, Status> {
            self.called("enrol_totp", request)?;
            let (secret, uri) = ("ABCD".to_owned(), "otpauth://totp/x?secret=ABCD".to_owned());
            Ok(Reply::new(pb::EnrolTotpResponse { secret, uri }))
        }
    }
    people {
        get_profile GetProfileRequest GetProfileResponse;
        update_profile UpdateProfileRequest UpdateProfileResponse;
        list_addresses ListAddressesRequest ListAddressesResponse;
        create_address CreateAddressRequest CreateAddressResponse;
        update_address UpdateAddressRequest UpdateAddressResponse;
        delete_address DeleteAddressRequest DeleteAddressResponse;
        list_sessions ListSessionsRequest ListSessionsResponse;
        revoke_session RevokeSessionRequest RevokeSessionResponse;
        request_export RequestExportRequest RequestExportResponse;
        request_erasure RequestErasureRequest RequestErasureResponse;
        get_data_job GetDataJobRequest GetDataJobResponse;
        list_users ListUsersRequest ListUsersResponse;
        get_user GetUserRequest GetUserResponse;
        update_user UpdateUserRequest UpdateUserResponse;
        lock_user LockUserRequest LockUserResponse;
        list_active_users ListActiveUsersRequest ListActiveUsersResponse;
    }
    others {
        verify_email VerifyEmailRequest VerifyEmailResponse;
        logout_all LogoutAllRequest LogoutAllResponse;
        forgot_password ForgotPasswordRequest ForgotPasswordResponse;
        reset_password ResetPasswordRequest ResetPasswordResponse;
        change_password ChangePasswordRequest ChangePasswordResponse;
        confirm_totp ConfirmTotpRequest ConfirmTotpResponse;
        disable_totp DisableTotpRequest DisableTotpResponse;
        get_contact GetContactRequest GetContactResponse;
    }
}
