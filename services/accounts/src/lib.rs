//! The accounts service: who people are, how they sign in, and what they may ask of their own data.
