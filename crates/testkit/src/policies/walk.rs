//! Every statement of a service, run as those who must not get anything from it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Either, PgConnection, Row as _};

use super::{DENIED, code, login, quoted};
use crate::TestDatabase;

/// Combinations of values tried per statement until one of them finds something.
const TRIES_MAX: usize = 729;
/// Neither rows nor a hint: constraints, values and triggers that said no before anything happened.
const REFUSED: [&str; 3] = ["22", "23", "P0"];

/// What the statements are run with.
#[derive(Debug, Clone)]
pub struct Params {
    owner: i64,
    stranger: i64,
    by_type: BTreeMap<String, Vec<String>>,
    by_statement: BTreeMap<String, Vec<String>>,
    public: BTreeSet<String>,
    own: BTreeSet<String>,
}

impl Params {
    /// `owner` is the user whose rows the fixture holds, `stranger` a user without any.
    ///
    /// Parameters of numeric types are the owner's id or 0, unless [`Params::values`] or [`Params::with`] say more.
    pub fn new(owner: i64, stranger: i64) -> Self {
        let id = owner.to_string();
        let by_type = [
            ("bigint", vec![id.clone(), "0".to_owned()]),
            ("integer", vec![id.clone(), "0".to_owned()]),
            ("smallint", vec!["1".to_owned(), "0".to_owned()]),
            ("numeric", vec!["1".to_owned()]),
            ("real", vec!["0".to_owned()]),
            ("double precision", vec!["1".to_owned()]),
            ("boolean", vec!["true".to_owned(), "false".to_owned()]),
            ("text", vec!["x".to_owned()]),
            ("character varying", vec!["x".to_owned()]),
            ("character", vec!["x".to_owned()]),
            ("citext", vec!["x".to_owned()]),
            ("bytea", vec!["\\x00".to_owned()]),
            ("uuid", vec!["00000000-0000-7000-8000-000000000001".to_owned()]),
            ("json", vec!["{}".to_owned()]),
            ("jsonb", vec!["{}".to_owned()]),
            ("date", vec!["2000-01-01".to_owned()]),
            ("interval", vec!["1 hour".to_owned()]),
            (
                "timestamp with time zone",
                vec!["2000-01-01T00:00Z".to_owned(), "2100-01-01T00:00Z".to_owned()],
            ),
        ];
        Self {
            owner,
            stranger,
            by_type: by_type.into_iter().map(|(name, values)| (name.to_owned(), values)).collect(),
            by_statement: BTreeMap::new(),
            public: BTreeSet::new(),
            own: BTreeSet::new(),
        }
    }

    /// What parameters of type `name` (as `format_type` writes it) may be, as PostgreSQL reads them from text.
    #[must_use]
    pub fn values<V: Into<String>>(mut self, name: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.by_type.insert(name.to_owned(), values.into_iter().map(Into::into).collect());
        self
    }

    /// The values of a type; an array holds one of its elements' values each.
    fn of_type(&self, name: &str) -> Option<Vec<String>> {
        if let Some(values) = self.by_type.get(name) {
            return Some(values.clone());
        }
        let elements = self.by_type.get(name.strip_suffix("[]")?)?;
        let escaped = |value: &String| value.replace('\\', r"\\").replace('"', r#"\""#);
        Some(elements.iter().map(|value| format!("{{\"{}\"}}", escaped(value))).collect())
    }

    /// Exactly these parameters for one statement, in order.
    #[must_use]
    pub fn with<V: Into<String>>(mut self, statement: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.by_statement.insert(statement.to_owned(), values.into_iter().map(Into::into).collect());
        self
    }

    /// Statements whose answer is everybody's business.
    #[must_use]
    pub fn public<V: Into<String>>(mut self, statements: impl IntoIterator<Item = V>) -> Self {
        self.public.extend(statements.into_iter().map(Into::into));
        self
    }

    /// Statements with which a stranger touches rows of their own, inserts mostly: the stranger may.
    #[must_use]
    pub fn own<V: Into<String>>(mut self, statements: impl IntoIterator<Item = V>) -> Self {
        self.own.extend(statements.into_iter().map(Into::into));
        self
    }
}

/// What the walk has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Statements that found something for somebody, and as which role: what they hid from others, they could
    /// have shown.
    pub proven: BTreeMap<String, &'static str>,
    /// Statements that found nothing for anybody, so that nothing is proven about them, and why.
    pub unproven: BTreeMap<String, String>,
}

