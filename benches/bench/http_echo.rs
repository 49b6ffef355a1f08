//! The yardstick for HTTP: a process on the same HTTP stack as the daemon, with the same headers and a body of the same length, and
//! nothing behind it.

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixListener;
use tokio_util::task::TaskTracker;

/// Makes this program the echo: `http-echo SOCKET BODY_LENGTH`.
pub(crate) const ARGUMENT: &str = "http-echo";

/// The process itself. Ends only when killed.
pub(crate) fn serve(socket: &Path, length: &str) -> anyhow::Result<()> {
    let body = Bytes::from(vec![b'x'; length.parse()?]);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = UnixListener::bind(socket)?;
        println!("ready");
        std::io::stdout().flush()?;
        let connections = TaskTracker::new();
        loop {
            let (stream, _) = listener.accept().await?;
            let body = body.clone();
            connections.spawn(async move {
                let answer = service_fn(move |request| answer(request, body.clone()));
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).half_close(true);
                server.serve_connection(TokioIo::new(stream), answer).await
            });
        }
    })
}

async fn answer(request: Request<Incoming>, body: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    // A request that broke off has nobody who waits for the answer.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
