//! tag-cache
