//! The agenda service: coffee masters, events held with them, and cupping reports.
