//! The whole stack on this machine: `template.yaml`, deployed by `sam` into `MiniStack`, kept running until Ctrl-C.

use anyhow::{Result, bail};
use serde_json::json;
use system_tests::deploy::Stack;
use system_tests::ministack::{ACCESS_KEY, MiniStack, REGION};

use crate::steps::Steps;
use crate::{parts, prerequisites};

const STACK: &str = "switchboard";

/// What Sentry's side of the stack is: the one that `switchboard dev` simulates unless told otherwise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    port: u16,
    sentry_url: String,
    client_id: String,
    client_secret: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 4566,
            sentry_url: "http://127.0.0.1:8787".to_owned(),
            client_id: "local-client-id".to_owned(),
            client_secret: "local-client-secret".to_owned(),
        }
    }
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        for pair in arguments.chunks(2) {
            match pair {
                [name, value] if name == "--port" => options.port = value.parse()?,
                [name, value] if name == "--sentry-url" => options.sentry_url.clone_from(value),
                [name, value] if name == "--client-id" => options.client_id.clone_from(value),
                [name, value] if name == "--client-secret" => options.client_secret.clone_from(value),
                [name] => bail!("{name} needs a value"),
                _ => bail!("there is no option {}", pair[0]),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut steps = Steps::default();
    steps.step("prerequisites", prerequisites::check)?;
    let parts = steps.step("parts", parts::install)?;
    let mut aws = steps.step("MiniStack", || MiniStack::start_on(&parts, options.port))?;
    let stack = steps.step("functions, sam deploy", || {
        let stack = Stack::deploy(&parts, &aws, STACK, &[("SentryBaseUrl", &options.sentry_url)])?;
        stack.fill_app_secret(&json!({
            "client_id": options.client_id,
            "client_secret": options.client_secret,
        }))?;
        stack.allow_private_destinations()?;
        Ok(stack)
    })?;
    println!("{}\n{}", steps.summary(), story(options, &aws, &stack)?);
    drop(stack);
    aws.wait_until_it_ends()
}

fn story(options: &Options, aws: &MiniStack, stack: &Stack<'_>) -> Result<String> {
    let Options { sentry_url, client_id, client_secret, .. } = options;
    let (redirect, webhook, components) = (stack.redirect_url(), stack.webhook_url(), stack.url("/components/"));
    let environment = format!(
        "AWS_ENDPOINT_URL={} AWS_REGION={REGION} AWS_DEFAULT_REGION={REGION} AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={ACCESS_KEY}",
        aws.endpoint()
    );
    Ok(format!(
        "
The stack runs until Ctrl-C.

  Redirect URL  {redirect}
  Webhook URL   {webhook}
  Components    {components} (a real Sentry asks for them at the host alone)
  Sentry        {sentry_url}  (client id {client_id}, client secret {client_secret})
  Log           {log}; the functions' own:
                {environment} aws logs tail /switchboard/{STACK}/webhook

Send it an event:

  SENTRY_CLIENT_SECRET={client_secret} cargo run -- send issue.created --to {webhook}

Put routes into force:

  {environment} SETTINGS_TABLE={settings} \\
    cargo run --features aws -- routes push routes.toml

Fill what the routes call secret:NAME, with any AWS client:

  {environment} \\
    aws secretsmanager put-secret-value --secret-id '{destinations}' --secret-string '{{\"pushover-user\":\"…\",\"pushover-token\":\"…\"}}'
",
        log = aws.log().display(),
        settings = stack.output("SettingsTableName")?,
        destinations = stack.output("DestinationsSecretId")?,
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn options_are_read_and_wrong_ones_named() {
        let parse = |text: &str| Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("").unwrap(), Options::default());
        let options = parse("--port 5000 --sentry-url http://127.0.0.1:9000 --client-id a --client-secret b").unwrap();
        assert_eq!((options.port, options.sentry_url.as_str()), (5000, "http://127.0.0.1:9000"));
        assert_eq!((options.client_id.as_str(), options.client_secret.as_str()), ("a", "b"));
        for (text, complaint) in [
            ("--port", "--port needs a value"),
            ("--prot 5", "there is no option --prot"),
            ("--port no", "invalid digit"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }
}
