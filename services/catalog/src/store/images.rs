//! Pictures by the hash of their bytes.

use rls::Tx;

/// The bytes of a picture and what they are.
#[derive(Debug)]
pub(crate) struct ImageFile {
    pub(crate) content_type: String,
    pub(crate) content: Vec<u8>,
}

/// The file with this SHA-256.
pub(crate) async fn file(tx: &mut Tx, sha256: &[u8; 32]) -> Result<Option<ImageFile>, sqlx::Error> {
    sqlx::query_as!(
        ImageFile,
        "SELECT content_type, content FROM image_files WHERE sha256 = $1",
        sha256.as_slice(),
    )
    .fetch_optional(&mut *tx.statement("SELECT image_files"))
    .await
}
