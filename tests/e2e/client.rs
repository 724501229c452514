//! An HTTP client of one gateway that remembers what a browser would: nothing but what it is told.

use std::{net::SocketAddr, time::Duration};

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;

#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    gateway: SocketAddr,
    cache_token: Option<String>,
    bearer: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(gateway: SocketAddr) -> Self {
        // Everything is plain HTTP on loopback; reading a hundred root certificates would take longer than the request.
        let http = reqwest::Client::builder().tls_built_in_root_certs(false).timeout(Duration::from_secs(15));
        Self { http: http.build().unwrap(), gateway, cache_token: None, bearer: None }
    }

    /// The same client, sending this access token.
    pub(crate) fn with_bearer(mut self, token: String) -> Self {
        self.bearer = Some(token);
        self
    }

    /// The same client, sending this cache token: it must see what the token's owner wrote.
    pub(crate) fn with_cache_token(mut self, token: &str) -> Self {
        self.cache_token = Some(token.to_owned());
        self
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, format!("http://{}{path}", self.gateway));
        if let Some(token) = &self.cache_token {
            request = request.header("x-cache-token", token);
        }
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        request
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Self::send(self.request(Method::GET, path)).await
    }

    /// Sends `body` with `If-Match` for the version, when one is given.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        if_match: Option<&str>,
        body: &Value,
    ) -> Answer {
        let mut request = self.request(method, path).json(body);
        if let Some(version) = if_match {
            request = request.header("if-match", version);
        }
        Self::send(request).await
    }

    pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
        Self::try_send(request).await.unwrap()
    }

    pub(crate) async fn try_send(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        Ok(Answer { status, headers, body })
    }

    /// Sets the price of the first variant of a product as staff would: read the version, then write.
    pub(crate) async fn change_price(&self, product: i64, amount: i64) -> Answer {
        let path = format!("/api/v1/admin/products/{product}");
        let current = self.get(&path).await;
        assert_eq!(current.status, 200, "{current:?}");
        let variant = current.json()["data"]["product"]["variants"][0]["id"].clone();
        let answer = self
            .write(
                Method::PUT,
                &format!("{path}/prices"),
                Some(current.header("etag")),
                &serde_json::json!({ "prices": [{ "variant_id": variant, "amount": amount }] }),
            )
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header {name} in {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn is_hit(&self) -> bool {
        self.header("x-cache-hit") == "true"
    }

    /// The price of the first variant of the product that this answer shows.
    pub(crate) fn first_variant_amount(&self) -> i64 {
        self.json()["data"]["product"]["variants"][0]["price"]["amount"].as_i64().unwrap()
    }
}
