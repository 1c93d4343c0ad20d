//! The Tokio twin of weft's HTTP hello server: raw TCP and a hand-written parser that knows
//! keep-alive and pipelining and nothing else (no request bodies).
//!
//! `http-hello [--port N] [--workers N]`; port 0 takes a free one. Listens on loopback only.

use std::io::Result;
use std::process::exit;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

enum Parsed {
    /// A whole request of `length` bytes.
    Request {
        length: usize,
        keep_alive: bool,
    },
    Incomplete,
    Malformed,
}

fn header_is(line: &[u8], name: &[u8], value: &str) -> bool {
    line.len() > name.len()
        && line[name.len()] == b':'
        && line[..name.len()].eq_ignore_ascii_case(name)
        && matches!(std::str::from_utf8(&line[name.len() + 1..]),
            Ok(text) if text.trim().eq_ignore_ascii_case(value))
}

/// Looks at the first request in `input`: request line, header lines, empty line.
fn parse(input: &[u8]) -> Parsed {
    let mut keep_alive = true;
    let mut start = 0;
    while let Some(end) = input[start..].iter().position(|&byte| byte == b'\n') {
        let line = &input[start..start + end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if start == 0 {
            if line.ends_with(b" HTTP/1.0") {
                keep_alive = false;
            } else if !line.ends_with(b" HTTP/1.1") {
                return Parsed::Malformed;
            }
        } else if line.is_empty() {
            let length = start + end + 1;
            return Parsed::Request { length, keep_alive };
        } else if header_is(line, b"connection", "close") {
            keep_alive = false;
        }
        start += end + 1;
    }
    Parsed::Incomplete
}

/// Answers every whole request that has arrived with one write.
async fn serve(mut stream: TcpStream) -> Result<()> {
    let mut input = [0; 8192];
    let mut filled = 0;
    let mut output = Vec::with_capacity(4096);
    loop {
        match stream.read(&mut input[filled..]).await? {
            0 => return Ok(()), // closed, or a request that does not fit
            n => filled += n,
        }
        let mut parsed = 0;
        let mut open = true;
        output.clear();
        while open && parsed < filled {
            match parse(&input[parsed..filled]) {
                Parsed::Request { length, keep_alive } => {
                    output.extend_from_slice(OK);
                    parsed += length;
                    open = keep_alive;
                }
                Parsed::Incomplete => break,
                Parsed::Malformed => {
                    output.extend_from_slice(BAD_REQUEST);
                    open = false;
                }
            }
        }
        stream.write_all(&output).await?;
        if !open {
            return Ok(());
        }
        input.copy_within(parsed..filled, 0);
        filled -= parsed;
    }
}

async fn listen(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

fn usage() -> ! {
    eprintln!("usage: http-hello [--port N] [--workers N]");
    exit(2)
}

fn number<T: std::str::FromStr>(argument: Option<String>) -> T {
    match argument.and_then(|text| text.parse().ok()) {
        Some(n) => n,
        None => usage(),
    }
}

fn main() -> Result<()> {
    let (mut port, mut workers) = (8080, 2);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--port" => port = number(arguments.next()),
            "--workers" => workers = number(arguments.next()),
            _ => usage(),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        runtime
            .spawn(listen(port))
            .await
            .expect("the listener failed")
    })
}
