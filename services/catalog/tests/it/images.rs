//! Pictures by the hash of their bytes.

use proto::catalog::v1::GetImageRequest;
use tonic::Code;

use crate::app::{TestApp, Who, refusal};

#[tokio::test]
async fn pictures_are_found_by_the_hash_of_their_bytes() {
    let app = TestApp::start().await;
    app.sql(
        "INSERT INTO image_files (sha256, content_type, content)
         VALUES (sha256('<svg/>'), 'image/svg+xml', '<svg/>')",
    )
    .await;
    let hash: String = sqlx::query_scalar("SELECT encode(sha256, 'hex') FROM image_files")
        .fetch_one(&mut app.admin().await)
        .await
        .unwrap();

    for who in [Who::Anonymous, Who::Customer, Who::Staff] {
        let image = app.get_image(who, GetImageRequest { sha256: hash.clone() }).await.unwrap();
        assert_eq!((&image.content[..], image.content_type.as_str()), (&b"<svg/>"[..], "image/svg+xml"));
    }
    let unknown = app.get_image(Who::Anonymous, GetImageRequest { sha256: "0".repeat(64) }).await;
    assert_eq!(refusal(unknown), (Code::NotFound, "image_not_found".into(), String::new()));
    for wrong in
        [String::new(), hash.to_uppercase(), hash[1..].to_owned(), format!("{hash}.svg"), "../".repeat(20)]
    {
        let answer = app.get_image(Who::Anonymous, GetImageRequest { sha256: wrong }).await;
        assert_eq!(refusal(answer), (Code::InvalidArgument, "invalid_value".into(), "sha256".into()));
    }
}
