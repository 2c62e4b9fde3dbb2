//! What the stand-ins for destinations have in common: a clock, a way to wait, faults in a row.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jiff::Timestamp;

use crate::config::{Clock, Sleep};
use crate::faults::{Disturbed, Fault, Wait};
use crate::server::{Answer, disturbed};
use crate::simulator::locked;

const RESET_HEADER: &str = "x-ratelimit-reset";

/// Carries a call out in a task of its own: what it did is kept also when its sender has hung up.
pub(crate) async fn in_own_task(carried_out: impl Future<Output = Response> + Send + 'static) -> Response {
    tokio::spawn(carried_out).await.unwrap_or_else(|_| Answer::internal_error().into_response())
}

/// To a call that is longer than any of an app.
pub(crate) fn too_large() -> Response {
    (StatusCode::PAYLOAD_TOO_LARGE, "payload too large").into_response()
}

pub(crate) struct StandIn {
    clock: Clock,
    sleep: Sleep,
    faults: Mutex<VecDeque<Fault>>,
}

impl StandIn {
    pub(crate) fn new(clock: Clock, sleep: Sleep) -> Self {
        Self { clock, sleep, faults: Mutex::default() }
    }

    /// On the computer's own time.
    pub(crate) fn in_real_time() -> Self {
        Self::new(Arc::new(Timestamp::now), Arc::new(|wait| Box::pin(tokio::time::sleep(wait))))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(crate) fn fail_next(&self, times: usize, fault: &Fault) {
        locked(&self.faults).extend(std::iter::repeat_n(fault.clone(), times));
    }

    /// `carry_out`, disturbed by the fault whose turn it is.
    pub(crate) async fn answered(&self, carry_out: impl FnOnce() -> Response) -> Response {
        let refuse = |status, wait| {
            let refused = Disturbed::Refused { status, wait, html: false };
            disturbed(&refused, self.now(), RESET_HEADER)
        };
        self.answered_or(carry_out, refuse).await
    }

    /// [`Self::answered`], with a refusal in the far side's own words.
    pub(crate) async fn answered_or(
        &self,
        carry_out: impl FnOnce() -> Response,
        refuse: impl FnOnce(u16, Option<Wait>) -> Response,
    ) -> Response {
        let fault = locked(&self.faults).pop_front();
        let Some(Fault { delay, answer }) = fault else { return carry_out() };
        (self.sleep)(delay).await;
        match answer {
            Disturbed::No => carry_out(),
            Disturbed::Refused { status, wait, html: false } => refuse(status, wait),
            Disturbed::Refused { .. } => disturbed(&answer, self.now(), RESET_HEADER),
            Disturbed::Replaced { .. } | Disturbed::Cut => {
                carry_out();
                disturbed(&answer, self.now(), RESET_HEADER)
            }
        }
    }
}
