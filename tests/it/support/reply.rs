//! Answers as HTTP has them.

use std::io;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::answer::{Answer, Element};

/// A body; of one that does not say its length, what is below the limit, as geth reads it. Fails with the length where
/// that is announced and over the limit.
pub(super) async fn read_body(request: Request, limit: usize) -> Result<Vec<u8>, u64> {
    let body = request.into_body();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > limit as u64) {
        return Err(length);
    }
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(limit);
    Ok(bytes)
}

/// The answer's reply, as soon as it may be given.
pub(super) async fn make(answer: Answer, is_batch: bool) -> Response {
    let mut answer = answer;
    loop {
        answer = match answer {
            Answer::Batch(elements) => {
                let mut response = text(&elements, is_batch).into_response();
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                return response;
            }
            Answer::Raw(response) => return response.into_response(),
            Answer::Drop => return broken(),
            Answer::Endless => return endless(),
            Answer::After(delay, answer) => {
                tokio::time::sleep(delay).await;
                *answer
            }
            Answer::When(gate, answer) => {
                gate.opened().await;
                *answer
            }
        }
    }
}

/// The JSON of a batch's elements, or of a call's only one.
pub(super) fn text(elements: &[Element], is_batch: bool) -> String {
    let texts: Vec<String> = elements.iter().map(ToString::to_string).collect();
    let all = texts.join(",");
    if is_batch { format!("[{all}]") } else { all }
}

/// A reply that breaks off after its head.
fn broken() -> Response {
    let cut = futures_util::stream::iter([Err::<Bytes, _>(io::Error::other("cut"))]);
    Body::from_stream(cut).into_response()
}

/// A reply that never ends.
fn endless() -> Response {
    let spaces = Bytes::from(vec![b' '; 1 << 16]);
    let stream = futures_util::stream::repeat_with(move || Ok::<_, io::Error>(spaces.clone()));
    Body::from_stream(stream).into_response()
}
