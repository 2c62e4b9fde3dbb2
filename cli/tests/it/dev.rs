//! The page of `dev`: its buttons pressed as a browser does, and `send` beside it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use shared::outgoing::{Reqwest, Roots};
use shared::ports::{Outgoing, Policy};

use crate::running::PATIENCE;

/// A running `dev` and a browser without scripts; killed when it is dropped.
pub(crate) struct Dev {
    child: Child,
    /// Without a slash at the end.
    pub(crate) url: String,
    secret: String,
    data_dir: PathBuf,
    browser: Reqwest,
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Dev {
    /// On a free port; knows what it is told at start.
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// With a recipe of `infra/routes`.
    fn with_recipe(name: &str) -> Self {
        let file = format!("{}/../infra/routes/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        Self::start_with(&["--routes", &file])
    }

    pub(crate) fn start_with(more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchboard"))
            .args(["dev", "--listen", "127.0.0.1:0"])
            .args(more)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let said: Vec<String> = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();
        let after = |word: &str| {
            let (_, rest) =
                said.iter().find_map(|line| line.split_once(word)).unwrap_or_else(|| panic!("{word}: {said:?}"));
            rest.split_whitespace().next().unwrap().to_owned()
        };
        Self {
            url: after("Open ").trim_end_matches('/').to_owned(),
            secret: after("SENTRY_CLIENT_SECRET="),
            data_dir: after("Data ").into(),
            browser: Reqwest::new(&Roots::System { ca_file: None }, true).unwrap(),
            child,
        }
    }

    pub(crate) async fn call(&self, request: http::request::Builder, body: &str) -> Response<String> {
        let policy = Policy { guarded: false, timeout: PATIENCE, max_body_bytes: 1024 * 1024 };
        let response = self.browser.call(request.body(body.to_owned().into()).unwrap(), policy).await.unwrap();
        response.map(|body| String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn get(&self, address: &str) -> Response<String> {
        self.call(Request::get(address), "").await
    }

    /// Sends a form of its own page.
    pub(crate) async fn post(&self, to: &str, form: &str) -> Response<String> {
        let request = Request::post(format!("{}{to}", self.url))
            .header("origin", &self.url)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        self.call(request, form).await
    }

    /// Presses a button of the page; returns the address that it leads to.
    pub(crate) async fn press(&self, button: &str, form: &str) -> String {
        let response = self.post(button, form).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{button}: {}", response.body());
        to(&response)
    }

    /// As a browser that follows to the setup page.
    pub(crate) async fn install(&self) {
        let setup = self.press("/install", "").await;
        assert_eq!(self.get(&setup).await.status(), StatusCode::FOUND);
        self.page_when("verified", |page| page.contains("active, verified, token sealed")).await;
    }

    /// The page, once it is as it should be.
    pub(crate) async fn page_when(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let page = self.get(&format!("{}/", self.url)).await.into_body();
            if is_so(&page) {
                return page;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: {page}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn send(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_switchboard"))
            .arg("send")
            .args(arguments)
            .args(["--to", &format!("{}/webhook", self.url)])
            .env_clear()
            .env("SENTRY_CLIENT_SECRET", &self.secret)
            .output()
            .unwrap()
    }
}

fn to(response: &Response<String>) -> String {
    response.headers()["location"].to_str().unwrap().to_owned()
}

fn rings(page: &str) -> usize {
    page.matches("<div class=card>").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_button_does_what_it_says() {
    let mut dev = Dev::start();
    let home = format!("{}/", dev.url);

    let page = dev.get(&home).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(page.body().contains(">Install</button>") && !page.body().contains(&dev.secret));

    // Install: the setup page, Sentry's settings, and back.
    let setup = dev.press("/install", "").await;
    assert!(setup.starts_with(&format!("{}/setup?code=", dev.url)), "{setup}");
    let response = dev.get(&setup).await;
    assert_eq!(response.status(), StatusCode::FOUND, "{}", response.body());
    let settings = to(&response);
    assert!(settings.contains("/settings/example-org/sentry-apps/"), "{settings}");
    assert_eq!(to(&dev.get(&settings).await), home);
    let page = dev.page_when("verified", |page| page.contains("active, verified, token sealed")).await;
    assert!(!page.contains(">Install</button>") && page.contains("example-org"));

    // Only Backend rings, with the title as text.
    assert_eq!(dev.press("/issue", "project=Frontend&title=Quiet").await, "/");
    dev.press("/issue", "project=Backend&title=%3Cb%3EKaboom%3C%2Fb%3E").await;
    let page = dev.page_when("a ring", |page| rings(page) == 1).await;
    assert!(page.contains("&lt;b&gt;Kaboom&lt;/b&gt;") && !page.contains("<b>Kaboom"), "{page}");
    dev.page_when("the console's", |page| {
        page.matches("<td>everything → console<td><span class=good>sent").count() >= 2
    })
    .await;

    // The alert names no project: it rings because its issue was looked up.
    dev.press("/alert", "issue=2").await;
    let page = dev.page_when("another ring", |page| rings(page) == 2).await;
    assert!(page.contains("GET /api/0/organizations/example-org/issues/2/"), "{page}");

    dev.press("/resolve", "issue=2").await;
    dev.page_when("resolved", |page| page.contains("<td>issue.resolved<td>")).await;

    // Sent twice, it arrives twice.
    for ring in [3, 4] {
        let sent = dev.send(&["issue.created"]);
        let said = String::from_utf8(sent.stdout).unwrap();
        assert!(sent.status.success() && said.contains("202 Accepted"), "{said}");
        dev.page_when("what was sent", |page| rings(page) == ring).await;
    }

    let (_, after) = page.split_once("name=\"installation\" value=\"").unwrap();
    let installation = after.split_once('"').unwrap().0;
    dev.press("/uninstall", &format!("installation={installation}")).await;
    dev.page_when("removed", |page| page.contains("<td>removed<td>removed")).await;

    #[cfg(unix)]
    {
        let pid = dev.child.id().to_string();
        assert!(dev.data_dir.exists());
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(dev.child.wait().unwrap().success(), "a graceful stop is no failure");
        assert!(!dev.data_dir.exists(), "the temporary folder is removed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recipe_works_without_a_secret_and_shows_what_arrives() {
    /// Recipe, presses with their forms, what arrives.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    const NEW: (&str, &str) = ("/issue", "project=Backend&level=fatal&title=%3Cscript%3EKaboom");
    const TITLE: &str = "&lt;script&gt;Kaboom";
    let press = |button| (button, "issue=1");
    let cases: [Case<'_>; 7] = [
        ("example", &[NEW], &["<div class=card>", TITLE]),
        ("backend-to-the-phone", &[NEW, press("/resolve")], &[TITLE, "priority 2, an emergency"]),
        ("discord-per-project", &[NEW, press("/resolve")], &[TITLE, "changed once"]),
        ("mattermost-instead-of-the-legacy-plugin", &[NEW, press("/alert")], &[TITLE, "wakes oncall"]),
        ("mirror-to-eventbridge", &[NEW, press("/comment")], &["<b>issue.created</b>", "<b>comment.created</b>"]),
        (
            "page-on-regression",
            &[NEW, press("/resolve"), press("/regress"), press("/assign"), press("/archive")],
            &["<li>trigger<li>acknowledge", "severity critical", TITLE],
        ),
        ("ui-components", &[NEW], &[TITLE]),
    ];
    for (recipe, presses, expected) in cases {
        let dev = Dev::with_recipe(recipe);
        dev.install().await;
        for (button, form) in presses {
            assert_eq!(dev.press(button, form).await, "/", "{recipe} {button}");
        }
        let arrived = |page: &str| {
            let (_, after) = page.split_once("<h2>Destinations</h2>").unwrap();
            let (shown, _) = after.split_once("<h2>On the wire").unwrap();
            expected.iter().all(|text| shown.contains(text))
        };
        let page = dev.page_when(recipe, arrived).await;
        assert_eq!(page.matches("<script").count(), 1, "{recipe}: only the page's own");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_destination_is_paused_and_the_page_says_so() {
    let dev = Dev::start();
    dev.install().await;
    assert_eq!(dev.press("/condition", "destination=phone&to=failing").await, "/");
    for number in 0..12 {
        dev.press("/issue", &format!("project=Backend&title=Kaboom+{number}")).await;
    }
    let page = dev.page_when("paused", |page| page.contains("<span class=bad>paused since")).await;
    assert!(page.contains("<span class=bad>answers 500</span>") && page.contains("next probe"), "{page}");
    dev.page_when("parked", |page| page.contains("<span class=wait>parked")).await;
    dev.press("/condition", "destination=phone&to=well").await;
    let page = dev.page_when("mended", |page| page.contains(">Break it</button>")).await;
    assert!(!page.contains("answers 500</span>"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_sent_again_by_its_button() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.toml");
    let routes = |user: &str| {
        format!(
            "[[destination]]\nname = \"phone\"\ntype = \"pushover\"\nuser = \"secret:{user}\"\ntoken = \"secret:t\"\n\
             retry = []\n[[route]]\nname = \"all\"\nwhen = {{ event = \"issue.*\" }}\nto = [\"phone\"]\n"
        )
    };
    std::fs::write(&file, routes("first")).unwrap();
    let dev = Dev::start_with(&["--routes", file.to_str().unwrap()]);
    dev.install().await;
    dev.press("/condition", "destination=phone&to=failing").await;
    dev.press("/issue", "project=Backend&title=Kaboom").await;
    let page = dev.page_when("failed", |page| page.contains(">Resend</button>")).await;
    assert_eq!(rings(&page), 0);
    let (_, after) = page.split_once("name=\"delivery\" value=\"").unwrap();
    let delivery = after.split_once('"').unwrap().0.to_owned();

    // New names of secrets come into force with the file; what is another account has not failed.
    std::fs::write(&file, routes("second")).unwrap();
    dev.page_when("the new file", |page| page.contains("secret:second") && page.contains(">Break it</button>")).await;
    assert_eq!(dev.press("/resend", &format!("delivery={delivery}")).await, "/");
    let page = dev.page_when("arrived", |page| rings(page) == 1).await;
    assert!(page.contains("Kaboom") && !page.contains(">Resend</button>"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_site_neither_reads_the_page_nor_presses_a_button() {
    let dev = Dev::start();
    let install = || Request::post(format!("{}/install", dev.url));
    for request in [
        Request::get(format!("{}/", dev.url)).header("host", "rebound.example"),
        install().header("host", "rebound.example"),
        install().header("origin", "https://evil.example"),
        install().header("sec-fetch-site", "cross-site"),
    ] {
        assert_eq!(dev.call(request, "").await.status(), StatusCode::FORBIDDEN);
    }
    let page = dev.get(&format!("{}/", dev.url)).await.into_body();
    assert!(page.contains(">Install</button>"), "nothing was installed");
}

#[test]
fn send_fails_in_one_line_that_says_why() {
    let free = format!("http://127.0.0.1:{}/webhook", crate::running::free_port());
    let cases: [(&str, &[&str], Option<&str>, &str); 5] = [
        ("no secret", &["issue.created"], None, "SENTRY_CLIENT_SECRET is not set"),
        ("nobody listens", &["issue.created", "--to", &free], Some("0123abcd"), "nobody listens at"),
        ("no address", &["issue.created", "--to", "localhost"], Some("0123abcd"), "begins with http://"),
        ("no project", &["error.created", "--project", "Shop"], Some("0123abcd"), "does not name its project"),
        ("a slip", &["issue.creatd"], Some("0123abcd"), "did you mean issue.created?"),
    ];
    for (name, arguments, secret, expected) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.arg("send").args(arguments).env_clear();
        if let Some(secret) = secret {
            command.env("SENTRY_CLIENT_SECRET", secret);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.lines().next().unwrap().contains(expected), "{name}: {said}");
    }
}
