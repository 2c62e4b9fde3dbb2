//! Chromium, driven over `WebDriver` (<https://www.w3.org/TR/webdriver2/>): as much of it as a test of a page needs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::http;
use crate::parts::workspace;
use crate::server::{Server, free_port, scratch};

/// What does not come about within this time does not come about.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// By which the answers name an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// It speaks to nobody but this machine.
const ARGUMENTS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// One window of a fresh profile. Closed when dropped.
#[derive(Debug)]
pub struct Browser {
    session: String,
    folder: PathBuf,
    _driver: Server,
}

impl Browser {
    pub fn start() -> Result<Self> {
        let folder = scratch(&workspace().join("target/parts"), "browser")?;
        let port = free_port()?;
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let driver = Server::start(&command, port, &folder.join("chromedriver.log"))
            .context("chromedriver did not start: apt-get install chromium chromium-driver")?;
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", folder.join("profile").display()));
        let wanted = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        });
        let base = format!("http://127.0.0.1:{port}/session");
        let answer = ask("POST", &base, &json!({ "capabilities": { "alwaysMatch": wanted } }))?;
        let id = answer["sessionId"].as_str().context("chromedriver gives no session")?;
        Ok(Self { session: format!("{base}/{id}"), folder, _driver: driver })
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        ask("POST", &format!("{}{path}", self.session), body)
    }

    fn get(&self, path: &str) -> Result<Value> {
        ask("GET", &format!("{}{path}", self.session), &Value::Null)
    }

    /// Goes to an address, and waits until the page is there.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("/url", &json!({ "url": url })).map(drop)
    }

    /// Where it is.
    pub fn url(&self) -> Result<String> {
        Ok(self.get("/url")?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until it is there, also where that page does not answer.
    pub fn wait_for_url(&self, url: &str) -> Result<()> {
        let until = Instant::now() + LIMIT;
        loop {
            let here = self.url()?;
            if here == url {
                return Ok(());
            }
            if Instant::now() >= until {
                bail!("it is at {here}, not at {url}");
            }
            thread::sleep(POLL);
        }
    }

    /// What a function's body returns in the page.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until the expression is true in the page; its value. What is not there yet is an error to the expression, so
    /// errors are waited out too.
    ///
    /// # Errors
    /// If it is not within half a minute: with what the page says then.
    pub fn wait_for(&self, expression: &str) -> Result<Value> {
        let script = format!("return {expression};");
        let until = Instant::now() + LIMIT;
        loop {
            let last = match self.run(&script) {
                Ok(value) if !matches!(value, Value::Null | Value::Bool(false)) => return Ok(value),
                Ok(_) => "it is not".to_owned(),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= until {
                let page = self.run("return location.href + '\\n' + document.body.innerText;").unwrap_or_default();
                bail!("waited in vain for {expression}: {last}\n{}", page.as_str().unwrap_or_default());
            }
            thread::sleep(POLL);
        }
    }

    /// The element that the selector names, once there is one.
    fn element(&self, selector: &str) -> Result<String> {
        self.wait_for(&format!("document.querySelector({}) !== null", json!(selector)))?;
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }))?;
        Ok(found[ELEMENT].as_str().context("no element")?.to_owned())
    }

    /// Does it again where the page has replaced the element in the meantime, as a page that refreshes itself does.
    fn on(&self, selector: &str, act: impl Fn(&str) -> Result<()>) -> Result<()> {
        let until = Instant::now() + LIMIT;
        loop {
            match act(&self.element(selector)?) {
                Err(error) if error.to_string().contains("stale element") && Instant::now() < until => {}
                done => return done.with_context(|| selector.to_owned()),
            }
        }
    }

    pub fn click(&self, selector: &str) -> Result<()> {
        self.on(selector, |element| self.post(&format!("/element/{element}/click"), &json!({})).map(drop))
    }

    /// Two clicks at one place, as fast as a mouse can.
    pub fn double_click(&self, selector: &str) -> Result<()> {
        self.on(selector, |element| {
            // Actions do not scroll by themselves.
            let element = json!({ ELEMENT: element });
            let script = "arguments[0].scrollIntoView({ block: 'center' });";
            self.post("/execute/sync", &json!({ "script": script, "args": [element] }))?;
            let (down, up) =
                (json!({ "type": "pointerDown", "button": 0 }), json!({ "type": "pointerUp", "button": 0 }));
            let to = json!({ "type": "pointerMove", "origin": element, "x": 0, "y": 0 });
            let mouse = json!({ "type": "pointer", "id": "mouse", "actions": [to, down, up, down, up] });
            self.post("/actions", &json!({ "actions": [mouse] })).map(drop)
        })
    }

    /// Types into a field, in the place of what is there.
    pub fn type_into(&self, selector: &str, text: &str) -> Result<()> {
        self.on(selector, |element| {
            self.post(&format!("/element/{element}/clear"), &json!({}))?;
            self.post(&format!("/element/{element}/value"), &json!({ "text": text })).map(drop)
        })
    }

    /// Picks the option of a select by what it reads, once it is offered.
    pub fn pick(&self, select: &str, label: &str) -> Result<()> {
        let find = format!(
            "[...document.querySelector({}).options].find((option) => option.text.includes({}))",
            json!(select),
            json!(label)
        );
        // Not by its value: that may be its text alone.
        let place = self.wait_for(&format!("{find}.index + 1"))?;
        self.click(&format!("{select} option:nth-child({place})"))
    }

    /// Waits for a second window and looks at it.
    pub fn switch_to_new_window(&self) -> Result<()> {
        let here = self.get("/window")?;
        let until = Instant::now() + LIMIT;
        loop {
            let all = self.get("/window/handles")?;
            if let Some(other) = all.as_array().into_iter().flatten().find(|handle| **handle != here) {
                return self.post("/window", &json!({ "handle": other })).map(drop);
            }
            if Instant::now() >= until {
                bail!("no window was opened");
            }
            thread::sleep(POLL);
        }
    }

    /// Closes this window and goes back to the one that is left.
    pub fn close_window(&self) -> Result<()> {
        let left = ask("DELETE", &format!("{}/window", self.session), &Value::Null)?;
        self.post("/window", &json!({ "handle": left[0] })).map(drop)
    }

    /// What pages wrote to the console so far as an error: a script that broke, or something that a policy refused.
    pub fn errors(&self) -> Result<Vec<String>> {
        let all = self.post("/se/log", &json!({ "type": "browser" }))?;
        let severe = all.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        Ok(severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ask("DELETE", &self.session, &Value::Null);
        // A failed test leaves the driver's log.
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The `value` of the answer.
fn ask(method: &str, address: &str, body: &Value) -> Result<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = http::request(method, address, &[("Content-Type", "application/json")], body.as_bytes())?;
    let (_, text) = answer.text.split_once("\r\n\r\n").context("the answer has no body")?;
    let mut answered: Value = serde_json::from_str(text).context("chromedriver answers no JSON")?;
    let value = answered["value"].take();
    if answer.status != 200 {
        bail!("{}: {}", value["error"].as_str().unwrap_or_default(), value["message"].as_str().unwrap_or_default());
    }
    Ok(value)
}
