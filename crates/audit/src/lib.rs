//! What staff did, in a chain of hashes.
