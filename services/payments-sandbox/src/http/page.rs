//! What a buyer sees: the bank that wants to know who pays, and a Pix to be paid.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::found;
use crate::error::Refusal;
use crate::intent::{Intent, Method, NextAction};
use crate::sandbox::Sandbox;

pub(super) async fn three_ds(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let intent = existing(&sandbox, &id)?;
    let Some(NextAction::Redirect { .. }) = intent.next_action else {
        return Ok(page("3-D Secure", "<p>Nothing to approve: this payment goes on without you.</p>"));
    };
    let body = format!(
        "<p>Your bank asks whether you pay <strong>{amount}</strong> to Mestres Café.</p>\
         <form method=\"post\" action=\"/__sandbox/3ds/{id}/approve\"><button>Approve</button></form>\
         <form method=\"post\" action=\"/__sandbox/3ds/{id}/fail\"><button>Fail</button></form>",
        amount = escaped(&money(&intent)),
        id = escaped(&intent.id),
    );
    Ok(page("3-D Secure", &body))
}

/// `approve` or `fail`. A browser is sent back to the shop, anybody else is told the intent.
pub(super) async fn three_ds_happens(
    State(sandbox): State<Sandbox>,
    Path((id, what)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (intent, outcome) = match what.as_str() {
        "approve" => (sandbox.happen(&id, |intent, act| intent.authenticated(act))?, "succeeded"),
        "fail" => (sandbox.happen(&id, |intent, _| intent.not_authenticated())?, "failed"),
        _ => return Err(Refusal::unknown_url("POST", &format!("/__sandbox/3ds/{id}/{what}"))),
    };
    Ok(match (&intent.return_url, is_browser(&headers)) {
        (Some(url), true) => sent_back(&intent, url, outcome),
        (None, true) => page("3-D Secure", "<p>Done. You may go back to the shop.</p>"),
        (_, false) => found(&intent.json()),
    })
}

pub(super) async fn pix(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let intent = existing(&sandbox, &id)?;
    let Some(NextAction::Pix { data, .. }) = &intent.next_action else {
        return Ok(page("Pix", "<p>Nothing to pay here.</p>"));
    };
    let body = format!(
        "<p>Pay <strong>{amount}</strong> to Mestres Café.</p><p><code>{data}</code></p>\
         <form method=\"post\" action=\"/__sandbox/pix/{id}/pay\"><button>Pay</button></form>\
         <form method=\"post\" action=\"/__sandbox/pix/{id}/expire\"><button>Let it expire</button></form>",
        amount = escaped(&money(&intent)),
        data = escaped(data),
        id = escaped(&intent.id),
    );
    Ok(page("Pix", &body))
}

/// `pay` or `expire`. What has expired or was cancelled can still be paid: banks are late.
pub(super) async fn pix_happens(
    State(sandbox): State<Sandbox>,
    Path((id, what)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let intent = match what.as_str() {
        "pay" => sandbox.happen(&id, |intent, act| intent.pix_paid(act))?,
        "expire" => sandbox.happen(&id, |intent, _| intent.pix_expired())?,
        _ => return Err(Refusal::unknown_url("POST", &format!("/__sandbox/pix/{id}/{what}"))),
    };
    Ok(if is_browser(&headers) { page("Pix", "<p>Done.</p>") } else { found(&intent.json()) })
}

/// A picture in place of the code, drawn under both names: the text is what tests pay by.
pub(super) async fn pix_image(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let intent = existing(&sandbox, &id)?;
    if intent.method != Method::Pix {
        return Err(Refusal::no_such("QR code", "id", &id));
    }
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 200 200\" width=\"200\" height=\"200\">\
         <rect width=\"200\" height=\"200\" fill=\"#fff\" stroke=\"#000\"/>\
         <text x=\"100\" y=\"95\" text-anchor=\"middle\" font-size=\"20\">Pix sandbox</text>\
         <text x=\"100\" y=\"125\" text-anchor=\"middle\" font-size=\"16\">{}</text></svg>",
        escaped(&money(&intent)),
    );
    let mut response = Response::new(Body::from(svg));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    Ok(response)
}

fn existing(sandbox: &Sandbox, id: &str) -> Result<Intent, Refusal> {
    let found = sandbox.world().intent(id).cloned();
    found.ok_or_else(|| Refusal::no_such("payment_intent", "intent", id))
}

/// Back to the shop, with what the provider adds to the address.
fn sent_back(intent: &Intent, url: &str, outcome: &str) -> Response {
    let (url, fragment) = url.split_once('#').map_or((url, None), |(url, fragment)| (url, Some(fragment)));
    let joint = if url.contains('?') { '&' } else { '?' };
    let secret = utf8_percent_encode(&intent.client_secret, NON_ALPHANUMERIC);
    let mut address = format!(
        "{url}{joint}payment_intent={}&payment_intent_client_secret={secret}&redirect_status={outcome}",
        intent.id
    );
    if let Some(fragment) = fragment {
        address.push('#');
        address.push_str(fragment);
    }
    let mut response = Response::new(Body::empty());
    match HeaderValue::from_str(&address) {
        Ok(address) => {
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(header::LOCATION, address);
        }
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

fn is_browser(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

fn money(intent: &Intent) -> String {
    let currency = intent.currency.to_ascii_uppercase();
    format!("{currency} {}.{:02}", intent.amount / 100, intent.amount % 100)
}

fn page(title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><h1>{title} (sandbox)</h1>{body}</body></html>"
    );
    let mut response = Response::new(Body::from(html));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // No script, no frame. Where a form's answer redirects to counts as its target, so that is left open.
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped(r#"<a href="x">&'"#), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }
}
