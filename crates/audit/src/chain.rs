//! How a row is hashed: every field with its length, so that no two rows read the same.

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

/// The hash of the row before the first one.
pub(crate) const ORIGIN: [u8; 32] = [0; 32];
/// Says how what follows is encoded.
const DOMAIN: &[u8] = b"mestres-audit-v1";

/// One row but for its own hash.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) id: i64,
    pub(crate) at: OffsetDateTime,
    pub(crate) actor_id: Option<i64>,
    pub(crate) actor_role: String,
    pub(crate) action: String,
    pub(crate) entity: String,
    pub(crate) entity_id: String,
    /// JSON as it was written, byte for byte.
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) request_id: String,
    pub(crate) prev_sha256: [u8; 32],
}

impl Link {
    pub(crate) fn sha256(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let mut field = |bytes: Option<&[u8]>| match bytes {
            None => digest.update([0]),
            Some(bytes) => {
                digest.update([1]);
                digest.update((bytes.len() as u64).to_be_bytes());
                digest.update(bytes);
            }
        };
        field(Some(DOMAIN));
        field(Some(&self.prev_sha256));
        field(Some(&self.id.to_be_bytes()));
        // The database keeps microseconds.
        field(Some(&(self.at.unix_timestamp_nanos() / 1_000).to_be_bytes()));
        field(self.actor_id.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        for text in [&self.actor_role, &self.action, &self.entity, &self.entity_id] {
            field(Some(text.as_bytes()));
        }
        field(self.before.as_deref().map(str::as_bytes));
        field(self.after.as_deref().map(str::as_bytes));
        field(Some(self.request_id.as_bytes()));
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            id: 7,
            at: OffsetDateTime::from_unix_timestamp(1_700_000_000).expect("a good time"),
            actor_id: Some(1),
            actor_role: "admin".to_owned(),
            action: "order.status_changed".to_owned(),
            entity: "order".to_owned(),
            entity_id: "42".to_owned(),
            before: Some(r#"{"status":"paid"}"#.to_owned()),
            after: None,
            request_id: "r-1".to_owned(),
            prev_sha256: ORIGIN,
        }
    }

    #[test]
    fn the_encoding_never_changes() {
        // Chains written by other versions of the product must verify.
        let hash: String = link().sha256().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "a2b637fcaf36bc482a03606d359a7dce0a5434e1be6423bf8bb9ba59d3459a4c");
    }

    #[test]
    fn every_field_counts() {
        let changes: [fn(&mut Link); 12] = [
            |link| link.id += 1,
            |link| link.at += time::Duration::MICROSECOND,
            |link| link.actor_id = None,
            |link| link.actor_role.push('x'),
            |link| link.action.push('x'),
            |link| link.entity.push('x'),
            |link| link.entity_id.push('x'),
            |link| link.before = None,
            |link| link.after = Some(String::new()),
            |link| link.request_id.push('x'),
            |link| link.prev_sha256[31] = 1,
            // What moves from one field to the next is not the same.
            |link| (link.entity, link.entity_id) = ("order4".to_owned(), "2".to_owned()),
        ];
        let mut hashes = vec![link().sha256()];
        for change in changes {
            let mut changed = link();
            change(&mut changed);
            hashes.push(changed.sha256());
        }
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 13);
    }
}
