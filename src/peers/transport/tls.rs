//! TLS for what HTTP's client does not do: the same code, the same trusted certificates.

use std::sync::Arc;

use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, Error};

use super::TransportError;

/// What makes TLS of TCP, trusting whom the system trusts.
pub(super) fn connector() -> Result<TlsConnector, TransportError> {
    config().map(|config| TlsConnector::from(Arc::new(config))).map_err(|error| TransportError::connection(&error))
}

fn config() -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_platform_verifier()?;
    let mut config = builder.with_no_client_auth();
    // A WebSocket begins as HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
