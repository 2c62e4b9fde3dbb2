//! `switchboard`, the real binary, as its users and a self-hosted Sentry see it. Hermetic: loopback only.
#![allow(clippy::unwrap_used)]

mod components;
mod deliveries;
mod demo;
mod dev;
mod kills;
mod reload;
mod routes;
mod running;
mod samples;
mod schema;
mod starts;
mod tickets;
