//! Installations: exchanged once, kept alive, won back, removed.
//!
//! [`life`] is the state machine over one row; [`Keeper`] reads and writes rows and calls Sentry's token endpoint.
//! Sentry's refresh token works once, so a lost answer would lock us out. Hence the order: take the lease (a write on
//! the condition of `version`), call, store the new pair on the same condition. What cannot be stored is won back with
//! the manual refresh, which needs no stored token.

mod install;
mod keeper;
pub mod life;
mod meet;
mod token;

pub use install::{Budget, Install};
pub(crate) use install::{TOKEN_TIMEOUT, VERIFY_TIMEOUT};
pub use keeper::{Keeper, KeeperError, Renewal};
pub use token::{NoIssue, NoToken};
