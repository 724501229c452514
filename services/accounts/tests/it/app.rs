//! An accounts service of one's own, and a method for each of its calls.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use accounts::StaffTotp;
use bootstrap::Shutdown;
use proto::accounts::v1::accounts_service_client::AccountsServiceClient;
use proto::accounts::v1::*;
use serde_json::json;
use sqlx::PgConnection;
use testkit::TestDatabase;
use testkit::jwt::TestKeys;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

/// Longer than any call of a test on a busy machine.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(20);
const NOWHERE: &str = "127.0.0.1:1";

pub(crate) const SECRET_KEY: [u8; 32] = [7; 32];
/// Long, in no list, and nothing of Ana's.
pub(crate) const PASSWORD: &str = "jabuticaba no quintal da vizinha";
pub(crate) const ANA: &str = "ana@example.com";
pub(crate) const BIA: &str = "bia@example.com";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    /// A process of the product.
    Service,
    /// A user, as the gateway states one.
    User(Signed),
}

/// Somebody's session, as an assertion states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) id: i64,
    pub(crate) role: &'static str,
    pub(crate) session: String,
    /// Unix seconds.
    pub(crate) auth_time: i64,
}

impl Who {
    /// A user who has signed in just now, in a session that no login began.
    pub(crate) fn user(id: i64, role: &'static str) -> Self {
        Self::User(Signed { id, role, session: Uuid::now_v7().to_string(), auth_time: now_s() })
    }

    /// The user of a login's answer, as a customer.
    pub(crate) fn of(login: &LoginResponse) -> Self {
        let session = login.tokens.as_ref().unwrap().session_id.clone();
        let id = login.user.as_ref().unwrap().id;
        Self::User(Signed { id, role: "customer", session, auth_time: now_s() })
    }

    /// The same user, whose last proof is so old.
    pub(crate) fn proved_before(self, seconds: i64) -> Self {
        match self {
            Self::User(signed) => Self::User(Signed { auth_time: now_s() - seconds, ..signed }),
            other => other,
        }
    }
}

/// A running accounts service; ends with this value.
pub(crate) struct TestApp {
    pub(crate) database: TestDatabase,
    pub(crate) internal_addr: SocketAddr,
    pub(crate) keys: TestKeys,
    pub(crate) client: AccountsServiceClient<Channel>,
    shutdown: Shutdown,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl TestApp {
    /// No users; events stay in the outbox and mails in their queue.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut accounts::Config)) -> Self {
        let database = testkit::database("accounts", &accounts::MIGRATOR).await;
        let keys = testkit::jwt::key_set();
        let mut config = config(&database, &keys);
        change(&mut config);
        let app = accounts::App::build(config).await.expect("accounts starts");
        let (grpc_addr, internal_addr) = (app.grpc_addr(), app.internal_addr());
        let shutdown = Shutdown::manual();
        let serving = tokio::spawn(app.run(shutdown.clone()));
        let channel = bootstrap::grpc::channel(&format!("http://{grpc_addr}")).unwrap();
        let client = AccountsServiceClient::new(channel);
        Self { database, internal_addr, keys, client, shutdown, serving }
    }

    /// The settings of [`start`](Self::start).
    pub(crate) fn config(&self) -> accounts::Config {
        config(&self.database, &self.keys)
    }

