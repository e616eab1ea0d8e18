//! From addresses to peers that can be asked.

use futures_util::future::join_all;

use super::args::PeerArgs;
use super::exit::{Exit, Failure};
use crate::peers::{Client, ConnectOptions, JwtSecret, PeerUrl, ProbeError, TransportError, probe};
use crate::store::{Store, StoreError};
use crate::ui;

/// The environment variable with peers' addresses, as in other tools.
const URL_VARIABLE: &str = "ETH_RPC_URL";

/// Peers of one chain.
#[derive(Debug)]
pub(super) struct Connected {
    /// Those that may be asked, with those that did not answer but may yet.
    pub(super) peers: Vec<Client>,
    /// The chain they serve.
    pub(super) chain_id: u64,
}

/// The addresses given, from the flags or the environment.
pub(super) fn urls(arguments: &PeerArgs) -> Result<Vec<PeerUrl>, Failure> {
    if !arguments.rpc_url.is_empty() {
        return Ok(arguments.rpc_url.iter().map(|url| url.parse()).collect::<Result<_, _>>()?);
    }
    let variable = std::env::var(URL_VARIABLE).unwrap_or_default();
    let urls = variable.split(',').map(str::trim).filter(|url| !url.is_empty());
    let urls = urls.map(str::parse).collect::<Result<Vec<PeerUrl>, _>>()?;
    if urls.is_empty() {
        return Err(Failure::new(Exit::Usage, "no peer is given")
            .hint("name one with -r http://127.0.0.1:8545 or -r /path/to/geth.ipc, or in ETH_RPC_URL"));
    }
    Ok(urls)
}

/// What is sent to the peers beside the requests.
pub(super) fn options(arguments: &PeerArgs) -> Result<ConnectOptions, Failure> {
    let mut options = ConnectOptions { compression: arguments.rpc_compression, ..ConnectOptions::default() };
    for (number, text) in (1..).zip(&arguments.rpc_header) {
        // By its number, for it may be all secret.
        options.add_header(text).map_err(|error| {
            Failure::new(Exit::Usage, format!("-H number {number}: {error}")).hint("write it as -H 'Name: value'")
        })?;
    }
    if let Some(path) = &arguments.rpc_jwt_secret {
        let secret = JwtSecret::read(path).map_err(|error| {
            Failure::new(Exit::Usage, error.to_string()).hint("geth keeps its secret in DATADIR/geth/jwtsecret")
        })?;
        options.jwt = Some(secret);
    }
    Ok(options)
}

/// Asks all peers what they are. Peers of another chain or without the debug namespace are left out, with a warning;
/// those that do not answer are kept as long as one does: they may come back.
pub(super) async fn connect(arguments: &PeerArgs, store: Option<&Store>) -> Result<Connected, Failure> {
    let options = options(arguments)?;
    let client = |url| Client::with_options(url, arguments.rpc_timeout, &options);
    let clients = urls(arguments)?.into_iter().map(client);
    let clients = clients.collect::<Result<Vec<_>, TransportError>>();
    let clients = clients.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    let answers = join_all(clients.iter().map(probe)).await;
    let chain_of_store = store.map(Store::chain_id).transpose()?.flatten();
    let chain_of_peers = answers.iter().find_map(|answer| answer.as_ref().ok()).map(|info| info.chain_id);
    let Some(chain_of_peers) = chain_of_peers else { return Err(nobody(&clients, &answers)) };
    let chain_id = chain_of_store.unwrap_or(chain_of_peers);
    let mut peers = Vec::new();
    let mut usable = 0;
    for (client, answer) in clients.into_iter().zip(answers) {
        match answer {
            Ok(info) if info.chain_id != chain_id => {
                ui::say(&format!("warning: {} serves chain {}, not {chain_id}; left out", client.url(), info.chain_id));
            }
            Ok(info) => {
                tracing::info!(peer = %client.url(), client = ?info.client, chain_id, "connected");
                usable += 1;
                peers.push(client);
            }
            Err(error) if error.is_transient() => {
                ui::say(&format!("warning: {}: {error}; it will be tried again", client.url()));
                peers.push(client);
            }
            Err(error) => ui::say(&format!("warning: {}: {error}; left out", client.url())),
        }
    }
    if usable == 0 {
        return Err(StoreError::OtherChain { stored: chain_id, wanted: chain_of_peers }.into());
    }
    Ok(Connected { peers, chain_id })
}

/// What to say when no peer can be used.
fn nobody(clients: &[Client], answers: &[Result<crate::peers::PeerInfo, ProbeError>]) -> Failure {
    let errors = answers.iter().filter_map(|answer| answer.as_ref().err());
    let reasons: Vec<String> =
        clients.iter().zip(errors.clone()).map(|(client, error)| format!("{}: {error}", client.url())).collect();
    let reasons = reasons.join("; ");
    if errors.clone().all(|error| !error.is_transient()) {
        return Failure::new(Exit::Usage, format!("no peer can be used: {reasons}")).hint(
            "the peer must offer the debug namespace: start geth with --http --http.api eth,debug, or its --ws twin",
        );
    }
    Failure::new(Exit::Incomplete, format!("no peer can be reached: {reasons}"))
        .hint("check the address and that the node is up, then run the same command again")
}
