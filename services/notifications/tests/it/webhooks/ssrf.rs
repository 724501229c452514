//! Requests go to the public internet, whatever a name stands for and whenever it changes its mind.

use std::net::IpAddr;

use notifications::webhooks::Reach;
use proto::notifications::v1::*;
use tonic::Code;

use super::receiver::Receiver;
use super::{ADMIN, Hooks, new_endpoint};
use crate::app::refusal;

/// What a name must not stand for.
const INSIDE: [&str; 52] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.8.8",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:192.168.1.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
];

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn names_that_lead_inside_are_refused_when_they_are_saved() {
    let hooks = Hooks::reaching(Reach::Public).await;
    let public = address("93.184.215.14");
    let mut answers: Vec<Vec<IpAddr>> = Vec::new();
    for inside in INSIDE {
        answers.extend([vec![address(inside)], vec![public, address(inside)], vec![address(inside), public]]);
    }
    // Nothing at all is no place to send to.
    answers.push(Vec::new());
    for answer in answers {
        hooks.script.answer("hooks.example.com", [answer.clone()]);
        let made = hooks.create_endpoint(ADMIN, new_endpoint("https://hooks.example.com/in", &["*"])).await;
        let expected = (Code::InvalidArgument, "invalid_value".to_owned(), "url".to_owned());
        assert_eq!(refusal(made), expected, "{answer:?}");
    }
    for url in [
        "http://127.0.0.1:8080/",
        "http://localhost:8080/",
        "https://169.254.169.254/",
        "https://[::ffff:10.0.0.1]/",
        "https://2852039166/",
        "https://0251.0376.0251.0376/",
        "https://0xa9fea9fe/",
        "file:///etc/passwd",
        "https://hooks.example.com:6379/",
        "https://admin:secret@hooks.example.com/",
        "http://hooks.example.com/",
    ] {
        let refused = refusal(hooks.create_endpoint(ADMIN, new_endpoint(url, &["*"])).await);
        assert_eq!(refused, (Code::InvalidArgument, "invalid_value".to_owned(), "url".to_owned()), "{url}");
    }
    let none: i64 = hooks.world.one("SELECT count(*) FROM webhook_endpoints").await;
    assert_eq!(none, 0);

    for outside in ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"] {
        hooks.script.answer("hooks.example.com", [vec![address(outside)]]);
        let made = hooks.create_endpoint(ADMIN, new_endpoint("https://hooks.example.com/in", &["*"])).await;
        let endpoint = made.unwrap().endpoint.unwrap();
        assert_eq!(endpoint.url, "https://hooks.example.com/in");
        // A change is judged like a new one.
        hooks.script.answer("hooks.example.net", [vec![address("10.0.0.1")]]);
        let change = UpdateEndpointRequest {
            id: endpoint.id,
            expected_version: endpoint.version,
            url: Some("https://hooks.example.net/".to_owned()),
            ..Default::default()
        };
        assert_eq!(refusal(hooks.update_endpoint(ADMIN, change).await).2, "url");
        assert_eq!(hooks.endpoint_now(endpoint.id).await, endpoint);
    }
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_refused_when_it_is_connected_to() {
    let hooks = Hooks::reaching(Reach::Public).await;
    for inside in INSIDE {
        hooks.script.answer("hooks.example.com", [vec![address("93.184.215.14")], vec![address(inside)]]);
        let made = hooks.create_endpoint(ADMIN, new_endpoint("https://hooks.example.com/", &["*"])).await;
        let id = made.unwrap().endpoint.unwrap().id;
        let tried = hooks.test_endpoint(ADMIN, TestEndpointRequest { id }).await.unwrap().delivery.unwrap();
        assert_eq!((&*tried.status, tried.last_status), ("dead", None), "{inside}");
        let error = "the host's name resolves to an address that is not public";
        assert_eq!(tried.last_error.as_deref(), Some(error), "{inside}");
        assert_eq!(hooks.script.asked("hooks.example.com"), 2, "once to save it, once to connect");
        hooks.world.sql("DELETE FROM webhook_endpoints").await;
    }
}

#[tokio::test]
async fn a_connection_goes_to_the_very_address_that_was_judged() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let here = vec![address("127.0.0.1")];
    // Whoever looked twice to connect would be led to where nobody listens.
    let elsewhere = vec![address("127.0.0.2")];
    hooks.script.answer("localhost", [here.clone(), here, elsewhere]);
    let url = format!("http://localhost:{}/", receiver.port());
    let made = hooks.create_endpoint(ADMIN, new_endpoint(&url, &["*"])).await.unwrap();
    let id = made.endpoint.unwrap().id;
    let event = hooks.updated(5, 1).await;
    hooks.delivery(id, &event, "delivered").await;
    assert_eq!((hooks.script.asked("localhost"), receiver.received().len()), (2, 1));

    // The next message is a look-up and a connection of its own.
    hooks.script.answer("localhost", [vec![address("127.0.0.1"), address("10.0.0.1")]]);
    let next = hooks.updated(5, 2).await;
    let failed = hooks.delivery(id, &next, "failed").await;
    assert_eq!(
        failed.last_error.as_deref(),
        Some("the host's name resolves to an address that is not public")
    );
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_url_that_came_into_the_database_otherwise_is_judged_all_the_same() {
    let hooks = Hooks::reaching(Reach::Public).await;
    let receiver = Receiver::start().await;
    hooks.script.answer("hooks.example.com", [vec![address("93.184.215.14")]]);
    let made = hooks.create_endpoint(ADMIN, new_endpoint("https://hooks.example.com/", &["*"])).await;
    let id = made.unwrap().endpoint.unwrap().id;
    for url in
        [receiver.url(), format!("https://127.0.0.1:{}/", receiver.port()), "https://10.0.0.1/".to_owned()]
    {
        hooks.world.sql(&format!("UPDATE webhook_endpoints SET url = '{url}'")).await;
        let tried = hooks.test_endpoint(ADMIN, TestEndpointRequest { id }).await.unwrap().delivery.unwrap();
        assert_eq!(tried.status, "dead");
        assert!(tried.last_error.unwrap().starts_with("the URL is not allowed: "), "{url}");
    }
    assert!(receiver.received().is_empty());
}
