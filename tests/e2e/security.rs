//! The attacks of the product's threat list, rows X1 to X37, X57 to X68 and X70 to X74: one table, one function per row,
//! one shop for all of them.
//!
//! Each row says what is tried and asserts the answer it must get. Rows that this system cannot be asked over HTTP
//! point to the test that does ask.

mod cache;
mod money;
mod objects;
mod passwords;
mod sessions;
mod tokens;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use crate::{
    accounts::{self, Person},
    client::{Answer, Client},
    shop::{Cast, Options, Shop},
};

/// The one other origin that may read answers.
const PARTNER: &str = "https://loja.mestrescafe.com";

/// The shop and the people that the rows are about. No row may end what another needs: a row that ends sessions
/// signs in anew.
pub(crate) struct World {
    shop: Shop,
    ana: Person,
    bia: Person,
    staff: Person,
    admin: Person,
}

type Check = for<'w> fn(&'w World) -> LocalBoxFuture<'w, ()>;

macro_rules! rows {
    ($($name:literal $what:literal => $check:path,)+) => {
        /// Every row: its number, what is tried, and the check.
        const ROWS: &[(&str, &str, Check)] = &[$(($name, $what, |world| Box::pin($check(world)))),+];
    };
}

rows! {
    "X1" "another user's row, by id, with every method" => objects::x1,
    "X2" "another user's ids in bodies, filters and Last-Event-ID" => objects::x2,
    "X3" "another user's cursor, or an edited one" => objects::x3,
    "X4" "every admin route as a customer and as nobody" => objects::x4,
    "X5" "admins' routes as staff" => objects::x5,
    "X6" "another method by header or parameter" => objects::x6,
    "X7" "fields that are not the client's to set" => objects::x7,
    "X8" "fields that no answer shows" => objects::x8,
    "X9" "services called directly, with forged identities" => tokens::x9,
    "X10" "internal assertions: late, for another, edited" => tokens::x10,
    "X11" "SQL by the service's login without an identity" => objects::x11,
    "X12" "an address that has an account already, or none" => passwords::x12,
    "X13" "guessing numbers, ten a second" => objects::x13,
    "X14" "unknown user, wrong password, locked account" => passwords::x14,
    "X15" "one account, many strangers" => passwords::x15,
    "X16" "a storm of sign-ins" => passwords::x16,
    "X17" "passwords of odd sizes and letters" => passwords::x17,
    "X18" "passwords that everybody has" => passwords::x18,
    "X19" "tokens of other algorithms" => tokens::x19,
    "X20" "key ids and headers that lead elsewhere" => tokens::x20,
    "X21" "tokens before and after their time" => tokens::x21,
    "X22" "other tokens of ours in place of an access token" => tokens::x22,
    "X23" "tokens of odd shapes and sizes" => tokens::x23,
    "X24" "times that are not numbers" => tokens::x24,
    "X25" "a refresh token twice, soon and later" => sessions::x25,
    "X26" "twenty refreshes at once" => sessions::x26,
    "X27" "the access token after logout" => sessions::x27,
    "X28" "other sessions after a new password" => sessions::x28,
    "X29" "a role that was taken away" => sessions::x29,
    "X30" "cookies planted before the login" => sessions::x30,
    "X31" "the plain cookie from a browser" => sessions::x31,
    "X32" "cookies twice, too long, or broken" => sessions::x32,
    "X33" "the attributes of our cookies" => sessions::x33,
    "X34" "requests forged by other sites" => sessions::x34,
    "X35" "other origins" => sessions::x35,
    "X36" "second factors: replayed and guessed" => passwords::x36,
    "X37" "reset links: reused, for others, with another host" => passwords::x37,
    "X57" "poisoning the cache" => cache::x57,
    "X58" "two users, one URL, ten thousand times" => cache::x58,
    "X59" "an entry copied to another user's key" => cache::x59,
    "X60" "many checkouts of the last unit" => money::x60,
    "X61" "many uses of a coupon for one" => money::x61,
    "X62" "the cart and the prices change during the checkout" => money::x62,
    "X63" "one order paid in twenty tabs" => money::x63,
    "X64" "a hundred refunds of everything" => money::x64,
    "X65" "odd quantities, and prices that the client names" => money::x65,
    "X66" "steps of the checkout left out or mixed up" => money::x66,
    "X67" "one key over and over, and keys of odd shapes" => money::x67,
    "X68" "stock held and never paid for" => money::x68,
    "X70" "forged, late and endless words of the provider" => money::x70,
    "X71" "one word of the provider a thousand times" => money::x71,
    "X72" "a word of another amount and currency" => money::x72,
    "X73" "a word about a payment that is not ours" => money::x73,
    "X74" "one slot sixty-four times, and events out of time" => objects::x74,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_gets_the_answer_it_must_get() {
    // Everybody comes through a proxy that we run, so that rows can come from addresses of their own.
    let shop = Shop::open_with(Options {
        cast: Cast::Everybody,
        environment: vec![
            ("MESTRES_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
            ("MESTRES_ALLOWED_ORIGINS", PARTNER.to_owned()),
        ],
        ..Options::default()
    })
    .await;
    let (ana, bia) = tokio::join!(accounts::join(&shop, "ana"), accounts::join(&shop, "bia"));
    let (staff, admin) = tokio::join!(accounts::join(&shop, "equipe"), accounts::join(&shop, "chefe"));
    let staff = accounts::promote(&shop, &staff, "staff").await;
    let admin = accounts::promote(&shop, &admin, "admin").await;
    let world = World { shop, ana, bia, staff, admin };
    let only = bootstrap::config::optional("MESTRES_SECURITY_ROW");
    let mut failed = Vec::new();
    for (name, what, check) in ROWS {
        if only.as_deref().is_some_and(|only| only != *name) {
            continue;
        }
        let held = AssertUnwindSafe(Box::pin(check(&world))).catch_unwind().await.is_ok();
        println!("{name:4} {} {what}", if held { "held  " } else { "FAILED" });
        if !held {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "rows that did not hold: {failed:?}");
}

#[test]
fn no_row_is_left_out() {
    let expected: Vec<String> =
        (1..=37).chain(57..=68).chain(70..=74).map(|number| format!("X{number}")).collect();
    let there: Vec<&str> = ROWS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(there, expected);
}

impl World {
    fn nobody(&self) -> Client {
        self.shop.client(0)
    }

    fn by(&self, person: &Person) -> Client {
        self.shop.client(0).with_bearer(person.token.clone())
    }

    /// A session of one's own, to be ended at will.
    async fn new_session(&self, person: &Person) -> Person {
        accounts::person(
            &person.email,
            &accounts::login(&self.nobody(), &person.email, accounts::PASSWORD).await,
        )
    }
}

/// A problem document of this status and code, valid and silent about our insides.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let json = answer.json();
    assert_eq!(json["code"], code, "{json}");
    assert_eq!(json["status"], status);
    for member in ["type", "title", "detail", "instance", "error", "request_id"] {
        assert!(json[member].is_string(), "no {member} in {json}");
    }
    let text = answer.text().to_lowercase();
    for inside in ["sqlx", "postgres", "constraint", "panicked", "tonic", "select ", "stack backtrace"] {
        assert!(!text.contains(inside), "{inside} in {text}");
    }
}
