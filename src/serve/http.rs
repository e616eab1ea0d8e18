//! What is an HTTP request worth answering: geth's rules (`rpc/http.go`, `node/rpcstack.go`).

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;

use super::rpc::Rpc;
use super::{Options, outgoing};

/// The media types of a JSON-RPC body. Browsers send them to other sites only where the site agrees, which this one
/// never does.
const MEDIA_TYPES: [&str; 3] = ["application/json", "application/json-rpc", "application/jsonrequest"];

/// A status and a text that is no JSON-RPC.
type Rejection = (StatusCode, String);

/// Answers one request.
pub(super) async fn answer(State(rpc): State<Arc<Rpc>>, request: Request) -> Response {
    if !is_addressed_here(&request, &rpc.options().hosts) {
        return (StatusCode::FORBIDDEN, "invalid host specified").into_response();
    }
    if request.method() == Method::GET && request.body().is_end_stream() {
        // What load balancers ask to see whether anyone is there.
        return StatusCode::OK.into_response();
    }
    let body = match read_body(&rpc, request).await {
        Ok(body) => body,
        Err(rejection) => return rejection.into_response(),
    };
    let turn = rpc.turn().await;
    let answering = rpc.clone();
    match tokio::task::spawn_blocking(move || answering.answer(&body)).await {
        Ok(reply) => {
            let room = rpc.room(&reply).await;
            drop(turn);
            outgoing::response(reply, rpc.options().write_timeout, room)
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made").into_response(),
    }
}

/// Whether the host name, if any, is one of ours. A page that makes a browser resolve its own name to this address
/// (DNS rebinding) is kept out by its name.
fn is_addressed_here(request: &Request, hosts: &[String]) -> bool {
    let header = || request.headers().get(HOST).map(HeaderValue::as_bytes);
    let Some(host) = request.uri().authority().map(|authority| authority.as_str().as_bytes()).or_else(header) else {
        return true;
    };
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let allowed = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(name);
    address.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost") || hosts.iter().any(allowed)
}

async fn read_body(rpc: &Rpc, request: Request) -> Result<Vec<u8>, Rejection> {
    let Options { body_bytes: limit, body_timeout, .. } = *rpc.options();
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "method not allowed".into()));
    }
    if let Some(length) = body.size_hint().exact().filter(|length| *length > limit as u64) {
        return Err(too_large(&length.to_string(), limit));
    }
    let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !MEDIA_TYPES.iter().any(|known| known.eq_ignore_ascii_case(media_type)) {
        let text = "invalid content type, only application/json is supported".into();
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let in_time = tokio::time::timeout(body_timeout, collect(body, limit)).await;
    in_time.unwrap_or_else(|_| Err((StatusCode::REQUEST_TIMEOUT, "the body took too long".into())))
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, Rejection> {
    // The length announced is at most the limit; of a chunked body it is not known.
    let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(announced.unwrap_or_default());
    let mut chunks = body.into_data_stream();
    let broken = |error: axum::Error| (StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"));
    while let Some(chunk) = chunks.try_next().await.map_err(broken)? {
        if bytes.len() + chunk.len() > limit {
            return Err(too_large("chunked", limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large(length: &str, limit: usize) -> Rejection {
    (StatusCode::PAYLOAD_TOO_LARGE, format!("content length too large ({length}>{limit})"))
}
