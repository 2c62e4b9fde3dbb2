//! One plain HTTP/1.1 request on a connection of its own: all that a test of the way in needs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

/// Much more than any answer here takes, a function's first start on a busy machine included.
const LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Head and body as they came.
    pub text: String,
}

/// Sends one request to an address `http://HOST:PORT/PATH`.
///
/// # Errors
/// If the address is of another form, or nobody answers within a minute.
pub fn request(method: &str, address: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let rest = address.strip_prefix("http://").context("only http:// is spoken here")?;
    let (host, path) = rest.split_once('/').context("the address has no path")?;
    let mut connection = TcpStream::connect(host).with_context(|| format!("{host} does not listen"))?;
    connection.set_read_timeout(Some(LIMIT))?;

    let named = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat();
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{named}Content-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes())?;
    connection.write_all(body)?;

    let mut answer = Vec::new();
    let mut part = [0; 8192];
    // Not every server closes the connection because it is asked to.
    while !is_whole(&answer) {
        match connection.read(&mut part)? {
            0 => break,
            read => answer.extend_from_slice(&part[..read]),
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).context("no status line")?;
    Ok(Answer { status, text })
}

/// Whether the body is as long as its head says.
fn is_whole(answer: &[u8]) -> bool {
    const END: &[u8] = b"\r\n\r\n";
    let Some(head) = answer.windows(END.len()).position(|four| four == END) else { return false };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= head + END.len() + length)
}
