//! The cached reads of a signed-in user's own: keys S37 to S40, lifetimes S21 to S26, tags S30 to S32.
//!
//! A key need not name the user, since every such entry has an owner ([`tag_cache::Lookup::owner`]): the same
//! `event:5` asked by two users is two entries.

use std::fmt::Write;
use std::time::Duration;

use events::tags;
use rls::UserId;
use tag_cache::{Class, Tag};

use super::path_id;
use crate::error::Error;
use crate::pages::{EventFilter, Pages, ROLES, SPECIALTIES};
use crate::query::Query;
use crate::routes::Route;

/// A read that only its owner's requests may be answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Personal {
    /// Whose.
    pub user: UserId,
    /// What.
    pub question: Question,
    /// How the answer looks on this path. Not part of the key: one entry answers in every form.
    pub form: Form,
}

/// What a user asks of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Name, address of mail, language.
    Profile,
    /// Addresses for parcels.
    Addresses,
    /// A page of the agenda.
    Events {
        /// Where.
        pages: Pages,
        /// Which.
        filter: EventFilter,
    },
    /// One event.
    Event {
        /// Which.
        id: i64,
    },
    /// The agenda as an iCalendar.
    EventCalendar,
    /// A page of coffee masters.
    Professionals {
        /// Where.
        pages: Pages,
        /// Only these.
        specialty: Option<&'static str>,
    },
    /// One coffee master.
    Professional {
        /// Which.
        id: i64,
    },
    /// A page of cupping reports.
    Reports {
        /// Where.
        pages: Pages,
        /// Sent or received; absent: both.
        role: Option<&'static str>,
    },
    /// One report.
    Report {
        /// Which.
        id: i64,
    },
    /// A page of notifications.
    Notifications {
        /// Where.
        pages: Pages,
        /// Whether those already read are left out.
        shown: Shown,
    },
    /// How the user wants to be told.
    NotificationPreferences,
}

/// Which notifications a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All.
    All,
    /// Unread ones.
    Unread,
}

/// How an entry becomes an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Its body as it is.
    Whole,
    /// The same; the facts of a list in headers.
    Bare,
    /// Its body as this member of the envelope; the facts of a list beside it.
    Data(&'static str),
}

const EVENTS_LIST: Duration = Duration::from_secs(300);
const EVENT_DETAIL: Duration = Duration::from_secs(600);
const PROFESSIONALS: Duration = Duration::from_secs(900);
const USER_PROFILE: Duration = Duration::from_secs(1800);
const ADDRESSES: Duration = Duration::from_secs(900);
const NOTIFICATIONS: Duration = Duration::from_secs(60);
const PREFERENCES: Duration = Duration::from_secs(1800);
const REPORTS: Duration = Duration::from_secs(300);

impl Personal {
    /// Reads path segment and query of a user's own cached route; `None` when the route is none.
    pub fn parse(route: Route, segment: &str, query: &str, user: UserId) -> Result<Option<Self>, Error> {
        let mut query = Query::parse(query)?;
        let (question, form) = match route {
            Route::Me => (Question::Profile, Form::Whole),
            Route::MyAddresses => (Question::Addresses, Form::Whole),
            Route::Events => (events(&mut query)?, Form::Bare),
            Route::AgendaEvents => (events(&mut query)?, Form::Data("events")),
            Route::Event => (Question::Event { id: path_id(segment)? }, Form::Bare),
            Route::AgendaEvent => (Question::Event { id: path_id(segment)? }, Form::Data("event")),
            Route::EventCalendar | Route::AgendaEventCalendar => (Question::EventCalendar, Form::Whole),
            Route::Professionals => (professionals(&mut query)?, Form::Bare),
            Route::AgendaProfessionals => (professionals(&mut query)?, Form::Data("professionals")),
            Route::Professional => (Question::Professional { id: path_id(segment)? }, Form::Bare),
            Route::AgendaProfessional => {
                (Question::Professional { id: path_id(segment)? }, Form::Data("professional"))
            }
            Route::Reports => (reports(&mut query)?, Form::Bare),
            Route::AgendaReports => (reports(&mut query)?, Form::Data("reports")),
            Route::Report => (Question::Report { id: path_id(segment)? }, Form::Bare),
            Route::AgendaReport => (Question::Report { id: path_id(segment)? }, Form::Data("report")),
            Route::Notifications => (notifications(&mut query)?, Form::Bare),
            Route::MyNotifications => (notifications(&mut query)?, Form::Data("notifications")),
            Route::NotificationPreferences => (Question::NotificationPreferences, Form::Data("preferences")),
            _ => return Ok(None),
        };
        query.finish()?;
        Ok(Some(Self { user, question, form }))
    }

    /// Writes the canonical key.
    pub(super) fn key(&self, key: &mut String) -> std::fmt::Result {
        let UserId(user) = self.user;
        match &self.question {
            Question::Profile => write!(key, "profile:user:{user}"),
            Question::Addresses => write!(key, "addresses:user:{user}"),
            Question::Events { pages: Pages { page, limit }, filter } => {
                write!(key, "events:user:{user}:page:{page}:limit:{limit}")?;
                filter.pairs(|name, value| write!(key, ":{name}:{value}"))
            }
            Question::Event { id } => write!(key, "event:{id}"),
            Question::EventCalendar => write!(key, "events:user:{user}:ics"),
            Question::Professionals { pages, specialty } => {
                write!(key, "professionals:user:{user}")?;
                pages.unusual(key)?;
                specialty.map_or(Ok(()), |specialty| write!(key, ":specialty:{specialty}"))
            }
            Question::Professional { id } => write!(key, "professional:{id}"),
            Question::Reports { pages: Pages { page, limit }, role } => {
                let role = role.unwrap_or("any");
                write!(key, "reports:user:{user}:role:{role}:page:{page}:limit:{limit}")
            }
            Question::Report { id } => write!(key, "report:{id}"),
            Question::Notifications { pages, shown } => {
                write!(key, "notifications:user:{user}")?;
                pages.unusual(key)?;
                key.write_str(if *shown == Shown::Unread { ":unread:true" } else { "" })
            }
            Question::NotificationPreferences => write!(key, "notifprefs:user:{user}"),
        }
    }

