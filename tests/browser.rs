//! What people do with the components, in a browser: in `switchboard dev`, whose simulated Sentry signs what it sends and
//! judges the answers as the real one does.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use system_tests::browser::Browser;
use system_tests::dev::Dev;
use system_tests::http;

/// An installed integration, and that many issues of Backend.
fn installed(browser: &Browser, dev: &Dev, titles: &[&str]) {
    browser.open(&dev.url("/")).unwrap();
    browser.click("form[action='/install'] button").unwrap();
    browser.wait_for("document.querySelector('#sentry').innerText.includes('verified')").unwrap();
    // Shown anew from here on: what came in late would move the buttons away from under the mouse.
    browser.open(&dev.url("/")).unwrap();
    for (number, title) in titles.iter().enumerate() {
        browser.type_into("form[action='/issue'] input[name=title]", title).unwrap();
        browser.click("form[action='/issue'] button").unwrap();
        browser
            .wait_for(&format!("document.querySelector('a[href=\"/sentry/issues/{}\"]') !== null", number + 1))
            .unwrap();
    }
}

/// What the form says of each press, once all are answered.
fn answers(browser: &Browser, form: &str, count: usize) -> Vec<String> {
    let all = format!("[...document.querySelectorAll('#{form} .answers li')].map((said) => said.textContent)");
    let done = browser.wait_for(&format!("((all) => all.length === {count} && !all.includes('…') && all)({all})"));
    serde_json::from_value(done.unwrap()).unwrap()
}

/// Titles of what arrived at a destination or tracker, as the page shows it.
fn cards(name: &str) -> String {
    let place = format!(
        "[...document.querySelectorAll('.place')].find((p) => p.querySelector('b').textContent === {})",
        json!(name)
    );
    format!("[...{place}.querySelectorAll('.card')].map((card) => card.innerText)")
}

#[test]
fn a_rule_that_picks_a_destination_brings_its_note_there() {
    let (dev, browser) = (Dev::start().unwrap(), Browser::start().unwrap());
    installed(&browser, &dev, &[]);
    // Of Frontend no route tells the phone: what arrives there is the rule's.
    browser.pick("form[action='/issue'] select[name=project]", "Frontend").unwrap();
    browser.click("form[action='/issue'] button").unwrap();
    browser.wait_for("document.querySelector('a[href=\"/sentry/issues/1\"]') !== null").unwrap();

    browser.open(&dev.url("/sentry/rule")).unwrap();
    browser.pick("[name='field:destination']", "phone").unwrap();
    browser.type_into("[name='field:note']", "Runbook: restart <the> till").unwrap();
    browser.pick("[name='field:priority']", "igh").unwrap();
    browser.click("#rule button").unwrap();
    let said = answers(&browser, "rule", 1);
    assert!(said[0].starts_with("Saved"), "{said:?}");

    browser.open(&dev.url("/")).unwrap();
    browser.click("form[action='/sentry/rule/trigger'] button").unwrap();
    browser
        .wait_for(&format!("{}.some((card) => card.includes('Runbook: restart <the> till'))", cards("phone")))
        .unwrap();
    assert_eq!(browser.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn a_double_click_creates_one_ticket_and_another_issue_is_linked_to_it() {
    let (dev, browser) = (Dev::start().unwrap(), Browser::start().unwrap());
    installed(&browser, &dev, &["ValueError: no <total>", "KeyError: till"]);

    browser.open(&dev.url("/sentry/issues/1")).unwrap();
    browser.pick("#create [name='field:project']", "OPS").unwrap();
    let title = browser.run("return document.querySelector('#create [name=\"field:title\"]').value;").unwrap();
    assert_eq!(title, "ValueError: no <total>", "filled from the issue");
    browser.double_click("#create button").unwrap();
    let said = answers(&browser, "create", 2);
    assert!(said.iter().any(|said| said.starts_with("Linked to OPS#OPS-")), "{said:?}");
    let linked = browser.wait_for("document.querySelector('#linked a').textContent").unwrap();

    browser.open(&dev.url("/")).unwrap();
    browser
        .wait_for(&format!(
            "{}.filter((card) => card.includes('ValueError: no <total>')).length === 1",
            cards("tickets")
        ))
        .unwrap();

    browser.open(&dev.url("/sentry/issues/2")).unwrap();
    browser.pick("#link [name='field:project']", "OPS").unwrap();
    browser.type_into("#link [data-for='field:ticket']", "total").unwrap();
    browser.pick("#link [name='field:ticket']", "ValueError: no <total>").unwrap();
    browser.click("#link button").unwrap();
    let said = answers(&browser, "link", 1);
    assert_eq!(said, [format!("Linked to {}", linked.as_str().unwrap())]);
    browser.open(&dev.url("/sentry/issues/2")).unwrap();
    assert_eq!(browser.wait_for("document.querySelector('#linked a').textContent").unwrap(), linked);
    assert_eq!(browser.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn a_frames_link_leads_to_the_line_at_the_code_host() {
    const LINE: &str = "https://github.com/acme/backend/blob/main/checkout/total.py#L42";
    let (dev, browser) = (Dev::start().unwrap(), Browser::start().unwrap());
    installed(&browser, &dev, &["ValueError: no total"]);
    browser.open(&dev.url("/sentry/issues/1")).unwrap();
    let link = browser.wait_for("document.querySelector('a.frame').href").unwrap();
    let answer = http::request("GET", link.as_str().unwrap(), &[], b"").unwrap();
    assert_eq!(answer.status, 302, "{}", answer.text);
    let location = answer.text.lines().find(|line| line.to_lowercase().starts_with("location:"));
    assert_eq!(location.unwrap().split_once(": ").unwrap().1, LINE);

    browser.click("a.frame").unwrap();
    browser.switch_to_new_window().unwrap();
    browser.wait_for_url(LINE).unwrap();
}
