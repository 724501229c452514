//! `cargo xtask sqlx`: rewrites `.sqlx`, the description of every checked statement.
//!
//! The macros describe a statement by asking a database when they are compiled. So: a scratch PostgreSQL, every
//! service's schema, one `cargo check` with the database's address, and what the macros wrote is the new
//! `.sqlx`. Neither the services nor a former `.sqlx` have to compile for that.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::SystemTime,
};

use anyhow::{Context, bail};
use data_plane::{Auth, Install, Port, Postgres, PostgresOptions, Search, Tools};
use rls::cluster::{self, ServiceDatabase};
use sqlx::migrate::Migrator;
use tokio::process::Command;

use crate::workspace::{self, Freshness};

/// A package with checked statements, and the word in its database's name.
struct Service {
    package: &'static str,
    word: &'static str,
}

const SERVICES: [Service; 2] = [
    Service { package: "catalog", word: "catalog" },
    Service { package: "cache-invalidator", word: "invalidator" },
];

/// Another cargo in the same checkout may compile the package between our touch and our turn.
const ATTEMPTS: u32 = 3;

const MACROS: [&str; 3] = ["query!(", "query_as!(", "query_scalar!("];

pub(crate) async fn run(freshness: Freshness) -> anyhow::Result<()> {
    let root = workspace::root();
    let checked: Vec<&Service> =
        SERVICES.iter().filter(|service| has_macros(&service.sources(&root))).collect();
    let fresh = tempfile::tempdir().context("a folder for the fresh descriptions")?;
    match checked[..] {
        [] => {}
        [service] => describe(&root, service, fresh.path()).await?,
        _ => bail!(
            "more than one package has checked statements, but the macros know one DATABASE_URL: name one per \
             package in a sqlx.toml"
        ),
    }
    workspace::settle(&root.join(".sqlx"), fresh.path(), "cargo xtask sqlx", freshness)
}

impl Service {
    fn folder(&self, root: &Path) -> PathBuf {
        root.join("services").join(self.package)
    }

    /// Every Rust file of the package.
    fn sources(&self, root: &Path) -> Vec<PathBuf> {
        let folder = self.folder(root);
        [folder.join("src"), folder.join("tests")].iter().flat_map(|folder| rust_files(folder)).collect()
    }
}

async fn describe(root: &Path, service: &Service, out: &Path) -> anyhow::Result<()> {
    let search = Search { tool_dir: root.join(".mestres/tools"), install: Install::Allowed };
    let tools = Tools::find(&search, &mut |step| println!("{step}")).await?;
    let folder = tempfile::tempdir().context("a folder for the scratch database")?;
    let options = PostgresOptions {
        auth: Auth::Trust,
        port: Port::Any,
        ..PostgresOptions::new(folder.path().join("data"))
    };
    let postgres = Postgres::start(&tools, &options).await.context("starting a scratch PostgreSQL")?;
    println!("PostgreSQL {} on port {}", postgres.version(), postgres.port());
    let described = describe_in(root, service, out, &postgres).await;
    postgres.stop().await.context("stopping the scratch PostgreSQL")?;
    described
}

async fn describe_in(root: &Path, service: &Service, out: &Path, postgres: &Postgres) -> anyhow::Result<()> {
    let database = format!("mc_{}", service.word);
    let databases = [ServiceDatabase { service: service.word, password: "scratch".to_owned() }];
    cluster::prepare(&postgres.admin_url(), "scratch", &databases).await?;
    let at = |login: &str| format!("postgres://{login}@127.0.0.1:{}/{database}", postgres.port());
    let migrations = service.folder(root).join("migrations");
    let migrator = Migrator::new(migrations.as_path())
        .await
        .with_context(|| format!("reading {}", migrations.display()))?;
    let applied = cluster::migrate(&at("mc_migrate:scratch"), &migrator).await?;
    println!("{database}: {applied} migrations applied");

    // The superuser sees every table whatever the policies say; the search path is the service's.
    let url = format!("{}?options=-csearch_path%3D{}%2Capp%2Cpublic", at("postgres"), service.word);
    for _ in 0..ATTEMPTS {
        match compile(root, service, &url, out).await? {
            Compiled::Now => return Ok(()),
            Compiled::Before => {
                println!("{} was compiled by another cargo meanwhile: once more", service.package);
            }
            Compiled::Not => bail!("package {} does not compile, see above", service.package),
        }
    }
    bail!("package {} was compiled by another cargo each time: stop that one first", service.package)
}

/// Whether the macros of a package ran.
#[derive(Debug, PartialEq, Eq)]
enum Compiled {
    Now,
    Before,
    Not,
}

async fn compile(root: &Path, service: &Service, url: &str, out: &Path) -> anyhow::Result<Compiled> {
    // Cargo does not know that the address matters to the macros; a newer root makes it compile the package again.
    for target in ["src/lib.rs", "tests/it/main.rs"] {
        touch(&service.folder(root).join(target))?;
    }
    let output = Command::new("cargo")
        .args(["check", "--workspace", "--all-targets", "--keep-going", "--quiet"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root)
        .env("DATABASE_URL", url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", out)
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("running cargo check")?;
    let messages = String::from_utf8(output.stdout).context("what cargo check says")?;
    if !output.status.success() {
        // Whatever else does not compile may be waiting for the very files that this command writes.
        println!("warning: not everything in the workspace compiles");
    }
    Ok(library(&messages, service.package))
}

/// What cargo's messages say about the library of `package`.
fn library(messages: &str, package: &str) -> Compiled {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let artifact = messages
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["kind"][0] == "lib")
        .find(|message| {
            let manifest = Path::new(message["manifest_path"].as_str().unwrap_or_default());
            manifest.parent().and_then(Path::file_name).is_some_and(|folder| folder == package)
        });
    match artifact {
        None => Compiled::Not,
        Some(artifact) if artifact["fresh"] == true => Compiled::Before,
        Some(_) => Compiled::Now,
    }
}

fn has_macros(sources: &[PathBuf]) -> bool {
    sources.iter().any(|source| {
        fs::read_to_string(source).is_ok_and(|content| MACROS.iter().any(|name| content.contains(name)))
    })
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                rust_files(&path)
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                vec![path]
            } else {
                Vec::new()
            }
        })
        .collect()
}

fn touch(source: &Path) -> anyhow::Result<()> {
    if !source.exists() {
        return Ok(());
    }
    File::options()
        .append(true)
        .open(source)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .with_context(|| format!("touching {}", source.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_library_that_was_compiled_by_this_very_run_counts() {
        let message = |package: &str, kind: &str, fresh: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","fresh":{fresh},"manifest_path":"/w/services/{package}/Cargo.toml","target":{{"kind":["{kind}"]}}}}"#
            )
        };
        let finished = r#"{"reason":"build-finished","success":true}"#.to_owned();
        let others = [message("catalog", "test", false), message("gateway", "lib", false), finished];
        assert_eq!(library(&others.join("\n"), "catalog"), Compiled::Not);
        let with = |one: String| [others.join("\n"), one].join("\n");
        assert_eq!(library(&with(message("catalog", "lib", true)), "catalog"), Compiled::Before);
        assert_eq!(library(&with(message("catalog", "lib", false)), "catalog"), Compiled::Now);
    }
}
