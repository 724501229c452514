//! What the gateway is measured against: actix-web returning bytes that it has in memory.

use std::path::PathBuf;

use actix_web::{
    App, HttpResponse, HttpServer,
    http::header::{HeaderName, HeaderValue},
    web,
};
use anyhow::Context;
use bytes::Bytes;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The body of every answer
    #[arg(long)]
    body: PathBuf,
    /// A JSON array of [name, value]: headers that every answer repeats
    #[arg(long)]
    headers: PathBuf,
    #[arg(long)]
    port: u16,
    #[arg(long)]
    workers: usize,
}

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let body = Bytes::from(std::fs::read(&options.body).context("reading the body")?);
    let headers: Vec<(String, String)> = serde_json::from_slice(&std::fs::read(&options.headers)?)?;
    let headers = headers
        .iter()
        .map(|(name, value)| Ok((HeaderName::try_from(name.as_str())?, HeaderValue::from_str(value)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let server = HttpServer::new(move || {
        let (body, headers) = (body.clone(), headers.clone());
        let answer = move || {
            let mut response = HttpResponse::Ok();
            response.content_type("application/json");
            for header in &headers {
                response.insert_header(header.clone());
            }
            let answer = response.body(body.clone());
            async move { answer }
        };
        App::new().route("/api/v1/products", web::get().to(answer))
    })
    .workers(options.workers)
    .bind(("127.0.0.1", options.port))?;
    actix_web::rt::System::new().block_on(server.run()).context("the bare server")
}
