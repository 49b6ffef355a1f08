//! What a refresh is measured against: a client that posts the same form to the same provider, reads the answer and forgets it.
//!
//! It is the HTTP client of the daemon, with its settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::ensure;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Certificate, Client, redirect, retry};
use rustls::crypto::ring;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::prepare::{self, REFRESH_TOKEN, token};
use crate::refresh::AT_ONCE;
use crate::stopwatch::Stopwatch;
use crate::token_endpoint::TokenEndpoint;

/// Bare clients of one provider.
pub(crate) struct Bare {
    runtime: Runtime,
    url: String,
    /// Makes a connection for each request.
    connecting: Client,
    /// Keeps its connections.
    reusing: Client,
}

/// What becomes of a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    Closed,
    Kept,
}

impl Bare {
    pub(crate) fn new(endpoint: &TokenEndpoint) -> anyhow::Result<Self> {
        // The first installation in the process stays, and is the same.
        let _ = ring::default_provider().install_default();
        let client = |idle| {
            let authorities =
                endpoint.authority.as_ref().map(|pem| Certificate::from_pem(pem.as_bytes())).transpose()?;
            let builder = Client::builder().no_proxy().redirect(redirect::Policy::none()).retry(retry::never());
            builder.pool_max_idle_per_host(idle).tls_certs_merge(authorities).build()
        };
        let (connecting, reusing) = (client(0)?, client(AT_ONCE)?);
        Ok(Self { runtime: prepare::runtime()?, url: endpoint.token_url(), connecting, reusing })
    }

    /// Makes so many requests, as many at once as the daemon may; how many there are in a second.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(crate) fn posts_per_second(&self, count: u64, connections: Connections) -> anyhow::Result<f64> {
        let client = if connections == Connections::Kept { &self.reusing } else { &self.connecting };
        let next = Arc::new(AtomicU64::new(0));
        let watch = Stopwatch::start();
        self.runtime.block_on(async {
            let mut running = JoinSet::new();
            for _ in 0..AT_ONCE {
                let (client, url, next) = (client.clone(), self.url.clone(), Arc::clone(&next));
                running.spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return anyhow::Ok(());
                        }
                        post(&client, &url, number).await?;
                    }
                });
            }
            while let Some(done) = running.join_next().await {
                done??;
            }
            anyhow::Ok(())
        })?;
        Ok(count as f64 / watch.elapsed().as_secs_f64())
    }
}

async fn post(client: &Client, url: &str, number: u64) -> anyhow::Result<()> {
    let refresh_token = token("r", number, REFRESH_TOKEN);
    let form = format!("grant_type=refresh_token&refresh_token={}&client_id=bench", refresh_token.expose());
    let request = client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = request.header(ACCEPT, "application/json").body(form).send().await?;
    ensure!(answer.status().is_success(), "the provider answered {}", answer.status());
    ensure!(!answer.bytes().await?.is_empty(), "the provider answered nothing");
    Ok(())
}
