//! Opening a connection to a backend.

use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use tokio::net::{TcpStream, UnixStream, lookup_host};

use crate::base::alarm::{Alarm, Moment};
use crate::proxy::balance::{Endpoint, Pool, Protocol, Target};
use crate::proxy::fault::Fault;
use crate::proxy::io::Io;
use crate::proxy::socket::Socket;

/// How many addresses of a name are tried for one connection.
const MOST_ADDRESSES: usize = 8;

/// What a backend speaks on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    H1,
    H2,
}

/// Opens a connection before `due`, and says what is spoken on it.
pub(super) async fn dial(endpoint: &Endpoint, pool: &Pool, alarm: &Alarm, due: Moment) -> Result<(Io, Spoken), Fault> {
    let socket = reach(&endpoint.url.target, alarm, due).await?;
    let spoken = if pool.protocol == Protocol::H2 { Spoken::H2 } else { Spoken::H1 };
    Ok((Io::Plain(socket), spoken))
}

async fn reach(target: &Target, alarm: &Alarm, due: Moment) -> Result<Socket, Fault> {
    let mut connecting = std::pin::pin!(connect(target));
    std::future::poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done.map_err(|_| Fault::ConnectFailed)),
        Poll::Pending => alarm.poll(cx, due).map(|()| Err(Fault::ConnectTimeout)),
    })
    .await
}

async fn connect(target: &Target) -> io::Result<Socket> {
    let stream = match target {
        Target::Address(address) => TcpStream::connect(*address).await?,
        Target::Name(name, port) => first_of(lookup_host((name.as_str(), *port)).await?).await?,
        Target::Unix(path) => return UnixStream::connect(path).await.map(Socket::Unix),
    };
    stream.set_nodelay(true)?;
    Ok(Socket::Tcp(stream))
}

async fn first_of(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.take(MOST_ADDRESSES) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
