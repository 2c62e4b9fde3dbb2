//! A verified webhook came from an installation that has no tokens here.

use super::{Budget, Keeper, KeeperError, Renewal};
use crate::ids::InstallationId;
use crate::ports::{Platform, Status};

impl<P: Platform> Keeper<P> {
    /// Records an installation that a verified webhook came from, or wins its tokens back: by the permanent token of an
    /// internal integration, else by the manual refresh, at most once a minute.
    pub(crate) async fn meet(&self, id: InstallationId, budget: Budget) -> Result<(), KeeperError> {
        if let Some(token) = self.app().await?.api_token.clone() {
            self.update(id, |row, _| {
                let is_new = row.status != Status::Removed && row.status != Status::Active;
                is_new.then(|| row.active_by_permanent_token())
            })
            .await?;
            // Tells nothing new to Sentry, but its answer tells whose installation this is.
            let _ = self.verify(id, &token, budget.verify_timeout).await?;
            return Ok(());
        }
        if !budget.allows_exchange(self.now()) {
            return Ok(());
        }
        let mut is_time = false;
        self.update(id, |row, now| {
            if row.status == Status::Removed || row.tokens.is_some() {
                return None;
            }
            is_time = row.seen_without_tokens(now);
            is_time.then_some(())
        })
        .await?;
        if !is_time {
            return Ok(());
        }
        if let Renewal::Renewed(_, tokens) = self.renew(id, budget.token_timeout).await? {
            tracing::info!(installation.id = %id, "won back by a manual refresh");
            let timeout = budget.verify_timeout.min(budget.left(self.now()));
            let _ = self.verify(id, &tokens.access, timeout).await?;
        }
        Ok(())
    }
}
