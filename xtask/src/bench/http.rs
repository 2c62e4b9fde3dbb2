//! As much of an HTTP/1.1 server as the two stand-ins need: kept connections, bodies with a length.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};

/// Lambda's Runtime API sends larger events in chunks; so do we from here on.
const CHUNK: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `None` at the end of the connection.
    fn read(connection: &mut BufReader<TcpStream>) -> Result<Option<Self>> {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let path = line.split(' ').nth(1).context("no request line")?.to_owned();
        let mut headers = Vec::new();
        loop {
            line.clear();
            connection.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self { path, headers, body: Vec::new() };
        anyhow::ensure!(request.header("transfer-encoding").is_none(), "{}: a body without a length", request.path);
        let length = request.header("content-length").map_or(Ok(0), str::parse)?;
        request.body.resize(length, 0);
        connection.read_exact(&mut request.body)?;
        Ok(Some(request))
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn write(&self, mut connection: &TcpStream) -> Result<()> {
        let named = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let head = format!("HTTP/1.1 {} -\r\n{}", self.status, named.collect::<Vec<_>>().concat());
        if self.body.len() < CHUNK {
            // In one piece, as one packet.
            let text = format!("{head}Content-Length: {}\r\n\r\n{}", self.body.len(), self.body);
            return Ok(connection.write_all(text.as_bytes())?);
        }
        write!(connection, "{head}Transfer-Encoding: chunked\r\n\r\n")?;
        for chunk in self.body.as_bytes().chunks(CHUNK) {
            write!(connection, "{:x}\r\n", chunk.len())?;
            connection.write_all(chunk)?;
            connection.write_all(b"\r\n")?;
        }
        Ok(connection.write_all(b"0\r\n\r\n")?)
    }
}

/// Listens on loopback, one thread a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// `answer` may block. `None` closes the connection.
    pub(crate) fn start(answer: impl Fn(Request) -> Option<Answer> + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let server = Self { address: listener.local_addr()?, stopped: Arc::default() };
        let stopped = Arc::clone(&server.stopped);
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let answer = Arc::clone(&answer);
                thread::spawn(move || {
                    // A function that we end mid-request breaks its connections: what is wrong with one that goes
                    // on running shows as an answer that never comes.
                    _ = serve(connection, answer.as_ref());
                });
            }
        });
        Ok(server)
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        _ = TcpStream::connect(self.address);
    }
}

fn serve(connection: TcpStream, answer: &dyn Fn(Request) -> Option<Answer>) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut connection = BufReader::new(connection);
    while let Some(request) = Request::read(&mut connection)? {
        let Some(answer) = answer(request) else { break };
        answer.write(connection.get_ref())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_answer_comes_in_chunks_and_a_small_one_with_its_length() {
        let server = Server::start(|request| {
            let times = request.header("times")?.parse().ok()?;
            let body = String::from_utf8(request.body).ok()?.repeat(times);
            Some(Answer { status: 200, headers: vec![("X", request.path)], body })
        })
        .expect("loopback is there");
        let mut connection = TcpStream::connect(server.address()).expect("it listens");
        for (times, expected) in [
            ("1", "HTTP/1.1 200 -\r\nX: /a\r\nContent-Length: 2\r\n\r\nab".to_owned()),
            (
                "40000",
                format!(
                    "HTTP/1.1 200 -\r\nX: /a\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n{}\r\n3880\r\n{}\r\n0\r\n\r\n",
                    "ab".repeat(32768),
                    "ab".repeat(7232)
                ),
            ),
        ] {
            let request = format!("POST /a HTTP/1.1\r\nTimes: {times}\r\nContent-Length: 2\r\n\r\nab");
            connection.write_all(request.as_bytes()).expect("it reads");
            let mut answer = vec![0; expected.len()];
            connection.read_exact(&mut answer).expect("it answers");
            assert_eq!(String::from_utf8_lossy(&answer), expected);
        }
    }
}
