//! The demo customer's agenda: a few masters, events around today, and reports both ways.

use std::time::Duration;

use anyhow::Context;
use rls::{Caller, Class, Database, DatabaseConfig, Tx, UserId};
use time::{OffsetDateTime, Time};

use crate::domain::event::{EventFields, Kind, Span, Status};
use crate::domain::professional::{ProfessionalFields, Specialty};
use crate::domain::report::{ReportFields, Scores};
use crate::domain::{ProfessionalId, ReceiverId};
use crate::error::Error;
use crate::store::{events, professionals, reports};

/// For a connection, of which there is only this one user.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(10);
/// Of the whole load, some dozen rows.
const LOAD_DEADLINE: Duration = Duration::from_secs(30);

const MASTERS: [(&str, Specialty, &str); 4] = [
    ("Helena Prado", Specialty::QGrader, "Q-grader desde 2014; cupping às quintas."),
    ("Joaquim Teixeira", Specialty::RoastMaster, "Torra em tambor de 15 kg, perfis para filtrados."),
    ("Marina Akemi", Specialty::Barista, "Campeã regional de latte art."),
    ("Sítio Boa Vista", Specialty::Producer, "Bourbon amarelo a 1.250 m, Carmo de Minas."),
];

/// Title, kind, master, place, days from today, hour and length in hours (UTC), status.
type DemoEvent = (&'static str, Kind, usize, &'static str, i64, i64, i64, Status);

const EVENTS: [DemoEvent; 6] = [
    ("Cupping da safra nova", Kind::Cupping, 0, "Laboratório da torrefação", 2, 17, 2, Status::Scheduled),
    ("Aula de latte art", Kind::Class, 2, "Loja da Savassi", 5, 22, 3, Status::Scheduled),
    ("Torra de perfil claro", Kind::Roast, 1, "Torrefação", 9, 12, 4, Status::Scheduled),
    ("Visita ao sítio", Kind::Visit, 3, "Carmo de Minas", 30, 11, 30, Status::Scheduled),
    ("Degustação às cegas", Kind::Tasting, 0, "Loja da Savassi", -7, 21, 2, Status::Done),
    ("Aula de métodos filtrados", Kind::Class, 2, "Loja da Savassi", -3, 22, 2, Status::Cancelled),
];

/// Title, scores in tenths and notes.
type DemoReport = (&'static str, [u32; 10], &'static str);

const SENT: [DemoReport; 2] = [
    (
        "Bourbon amarelo, lote 12",
        [85, 84, 82, 83, 82, 83, 100, 100, 100, 84],
        "Caramelo e laranja; finalização longa.",
    ),
    ("Catuaí natural", [80, 81, 79, 78, 82, 80, 100, 100, 100, 80], "Chocolate ao leite, corpo denso."),
];
const RECEIVED: [DemoReport; 2] = [
    ("Geisha lavado", [90, 89, 87, 88, 85, 87, 100, 100, 100, 90], "Jasmim, bergamota, acidez brilhante."),
    ("Mundo novo", [77, 76, 75, 74, 78, 76, 100, 100, 100, 76], "Castanhas; bom para espresso do dia a dia."),
];

/// What [`load()`] found or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Professionals of the user afterwards.
    pub professionals: usize,
    /// Whether this call put them there, with events and reports.
    pub fresh: bool,
}

/// Gives `user_id` an agenda to look at; leaves one that has professionals as it is.
///
/// All of it is one transaction, so that an interrupted load leaves nothing behind. `database_url` is the
/// service's own login. Reports go to and come from account 1, or 2 when the user is account 1. `progress`
/// hears how many rows stand so far.
pub async fn load(
    database_url: &str,
    user_id: i64,
    mut progress: impl FnMut(usize) + Send + 'static,
) -> anyhow::Result<Loaded> {
    anyhow::ensure!(user_id > 0, "user ids start at 1");
    let mut config = DatabaseConfig::new(database_url);
    // Nobody is waiting for an answer; on a busy machine a first connection takes its time.
    config.acquire_timeout = ACQUIRE_WITHIN;
    let database = Database::connect(&config).await.context("connecting to load the demo agenda")?;
    let user = UserId(user_id);
    let has = database
        .run(&Caller::User(user), Class::Read, LOAD_DEADLINE, |tx| {
            Box::pin(async move { Ok::<_, Error>(professionals::count(tx, None).await?) })
        })
        .await
        .context("looking at the demo agenda")?
        .value;
    if has > 0 {
        return Ok(Loaded { professionals: usize::try_from(has)?, fresh: false });
    }
    // As the service: some of the reports are somebody else's to write.
    database
        .run(&Caller::Service, Class::Worker, LOAD_DEADLINE, move |tx| {
            Box::pin(async move { fill(tx, user, &mut progress).await })
        })
        .await
        .context("loading the demo agenda")?;
    Ok(Loaded { professionals: MASTERS.len(), fresh: true })
}

async fn fill(tx: &mut Tx, user: UserId, progress: &mut impl FnMut(usize)) -> Result<(), Error> {
    let now = OffsetDateTime::now_utc();
    let today = now.replace_time(Time::MIDNIGHT);
    let mut rows = 0;
    let mut step = || {
        rows += 1;
        progress(rows);
    };

    let mut masters = Vec::with_capacity(MASTERS.len());
    for (name, specialty, bio) in MASTERS {
        let fields = ProfessionalFields {
            name: name.to_owned(),
            specialty,
            bio: Some(bio.to_owned()),
            email: None,
            phone: None,
        };
        let (id, _version) = professionals::insert(tx, user, &fields, now).await?;
        masters.push(ProfessionalId::parse("professional_id", id)?);
        step();
    }
    for (title, kind, master, location, days, hour, length, status) in EVENTS {
        let starts_at = today + time::Duration::days(days) + time::Duration::hours(hour);
        let ends_at = starts_at + time::Duration::hours(length);
        let fields = EventFields {
            title: title.to_owned(),
            kind,
            professional: masters.get(master).copied(),
            location: Some(location.to_owned()),
            description: None,
            span: Span::parse("starts_at", starts_at, "ends_at", ends_at)?,
            status,
        };
        events::insert(tx, user, &fields, now).await?;
        step();
    }
    let colleague = UserId(if user.0 == 1 { 2 } else { 1 });
    for (sender, receiver, written) in [(user, colleague, SENT), (colleague, user, RECEIVED)] {
        for (title, tenths, notes) in written {
            let fields = ReportFields {
                title: title.to_owned(),
                scores: Scores::parse("scores", tenths)?,
                notes: Some(notes.to_owned()),
                event: None,
                product: None,
            };
            let receiver = ReceiverId::parse("receiver_id", receiver.0)?;
            reports::insert(tx, sender, receiver, &fields, now).await?;
            step();
        }
    }
    Ok(())
}
