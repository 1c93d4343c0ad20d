//! What a message costs: 64 bytes to and fro over loopback, a client task and a server task for
//! each connection in the same runtime. One operation is one round trip on any connection. Reads
//! have room to spare, as in real programs: that they come back short says that the socket is
//! drained.

use crate::{on_worker, Config};
use std::io::{ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TRIPS: usize = 40_000;
const MESSAGE: usize = 64;
const BUFFER: usize = 1024;

async fn echo(mut stream: TcpStream) -> Result<()> {
    let mut buffer = [0; BUFFER];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

async fn ping(mut stream: TcpStream, trips: usize) -> Result<TcpStream> {
    let mut buffer = [0; BUFFER];
    for _ in 0..trips {
        stream.write_all(&buffer[..MESSAGE]).await?;
        let mut received = 0;
        while received < MESSAGE {
            match stream.read(&mut buffer).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => received += n,
            }
        }
    }
    Ok(stream)
}

/// Makes the connections, starts their servers, and returns the client ends.
async fn connect(connections: usize) -> Result<Vec<TcpStream>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let (server, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        tokio::spawn(echo(server));
        clients.push(client);
    }
    Ok(clients)
}

pub fn ping_pong(config: Config, connections: usize, workers: usize) {
    on_worker(workers, async move {
        let trips = config.repeat(TRIPS) / connections;
        let mut clients = connect(connections).await.expect("cannot connect");
        for lap in config.laps(trips * connections) {
            let pings: Vec<_> = clients
                .drain(..)
                .map(|client| tokio::spawn(ping(client, trips)))
                .collect();
            for ping in pings {
                let client = ping.await.expect("a task failed");
                clients.push(client.expect("a connection failed"));
            }
            lap.end();
        }
    });
}
