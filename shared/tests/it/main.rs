//! The whole bundle in one process and in virtual time: a simulated Sentry, an in-memory store, the functions between.

#![allow(clippy::unwrap_used)]

mod chaos;
mod deliveries;
mod destinations;
mod events;
mod install;
mod installation;
mod ports;
mod templates;
mod webhook;
mod world;
