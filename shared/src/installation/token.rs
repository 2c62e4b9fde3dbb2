//! An access token for a call, on demand.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{Keeper, KeeperError, Renewal, TOKEN_TIMEOUT};
use crate::ids::InstallationId;
use crate::ports::{Platform, Status};
use crate::sentry::{ApiError, Issue, Link, NoAnswer, PathForm};

/// There is no token to call with now.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    /// It has none yet: the install may still be under way.
    #[error("the installation has no token yet")]
    NotYet,
    #[error("the installation is removed")]
    Removed,
    /// The schedule, or its next event, tries to win it back; a look-up does not wait for that.
    #[error("the installation needs a reinstall")]
    NeedsReinstall,
    #[error("the token could not be renewed")]
    NotRenewed,
    #[error(transparent)]
    Keeper(#[from] KeeperError),
}

/// Why an issue could not be read, or not be linked.
#[derive(Debug, thiserror::Error)]
pub enum NoIssue {
    #[error(transparent)]
    Token(#[from] NoToken),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("the issue is linked to {0} already, and Sentry keeps one link of an app")]
    LinkedElsewhere(String),
}

impl NoIssue {
    /// Whether trying again later gets the same answer.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Token(NoToken::Removed | NoToken::NeedsReinstall)
                | Self::Api(ApiError::Forbidden | ApiError::NotFound | ApiError::BadIssueId)
                | Self::LinkedElsewhere(_)
        )
    }
}

/// One call for an issue.
const ISSUE_TIMEOUT: Duration = Duration::from_secs(8);

impl<P: Platform> Keeper<P> {
    /// A token that has not expired: the stored one, else a new one. `not` is one that Sentry has just refused: the
    /// store is read again, and only if it still holds that very one it is renewed.
    async fn token(
        &self,
        id: InstallationId,
        not: Option<&SecretString>,
    ) -> Result<(SecretString, Option<String>), NoToken> {
        if let Some(token) = self.app().await.map_err(KeeperError::from)?.api_token.clone() {
            let organization = self.read(id).await.map_err(KeeperError::from)?.and_then(|row| row.organization);
            return Ok((token, organization));
        }
        let row = self.read(id).await.map_err(KeeperError::from)?.ok_or(NoToken::NotYet)?;
        if row.status == Status::Removed {
            return Err(NoToken::Removed);
        }
        let needs_reinstall = row.status == Status::NeedsReinstall;
        let sealed =
            row.tokens.as_ref().ok_or(if needs_reinstall { NoToken::NeedsReinstall } else { NoToken::NotYet })?;
        if row.has_usable_token(self.now()) {
            match self.open(id, sealed).await {
                Ok(tokens) if not.is_none_or(|refused| refused.expose_secret() != tokens.access.expose_secret()) => {
                    return Ok((tokens.access, row.organization));
                }
                Ok(_) => {}
                // A manual refresh needs no stored token.
                Err(KeeperError::Seal(error)) => {
                    tracing::error!(installation.id = %id, "the tokens are {error}: they are won back");
                }
                Err(error) => return Err(error.into()),
            }
        }
        if needs_reinstall {
            return Err(NoToken::NeedsReinstall);
        }
        match self.renew(id, TOKEN_TIMEOUT).await? {
            Renewal::Renewed(row, tokens) => Ok((tokens.access, row.organization)),
            Renewal::Removed => Err(NoToken::Removed),
            Renewal::Failed(..) | Renewal::Held(_) => Err(NoToken::NotRenewed),
        }
    }

    /// The stored access token, whatever its age.
    pub async fn stored_token(&self, id: InstallationId) -> Result<Option<SecretString>, KeeperError> {
        match self.read(id).await?.and_then(|row| row.tokens) {
            Some(sealed) => Ok(Some(self.open(id, &sealed).await?.access)),
            None => Ok(None),
        }
    }

    /// Links an issue to a ticket, once: what is linked to it already is no error.
    pub(crate) async fn link(&self, id: InstallationId, link: &Link<'_>) -> Result<(), NoIssue> {
        let (mut token, organization) = self.token(id, None).await?;
        let mut answer = self.sentry().link(id, link, &token, ISSUE_TIMEOUT).await;
        if matches!(answer, Err(ApiError::TokenExpiredOrInvalid)) {
            token = self.token(id, Some(&token)).await?.0;
            answer = self.sentry().link(id, link, &token, ISSUE_TIMEOUT).await;
        }
        // What Sentry says of a second link, also of the same one.
        if matches!(answer, Err(ApiError::Unavailable(NoAnswer::Status(500)))) {
            let links = self.sentry().links(organization.as_deref(), link.issue, &token, ISSUE_TIMEOUT).await?;
            if links.iter().any(|known| known.url.as_deref() == Some(link.url)) {
                return Ok(());
            }
            let row = self.read(id).await.map_err(|error| NoToken::from(KeeperError::from(error)))?;
            let app = row.and_then(|row| row.app);
            if let Some(other) = links.into_iter().find(|known| app.is_some() && known.app == app) {
                return Err(NoIssue::LinkedElsewhere(other.url.unwrap_or_else(|| "another ticket".to_owned())));
            }
        }
        Ok(answer?)
    }

    /// Reads an issue with the installation's token. A 401 reads the store again, renews only if that did not help, and
    /// tries once more.
    ///
    /// `organization` is the slug that the event itself names; the stored one comes first.
    pub async fn issue(
        &self,
        id: InstallationId,
        issue: &str,
        organization: Option<&str>,
        form: PathForm,
    ) -> Result<Issue, NoIssue> {
        let (token, stored) = self.token(id, None).await?;
        let organization = stored.or(organization.map(str::to_owned)).filter(|_| form == PathForm::Organization);
        match self.sentry().issue(organization.as_deref(), issue, &token, ISSUE_TIMEOUT).await {
            Err(ApiError::TokenExpiredOrInvalid) => {
                let (token, _) = self.token(id, Some(&token)).await?;
                Ok(self.sentry().issue(organization.as_deref(), issue, &token, ISSUE_TIMEOUT).await?)
            }
            result => Ok(result?),
        }
    }
}
