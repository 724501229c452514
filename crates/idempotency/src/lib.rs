//! Requests that are repeated and done once.
