//! Appointments.

use serde_json::json;

use super::Visitor;
use crate::client::{Ask, Who};

impl Visitor {
    pub(super) async fn keep_agenda(&mut self) {
        if !matches!(self.client.who, Who::User(_)) {
            return;
        }
        let viewer = self.client.name();
        if self.client.draw.bool() {
            let reply = self.client.ask(&Ask::get("events", "/api/events?limit=50")).await;
            for event in reply.json.as_array().into_iter().flatten() {
                self.world.seen(&viewer, "events", &format!("event {}", event["id"]));
            }
            self.world.owners_in(&viewer, "events", &reply.json);
            return;
        }
        let (day, hour) = (self.client.draw.u8(1..29), self.client.draw.u8(8..18));
        let body = json!({
            "title": "Degustação",
            "kind": "degustacao",
            "startsAt": format!("2030-01-{day:02}T{hour:02}:00:00.000Z"),
            "endsAt": format!("2030-01-{day:02}T{hour:02}:30:00.000Z"),
            "location": "Rua A, 1",
        });
        let reply = self.client.ask_surely(Ask::post("event", "/api/events", body)).await;
        if let (true, Some(event)) = (reply.is_ok(), reply.json["id"].as_i64()) {
            self.world.belongs(format!("event {event}"), &viewer);
        }
    }
}
