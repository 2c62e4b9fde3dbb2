//! One ticket an issue, whoever asks for it and however often: a person by Sentry's issue link, or a route.
