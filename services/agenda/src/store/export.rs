//! Everything kept about a user, as JSON. Run with that user's identity: policies choose the rows.

use rls::Tx;

/// A moment as the API writes it.
macro_rules! moment {
    ($column:literal) => {
        concat!("to_char(", $column, " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
    };
}

rls::statements! {
    /// Each professional as an object.
    EXPORT_PROFESSIONALS = concat!(
        "SELECT jsonb_build_object('id', id, 'name', name, 'specialty', specialty, 'bio', bio, 'email', email,
                                   'phone', phone, 'created_at', ", moment!("created_at"), ")::text
           FROM professionals ORDER BY id");

    /// Each event as an object.
    EXPORT_EVENTS = concat!(
        "SELECT jsonb_build_object('id', e.id, 'title', e.title, 'kind', e.kind,
                                   'professional_id', e.professional_id,
                                   'professional', coalesce(p.name, e.professional_name),
                                   'location', e.location, 'description', e.description,
                                   'starts_at', ", moment!("e.starts_at"), ",
                                   'ends_at', ", moment!("e.ends_at"), ",
                                   'status', e.status, 'created_at', ", moment!("e.created_at"), ")::text
           FROM events e
           LEFT JOIN professionals p ON p.user_id = e.user_id AND p.id = e.professional_id
          ORDER BY e.id");

    /// Each report as an object: those the user wrote, and those written for the user.
    EXPORT_REPORTS = concat!(
        "SELECT jsonb_build_object('id', r.id, 'role', mine.role, 'sender_id', r.sender_id,
                                   'receiver_id', r.receiver_id, 'event_id', r.event_id,
                                   'product_id', r.product_id, 'title', r.title,
                                   'scores_tenths', to_jsonb(r.scores), 'total_tenths', r.total_tenths,
                                   'notes', r.notes, 'created_at', ", moment!("r.created_at"), ")::text
           FROM report_participants mine
           JOIN reports r ON r.id = mine.report_id
          ORDER BY r.id");
}

/// The caller's rows of each kind, one JSON object per row.
#[derive(Clone, Debug)]
pub(crate) struct Exported {
    pub(crate) professionals: Vec<String>,
    pub(crate) events: Vec<String>,
    pub(crate) reports: Vec<String>,
}

/// Everything that the caller has here, in three statements.
pub(crate) async fn all(tx: &mut Tx) -> Result<Exported, sqlx::Error> {
    let professionals = sqlx::query_scalar(EXPORT_PROFESSIONALS)
        .fetch_all(&mut *tx.statement("SELECT professionals to export"))
        .await?;
    let events =
        sqlx::query_scalar(EXPORT_EVENTS).fetch_all(&mut *tx.statement("SELECT events to export")).await?;
    let reports =
        sqlx::query_scalar(EXPORT_REPORTS).fetch_all(&mut *tx.statement("SELECT reports to export")).await?;
    Ok(Exported { professionals, events, reports })
}
