//! iCalendar as RFC 5545 wants it, to the octet.

use gateway::handlers::agenda::calendar::calendar;
use proptest::prelude::*;
use prost_types::Timestamp;
use proto::agenda::v1::{Event, ProfessionalRef};

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 999_000_000 })
}

fn event() -> Event {
    Event {
        id: 5,
        title: "Cupping".to_owned(),
        kind: "cupping".to_owned(),
        starts_at: at(1_777_723_200),
        ends_at: at(1_777_726_800),
        status: "scheduled".to_owned(),
        version: 3,
        created_at: at(1_777_000_000),
        ..Event::default()
    }
}

/// The lines of RFC 5545, 3.1, unfolded, each of them checked.
fn lines(text: &str) -> Vec<String> {
    assert!(text.ends_with("\r\n"));
    let mut lines: Vec<String> = Vec::new();
    for line in text.trim_end_matches("\r\n").split("\r\n") {
        assert!(line.len() <= 75, "{} octets: {line}", line.len());
        assert!(!line.contains(['\r', '\n']), "{line:?}");
        match line.strip_prefix(' ') {
            Some(rest) => lines.last_mut().expect("a line before").push_str(rest),
            None => lines.push(line.to_owned()),
        }
    }
    lines
}

#[test]
fn an_event_is_a_component_with_its_times_in_utc() {
    let with = ProfessionalRef { id: None, name: "Helena, Q".to_owned(), specialty: "q_grader".to_owned() };
    let full = Event {
        location: Some("Loja; fundos".to_owned()),
        description: Some("um\r\ndois\ntrês\\".to_owned()),
        professional: Some(with),
        ..event()
    };
    let expected = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Mestres Café//Agenda//PT",
        "CALSCALE:GREGORIAN",
        "BEGIN:VEVENT",
        "UID:event-5@mestrescafe.com",
        "DTSTAMP:20260424T030640Z",
        "CREATED:20260424T030640Z",
        "SEQUENCE:2",
        "DTSTART:20260502T120000Z",
        "DTEND:20260502T130000Z",
        "SUMMARY:Cupping",
        "CATEGORIES:cupping",
        "LOCATION:Loja\\; fundos",
        "DESCRIPTION:um\\ndois\\ntrês\\\\",
        "CONTACT:Helena\\, Q",
        "STATUS:CONFIRMED",
        "END:VEVENT",
        "END:VCALENDAR",
    ];
    let text = calendar(std::slice::from_ref(&full));
    assert_eq!(lines(&text), expected);
    // The same agenda is the same text: its entity tag stays.
    assert_eq!(calendar(&[full]), text);
    let cancelled = calendar(&[Event { status: "cancelled".to_owned(), ..event() }]);
    assert!(lines(&cancelled).contains(&"STATUS:CANCELLED".to_owned()));
    assert_eq!(lines(&calendar(&[])).len(), 5);
}

#[test]
fn long_lines_are_folded_between_characters() {
    let title = "é☕".repeat(100);
    let text = calendar(&[Event { title: title.clone(), ..event() }]);
    assert!(lines(&text).contains(&format!("SUMMARY:{title}")));
    // A line of exactly 75 octets is not folded.
    let exact = "x".repeat(75 - "SUMMARY:".len());
    assert!(
        calendar(&[Event { title: exact.clone(), ..event() }]).contains(&format!("\r\nSUMMARY:{exact}\r\n"))
    );
}

proptest! {
    #[test]
    fn no_text_breaks_out_of_its_line(title in any::<String>(), description in any::<String>()) {
        let text = calendar(&[Event { title, description: Some(description), ..event() }]);
        let lines = lines(&text);
        let names = ["SUMMARY:", "DESCRIPTION:"];
        for name in names {
            prop_assert_eq!(lines.iter().filter(|line| line.starts_with(name)).count(), 1);
        }
        prop_assert_eq!(lines.len(), 17);
    }
}
