//! What `template.yaml` promises, read from the file itself: rights, time-outs, queues, mappings, tables, secrets.
//!
//! No local stand-in enforces any of this, so a slip here would first be seen on AWS.

mod document;
mod functions;
mod queues;
mod stack;