    /// Ends the service as SIGTERM does and returns when it has.
    pub(crate) async fn stop(mut self) {
        self.shutdown.drain.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), &mut self.serving).await;
        ended.expect("accounts drains in time").expect("it does not panic").expect("it ends well");
    }

    /// Looks and writes behind the service's back, as superuser.
    pub(crate) async fn admin(&self) -> PgConnection {
        let mut admin = self.database.admin().await;
        sqlx::raw_sql("SET search_path = accounts, app, public").execute(&mut admin).await.unwrap();
        admin
    }

    /// Runs SQL as superuser.
    pub(crate) async fn sql(&self, statements: &'static str) {
        sqlx::raw_sql(statements).execute(&mut self.admin().await).await.unwrap();
    }

    /// One number that a query answers.
    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.admin().await).await.unwrap()
    }

    /// One of the service's own metrics.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let mut stream = tokio::net::TcpStream::connect(self.internal_addr).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().parse().unwrap()
    }

    /// A new account with [`PASSWORD`]; answers its id.
    pub(crate) async fn registered(&self, email: &str) -> i64 {
        self.register(Who::Service, registration(email)).await.unwrap();
        let find = sqlx::query_scalar("SELECT id FROM users WHERE email = $1::text::citext").bind(email);
        find.fetch_one(&mut self.admin().await).await.unwrap()
    }

    /// A new account and its first session.
    pub(crate) async fn signed_in(&self, email: &str) -> LoginResponse {
        self.registered(email).await;
        self.login(Who::Service, credentials(email)).await.unwrap()
    }

    /// Another session of an account.
    pub(crate) async fn another_session(&self, email: &str) -> LoginResponse {
        self.login(Who::Service, credentials(email)).await.unwrap()
    }

    /// The token in the last mail of this kind.
    pub(crate) async fn mailed_token(&self, template: &str) -> String {
        let newest =
            sqlx::query_scalar("SELECT id FROM mail_jobs WHERE template = $1 ORDER BY id DESC LIMIT 1");
        let job: Uuid = newest.bind(template).fetch_one(&mut self.admin().await).await.unwrap();
        mail_token(job)
    }

    /// How many mails of this kind wait to be sent.
    pub(crate) async fn mails(&self, template: &str) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM mail_jobs WHERE template = $1");
        count.bind(template).fetch_one(&mut self.admin().await).await.unwrap()
    }

    pub(crate) fn bearer(&self, who: &Who) -> Option<String> {
        match who {
            Who::Nobody => None,
            Who::Service => Some(self.keys.assertion("accounts", "service", 0)),
            Who::User(signed) => {
                let mut claims = self.keys.assertion_claims("accounts", signed.role, signed.id);
                claims["sid"] = json!(signed.session);
                claims["auth_time"] = json!(signed.auth_time);
                Some(self.keys.sign_assertion("gateway", &self.keys.assertion_header("gateway"), &claims))
            }
        }
    }

    /// Asks with any assertion, or what pretends to be one.
    pub(crate) async fn list_sessions_with_bearer(
        &self,
        bearer: &str,
    ) -> Result<ListSessionsResponse, Status> {
        let request = bootstrap::grpc::request(ListSessionsRequest {}, CALL_DEADLINE, Some(bearer));
        self.client.clone().list_sessions(request).await.map(tonic::Response::into_inner)
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
                #[expect(clippy::allow_attributes, reason = "which calls a test makes is its own affair")]
                #[allow(dead_code, reason = "every call of the contract is here, whether or not a test makes it")]
                pub(crate) async fn $name(&self, who: Who, request: $request) -> Result<$response, Status> {
                    let bearer = self.bearer(&who);
                    let request = bootstrap::grpc::request(request, CALL_DEADLINE, bearer.as_deref());
                    self.client.clone().$name(request).await.map(tonic::Response::into_inner)
                }
            )+
        }
    };
}