impl Report {
    /// Requires that all statements but `known` are proven, and that those are not.
    ///
    /// # Panics
    /// With the list of the others.
    #[track_caller]
    pub fn all_proven_but(&self, known: &[&str]) {
        let unknown: Vec<_> =
            self.unproven.iter().filter(|(name, _)| !known.contains(&name.as_str())).collect();
        assert!(unknown.is_empty(), "nothing is proven about these: {unknown:#?}");
        let outdated: Vec<_> = known.iter().filter(|name| !self.unproven.contains_key(**name)).collect();
        assert!(outdated.is_empty(), "these are proven, or there are no such statements: {outdated:?}");
    }
}

/// Prepares and runs every statement of `schema`'s service as nobody and as a stranger.
///
/// That is without a role, as `mc_anon`, and as `mc_user` with the stranger's id; each run is rolled back. A positive control tries as the owner, as staff and as the service
/// until the statement finds or changes a row, and its values are used for the others.
///
/// # Panics
/// When a statement cannot be prepared, or shows or changes a row for one of the three.
pub async fn walk<'s>(
    database: &TestDatabase,
    schema: &str,
    statements: impl IntoIterator<Item = (&'s str, &'s str)>,
    params: &Params,
) -> Report {
    let mut walker = Walker { connection: login(database).await, params };
    let (mut proven, mut unproven, mut leaks) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let mut walked = 0;
    for (name, sql) in statements {
        walked += 1;
        let types = walker.prepare(name, sql).await;
        let tries = walker.tries(name, &types);
        let control = walker.control(&tries).await;
        let values = match &control {
            Ok((_role, values)) => values,
            Err(_why) => &tries[0],
        };
        for who in [Who::Nobody, Who::Role("mc_anon", None), Who::Role("mc_user", Some(params.stranger))] {
            let outcome = walker.run(who, values).await;
            let allowed = match who {
                Who::Nobody => false,
                Who::Role(role, _) => {
                    params.public.contains(name) || (role == "mc_user" && params.own.contains(name))
                }
            };
            match outcome {
                Outcome::Touched(rows) if rows > 0 && !allowed => {
                    leaks.push(format!("{name}: {rows} rows for {who:?}"));
                }
                Outcome::Touched(_) | Outcome::Refused(_) => {}
                Outcome::Failed(why) => leaks.push(format!("{name}: for {who:?} {why}")),
            }
        }
        match control {
            Ok((role, _)) => {
                proven.insert(name.to_owned(), role);
            }
            Err(why) => {
                unproven.insert(name.to_owned(), why);
            }
        }
        walker.sql("DEALLOCATE walked").await.expect("it was prepared");
    }
    assert!(walked > 0, "no statements of {schema}");
    assert!(leaks.is_empty(), "statements of {schema} reach what they must not:\n{}", leaks.join("\n"));
    Report { proven, unproven }
}

#[derive(Debug, Clone, Copy)]
enum Who {
    /// The login before any `SET ROLE`.
    Nobody,
    /// A role, and a user's id.
    Role(&'static str, Option<i64>),
}

enum Outcome {
    /// Rows that were shown or changed.
    Touched(u64),
    Refused(String),
    Failed(String),
}

struct Walker<'p> {
    connection: PgConnection,
    params: &'p Params,
}

