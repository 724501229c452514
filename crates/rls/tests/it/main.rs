//! What the door to the database promises, on a real PostgreSQL.

mod app;
mod assertions;
mod cancellation;
mod cluster;
mod commit;
mod deadlines;
mod identity;
mod verifier;
