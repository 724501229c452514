//! The notifications service: what users are told in the shop and by mail, and other systems by webhook.