calls! {
    register(RegisterRequest) -> RegisterResponse,
    verify_email(VerifyEmailRequest) -> VerifyEmailResponse,
    login(LoginRequest) -> LoginResponse,
    refresh(RefreshRequest) -> RefreshResponse,
    logout(LogoutRequest) -> LogoutResponse,
    logout_all(LogoutAllRequest) -> LogoutAllResponse,
    forgot_password(ForgotPasswordRequest) -> ForgotPasswordResponse,
    reset_password(ResetPasswordRequest) -> ResetPasswordResponse,
    change_password(ChangePasswordRequest) -> ChangePasswordResponse,
    step_up(StepUpRequest) -> StepUpResponse,
    list_sessions(ListSessionsRequest) -> ListSessionsResponse,
    revoke_session(RevokeSessionRequest) -> RevokeSessionResponse,
    enrol_totp(EnrolTotpRequest) -> EnrolTotpResponse,
    confirm_totp(ConfirmTotpRequest) -> ConfirmTotpResponse,
    disable_totp(DisableTotpRequest) -> DisableTotpResponse,
    get_profile(GetProfileRequest) -> GetProfileResponse,
    update_profile(UpdateProfileRequest) -> UpdateProfileResponse,
    list_addresses(ListAddressesRequest) -> ListAddressesResponse,
    create_address(CreateAddressRequest) -> CreateAddressResponse,
    update_address(UpdateAddressRequest) -> UpdateAddressResponse,
    delete_address(DeleteAddressRequest) -> DeleteAddressResponse,
    request_export(RequestExportRequest) -> RequestExportResponse,
    request_erasure(RequestErasureRequest) -> RequestErasureResponse,
    get_data_job(GetDataJobRequest) -> GetDataJobResponse,
    list_users(ListUsersRequest) -> ListUsersResponse,
    get_user(GetUserRequest) -> GetUserResponse,
    update_user(UpdateUserRequest) -> UpdateUserResponse,
    lock_user(LockUserRequest) -> LockUserResponse,
    list_revocations(ListRevocationsRequest) -> ListRevocationsResponse,
    check_session(CheckSessionRequest) -> CheckSessionResponse,
    get_contact(GetContactRequest) -> GetContactResponse,
    list_active_users(ListActiveUsersRequest) -> ListActiveUsersResponse,
}

fn config(database: &TestDatabase, keys: &TestKeys) -> accounts::Config {
    accounts::Config {
        database_url: database.url.clone(),
        database_pool_size: 8,
        nats_url: format!("nats://{NOWHERE}"),
        stream_replicas: 1,
        grpc_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        internal_http_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        assertion_jwks_file: keys.assertions_file.clone(),
        assertion_key_file: keys.assertion_key_file("accounts"),
        signing_key_file: keys.signing_key_file.clone(),
        jwt_issuer: testkit::jwt::ISSUER.to_owned(),
        jwt_audience: testkit::jwt::AUDIENCE.to_owned(),
        environment: bootstrap::config::Environment::Development,
        metrics_url: None,
        instance: "test".to_owned(),
        secret_key: SECRET_KEY,
        previous_secret_key: None,
        public_url: "https://shop.test".to_owned(),
        staff_totp: StaffTotp::Optional,
        agenda_url: format!("http://{NOWHERE}"),
        notifications_url: format!("http://{NOWHERE}"),
        orders_url: format!("http://{NOWHERE}"),
    }
}

/// A browser at an address that tests share.
pub(crate) fn client() -> Client {
    from("192.0.2.1")
}

/// The same browser elsewhere.
pub(crate) fn from(address: &str) -> Client {
    Client { address: address.to_owned(), user_agent: "Browser/1".to_owned(), device: None }
}

pub(crate) fn registration(email: &str) -> RegisterRequest {
    RegisterRequest {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        name: "Ana Prado".to_owned(),
        locale: "pt-BR".to_owned(),
        client: Some(client()),
    }
}

/// The right ones.
pub(crate) fn credentials(email: &str) -> LoginRequest {
    LoginRequest {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        totp_code: None,
        client: Some(client()),
    }
}

/// A password that is nobody's.
pub(crate) fn wrong_credentials(email: &str) -> LoginRequest {
    LoginRequest { password: "not the password of anybody".to_owned(), ..credentials(email) }
}

/// What the mail of this job holds; the formula is part of the stored data's format.
pub(crate) fn mail_token(job: Uuid) -> String {
    use base64::Engine as _;
    let key = blake3::derive_key("mestrescafe accounts 2026-11 mail token", &SECRET_KEY);
    let token = blake3::keyed_hash(&key, job.as_bytes());
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(token.as_bytes())
}

pub(crate) fn now_s() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since_epoch.as_secs()).unwrap()
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

/// What a refusal says altogether: two are the same to their callers if, and only if, these are.
#[track_caller]
pub(crate) fn everything_said<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    let status = answer.expect_err("the call was answered");
    let mut metadata = status.metadata().clone();
    // The transport's own.
    metadata.remove("date");
    format!("{:?} {} {:?} {:?}", status.code(), status.message(), metadata, status.details())
}
