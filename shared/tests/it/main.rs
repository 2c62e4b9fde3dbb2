//! The whole bundle in one process and in virtual time: a simulated Sentry, an in-memory store, the functions between.

#![allow(clippy::unwrap_used)]

mod alert_rules;
mod board;
mod chaos;
mod circuit;
mod components;
mod deliveries;
mod destinations;
mod events;
mod install;
mod installation;
mod own_events;
mod parked;
mod ports;
mod recipes;
mod site;
mod templates;
mod threads;
mod tickets;
mod webhook;
mod world;
