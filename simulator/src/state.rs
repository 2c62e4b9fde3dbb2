//! What the simulated Sentry remembers: installations, grant codes, tokens and issues. No I/O, no clock.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use crate::signing::{random_hex, random_uuid, same};

/// Life of a grant code.
pub(crate) const GRANT_LIFETIME: Duration = Duration::from_mins(10);

/// Where an installation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Installed,
    /// Uninstalled. Its tokens stay in the database, as on the real server: that is why they get 403 and not 401.
    Removed,
}

/// Whose app an installation or a client id belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    ThisApp,
    OtherApp,
}

pub(crate) struct Grant {
    pub(crate) code: String,
    pub(crate) made: Timestamp,
    /// An exchange of this code is under way.
    pub(crate) locked: bool,
}

pub(crate) struct Installation {
    pub(crate) uuid: String,
    pub(crate) organization: String,
    pub(crate) status: Status,
    pub(crate) owner: Owner,
    pub(crate) grant: Option<Grant>,
    /// Id of the token that the installation's row names.
    pub(crate) token: Option<u64>,
    /// A manual refresh is under way.
    pub(crate) refreshing: bool,
    /// When the last manual refresh ended.
    pub(crate) refreshed: Option<Timestamp>,
}

/// One row: both tokens live and die together.
pub(crate) struct Token {
    pub(crate) id: u64,
    pub(crate) installation: String,
    pub(crate) access: String,
    /// `None` for the permanent token of an internal integration.
    pub(crate) refresh: Option<String>,
    pub(crate) made: Timestamp,
    pub(crate) expires: Option<Timestamp>,
}

#[derive(Clone)]
pub(crate) struct Issue {
    pub(crate) id: u64,
    pub(crate) short_id: String,
    pub(crate) organization: String,
    pub(crate) project: crate::config::Project,
    pub(crate) title: String,
    pub(crate) culprit: String,
    pub(crate) level: String,
    pub(crate) status: &'static str,
    pub(crate) substatus: Option<&'static str>,
    pub(crate) assigned: Option<crate::events::Assignee>,
    pub(crate) count: u64,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
}

/// How often something succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) exchanges: usize,
    pub(crate) refreshes: usize,
    pub(crate) manual_refreshes: usize,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) installations: BTreeMap<String, Installation>,
    tokens: HashMap<u64, Token>,
    pub(crate) issues: BTreeMap<u64, Issue>,
    /// Of the app's components, checked.
    pub(crate) schema: Option<serde_json::Value>,
    /// By issue: one link for each, of this app.
    pub(crate) external_issues: BTreeMap<u64, crate::components::ExternalIssue>,
    /// Alert rules with the app's action.
    pub(crate) rules: crate::components::Rules,
    pub(crate) counters: Counters,
    last_token: u64,
}

/// What an `Authorization: Bearer` header is worth.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    Unknown,
    Expired,
    /// A token of an installation that was removed.
    Uninstalled,
    /// Of this installation.
    Good(String),
}

impl State {
    /// Makes an installation with a grant code (none for an internal integration); returns its uuid.
    pub(crate) fn install(
        &mut self,
        organization: &str,
        owner: Owner,
        status: Status,
        code_at: Option<Timestamp>,
    ) -> String {
        let uuid = random_uuid();
        let grant = code_at.map(|made| Grant { code: random_hex::<16>(), made, locked: false });
        self.installations.insert(
            uuid.clone(),
            Installation {
                uuid: uuid.clone(),
                organization: organization.to_owned(),
                status,
                owner,
                grant,
                token: None,
                refreshing: false,
                refreshed: None,
            },
        );
        uuid
    }

    /// The installation, unless it was removed.
    pub(crate) fn live(&mut self, uuid: &str) -> Option<&mut Installation> {
        self.installations.get_mut(uuid).filter(|installation| installation.status != Status::Removed)
    }

    /// The live installation of this app in `organization`.
    pub(crate) fn of_organization(&self, organization: &str) -> Option<&Installation> {
        self.installations.values().find(|installation| {
            installation.organization == organization
                && installation.owner == Owner::ThisApp
                && installation.status != Status::Removed
        })
    }

    /// Makes a token pair, and the installation's row name it.
    pub(crate) fn issue_tokens(&mut self, uuid: &str, now: Timestamp, life: Duration) -> Option<&Token> {
        self.last_token += 1;
        let id = self.last_token;
        self.live(uuid)?.token = Some(id);
        let token = Token {
            id,
            installation: uuid.to_owned(),
            access: random_hex::<32>(),
            refresh: Some(random_hex::<32>()),
            made: now,
            expires: Some(now + jiff::SignedDuration::try_from(life).unwrap_or(jiff::SignedDuration::MAX)),
        };
        Some(self.tokens.entry(id).or_insert(token))
    }

    /// Makes a permanent token, as the UI does for an internal integration.
    pub(crate) fn permanent_token(&mut self, uuid: &str, now: Timestamp) -> String {
        self.last_token += 1;
        let access = random_hex::<32>();
        let token = Token {
            id: self.last_token,
            installation: uuid.to_owned(),
            access: access.clone(),
            refresh: None,
            made: now,
            expires: None,
        };
        self.tokens.insert(token.id, token);
        access
    }

    pub(crate) fn delete_token(&mut self, id: u64) {
        self.tokens.remove(&id);
    }

    /// The row that `refresh` belongs to, if it is one of this installation.
    pub(crate) fn by_refresh_token(&self, uuid: &str, refresh: &str) -> Option<u64> {
        let mine = |token: &&Token| {
            token.installation == uuid && token.refresh.as_deref().is_some_and(|stored| same(stored, refresh))
        };
        self.tokens.values().find(mine).map(|token| token.id)
    }

    /// The pair that the installation's row names.
    pub(crate) fn current_token(&self, uuid: &str) -> Option<&Token> {
        self.tokens.get(&self.installations.get(uuid)?.token?)
    }

    /// Ends the life of all access tokens of an installation; their refresh tokens stay good.
    pub(crate) fn expire_tokens(&mut self, uuid: &str, now: Timestamp) {
        for token in self.tokens.values_mut().filter(|token| token.installation == uuid && token.refresh.is_some()) {
            token.expires = Some(now);
        }
    }

    pub(crate) fn bearer(&self, access: &str, now: Timestamp) -> Bearer {
        let Some(token) = self.tokens.values().find(|token| same(&token.access, access)) else {
            return Bearer::Unknown;
        };
        if token.expires.is_some_and(|expires| expires <= now) {
            return Bearer::Expired;
        }
        match self.installations.get(&token.installation) {
            Some(installation) if installation.status != Status::Removed => Bearer::Good(token.installation.clone()),
            _ => Bearer::Uninstalled,
        }
    }
}