impl Walker<'_> {
    /// Prepares the statement as `walked` and answers the types of its parameters.
    async fn prepare(&mut self, name: &str, sql: &str) -> Vec<String> {
        // Names are looked up by a role that may see the schema; rights are checked when it runs.
        self.sql("SET ROLE mc_service").await.expect("the login may be the service");
        let prepared = self.sql(&format!("PREPARE walked AS {sql}")).await;
        prepared.unwrap_or_else(|error| panic!("{name} cannot be prepared: {error}"));
        let types = sqlx::query_scalar(
            "SELECT format_type(t, NULL) FROM pg_prepared_statements,
                    unnest(parameter_types) WITH ORDINALITY AS p (t, n)
              WHERE name = 'walked' ORDER BY n",
        )
        .fetch_all(&mut self.connection)
        .await
        .expect("the statement is prepared");
        self.sql("RESET ROLE").await.expect("the role can be reset");
        types
    }

    /// Values to try, at least one set of them.
    fn tries(&self, name: &str, types: &[String]) -> Vec<Vec<String>> {
        if let Some(values) = self.params.by_statement.get(name) {
            assert_eq!(values.len(), types.len(), "{name} takes {types:?}");
            return vec![values.clone()];
        }
        let mut tries = vec![Vec::new()];
        for parameter in types {
            let values = self.params.of_type(parameter);
            let values =
                values.unwrap_or_else(|| panic!("{name} takes a {parameter}: Params::values has none"));
            let longer = |values_so_far: &Vec<String>| -> Vec<Vec<String>> {
                values
                    .iter()
                    .map(|value| [values_so_far.as_slice(), std::slice::from_ref(value)].concat())
                    .collect()
            };
            tries = tries.iter().flat_map(longer).take(TRIES_MAX).collect();
        }
        tries
    }

    /// Who finds something, with which values; otherwise what happened instead.
    async fn control(&mut self, tries: &[Vec<String>]) -> Result<(&'static str, Vec<String>), String> {
        let owner = Some(self.params.owner);
        let mut why = BTreeSet::new();
        for (role, user_id) in
            [("mc_user", owner), ("mc_admin", owner), ("mc_service", None), ("mc_anon", None)]
        {
            for values in tries {
                match self.run(Who::Role(role, user_id), values).await {
                    Outcome::Touched(0) => {
                        why.insert(format!("{role} finds nothing"));
                    }
                    Outcome::Touched(_) => return Ok((role, values.clone())),
                    Outcome::Refused(reason) | Outcome::Failed(reason) => {
                        why.insert(format!("{role}: {reason}"));
                    }
                }
            }
        }
        Err(why.into_iter().collect::<Vec<_>>().join("; "))
    }

    /// Runs the prepared statement in a transaction that is rolled back.
    async fn run(&mut self, who: Who, values: &[String]) -> Outcome {
        self.sql("BEGIN").await.expect("a transaction can begin");
        if let Who::Role(role, user_id) = who {
            let user_id = user_id.map(|id| id.to_string()).unwrap_or_default();
            let identity = format!(
                "SELECT set_config('role', '{role}', true), set_config('app.user_id', '{user_id}', true)"
            );
            self.sql(&identity).await.expect("the login may take the role");
        }
        let arguments = values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", ");
        let execute = if values.is_empty() { String::new() } else { format!("({arguments})") };
        let outcome = match self.sql(&format!("EXECUTE walked{execute}")).await {
            Ok(rows) => Outcome::Touched(rows),
            Err(error) => {
                let (code, text) = (code(&error), error.to_string());
                // Who may not use the schema does not even learn what is in it.
                let unseen = matches!(who, Who::Nobody) && matches!(&*code, "42P01" | "42883" | "3F000");
                if code == DENIED || unseen || REFUSED.iter().any(|class| code.starts_with(class)) {
                    Outcome::Refused(text)
                } else {
                    Outcome::Failed(text)
                }
            }
        };
        self.sql("ROLLBACK").await.expect("a transaction can be rolled back");
        outcome
    }

    /// Runs SQL and counts the rows that say something, or those that were changed.
    async fn sql(&mut self, sql: &str) -> Result<u64, sqlx::Error> {
        let (mut shown, mut empty, mut changed) = (0, 0, 0);
        let mut answers = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_many(&mut self.connection);
        while let Some(answer) = answers.try_next().await? {
            match answer {
                Either::Left(done) => changed += done.rows_affected(),
                Either::Right(row) if says_something(&row) => shown += 1,
                Either::Right(_) => empty += 1,
            }
        }
        Ok(if shown + empty > 0 { shown } else { changed })
    }
}

/// Counts, sums and flags of nothing are no row.
fn says_something(row: &PgRow) -> bool {
    (0..row.len()).any(|column| {
        let value = row.try_get_raw(column).expect("the column is there");
        !matches!(value.as_str(), Err(_) | Ok("" | "0" | "f" | "{}" | "[]"))
    })
}