    /// Name for the shared store, tolerance and lifetime.
    pub(super) const fn rules(&self) -> (&'static str, Class, Duration) {
        match &self.question {
            Question::Profile => ("profile", Class::Bounded, USER_PROFILE),
            Question::Addresses => ("addresses", Class::Bounded, ADDRESSES),
            Question::Events { .. } => ("events", Class::Bounded, EVENTS_LIST),
            Question::Event { .. } => ("event", Class::Bounded, EVENT_DETAIL),
            Question::EventCalendar => ("calendar", Class::Bounded, EVENTS_LIST),
            Question::Professionals { .. } => ("professionals", Class::Bounded, PROFESSIONALS),
            Question::Professional { .. } => ("professional", Class::Bounded, PROFESSIONALS),
            Question::Reports { .. } => ("reports", Class::Bounded, REPORTS),
            Question::Report { .. } => ("report", Class::Bounded, REPORTS),
            Question::Notifications { .. } => ("notifications", Class::Bounded, NOTIFICATIONS),
            Question::NotificationPreferences => ("preferences", Class::Bounded, PREFERENCES),
        }
    }

    /// The tags that follow from the question alone.
    pub(super) fn tags(&self) -> Vec<String> {
        let UserId(user) = self.user;
        match &self.question {
            Question::Profile => vec![tags::profile_user(user)],
            Question::Addresses => vec![tags::addresses_user(user)],
            Question::Events { .. } | Question::EventCalendar => vec![tags::events_user(user)],
            Question::Event { id } => vec![tags::events_user(user), tags::event(*id)],
            Question::Professionals { .. } | Question::Professional { .. } => {
                vec![tags::professionals_user(user)]
            }
            Question::Reports { .. } => vec![tags::reports_user(user)],
            Question::Report { id } => vec![tags::reports_user(user), tags::report(*id)],
            Question::Notifications { .. } => vec![tags::notifications_user(user)],
            Question::NotificationPreferences => vec![tags::notification_preferences_user(user)],
        }
    }

    /// The service that answers it, as assertions name it.
    pub fn service(&self) -> &'static str {
        match &self.question {
            Question::Profile | Question::Addresses => "accounts",
            Question::Notifications { .. } | Question::NotificationPreferences => "notifications",
            Question::Events { .. }
            | Question::Event { .. }
            | Question::EventCalendar
            | Question::Professionals { .. }
            | Question::Professional { .. }
            | Question::Reports { .. }
            | Question::Report { .. } => "agenda",
        }
    }

    /// The path and query, without page and limit, of the list that this is a page of: for links to other
    /// pages. The query begins with `&` unless it is empty.
    pub fn list(&self) -> Option<(&'static str, String)> {
        let mut query = String::new();
        let route = match &self.question {
            Question::Events { filter, .. } => {
                // Writing to a `String` cannot fail; colons and digits need no escape in a query.
                let _ = filter.pairs(|name, value| write!(query, "&{name}={value}"));
                Route::Events
            }
            Question::Professionals { specialty, .. } => {
                query.extend(specialty.map(|specialty| format!("&specialty={specialty}")));
                Route::Professionals
            }
            Question::Reports { role, .. } => {
                query.extend(role.map(|role| format!("&role={role}")));
                Route::Reports
            }
            Question::Notifications { shown, .. } => {
                query.push_str(if *shown == Shown::Unread { "&unread=true" } else { "" });
                Route::Notifications
            }
            _ => return None,
        };
        Some((route.spec().template, query))
    }
}

/// The tags of both people whom a report concerns, once the answer says who they are: when one of them leaves,
/// what the other sees changes.
pub fn reported(people: impl IntoIterator<Item = i64>, found: &mut Vec<Tag>) {
    found.extend(people.into_iter().map(|user| Tag::of(&tags::reports_user(user))));
}

fn events(query: &mut Query<'_>) -> Result<Question, Error> {
    Ok(Question::Events { pages: Pages::take(query)?, filter: EventFilter::take(query)? })
}

fn professionals(query: &mut Query<'_>) -> Result<Question, Error> {
    let specialty = query.choice("specialty", &SPECIALTIES.map(|name| (name, name)))?;
    Ok(Question::Professionals { pages: Pages::take(query)?, specialty })
}

fn reports(query: &mut Query<'_>) -> Result<Question, Error> {
    let role = query.choice("role", &ROLES.map(|name| (name, name)))?;
    Ok(Question::Reports { pages: Pages::take(query)?, role })
}

fn notifications(query: &mut Query<'_>) -> Result<Question, Error> {
    let shown = query.choice("unread", &[("true", Shown::Unread), ("false", Shown::All)])?;
    Ok(Question::Notifications { pages: Pages::take(query)?, shown: shown.unwrap_or(Shown::All) })
}
