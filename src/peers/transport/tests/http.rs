use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use flate2::write::GzEncoder;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use tokio::net::TcpListener;

use super::*;

/// A server that gives the same answer to all, and what headers it saw last.
async fn serve(answer: impl IntoResponse + Clone + Send + Sync + 'static) -> (String, Arc<Mutex<HeaderMap>>) {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let see = seen.clone();
    let handler = move |headers: HeaderMap| async move {
        *see.lock().unwrap() = headers;
        answer
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address.to_string(), seen)
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn headers_and_a_fresh_token_go_with_every_request() {
    let (address, seen) = serve("[]").await;
    let transport = transport(&format!("http://{address}"), &everything());
    for _ in 0..2 {
        assert_eq!(ask(&transport, "[]").await.unwrap(), "[]");
        let headers = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(headers["x-api-key"], "hunter2");
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        assert_is_signed(&headers);
    }
    assert!(!format!("{transport:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_user_and_password_in_the_address_are_sent_decoded() {
    let (address, seen) = serve("[]").await;
    ask(&plain(&format!("http://al%40ice:s%3Acret@{address}")), "[]").await.unwrap();
    assert_eq!(seen.lock().unwrap()[AUTHORIZATION], "Basic YWxAaWNlOnM6Y3JldA==");
}

#[tokio::test]
async fn compressed_replies_are_asked_for_and_unpacked_only_when_wanted() {
    let (address, seen) = serve(([(CONTENT_ENCODING, "gzip")], packed(b"[1]"))).await;
    let url = format!("http://{address}");
    let with = |compression| transport(&url, &ConnectOptions { compression, ..ConnectOptions::default() });
    assert_eq!(ask(&with(Compression::On), "[]").await.unwrap(), "[1]");
    assert_eq!(seen.lock().unwrap()[ACCEPT_ENCODING], "gzip");
    for compression in [Compression::Off, Compression::Auto] {
        // Sent nevertheless it is not touched.
        assert_eq!(with(compression).exchange(b"[]".to_vec(), LIMIT).await.unwrap(), packed(b"[1]"));
        assert!(!seen.lock().unwrap().contains_key(ACCEPT_ENCODING));
    }
}

#[tokio::test]
async fn a_small_reply_that_unpacks_to_a_huge_one_is_cut() {
    let bomb = packed(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < LIMIT * 2);
    let (address, _) = serve(([(CONTENT_ENCODING, "gzip")], bomb)).await;
    let options = ConnectOptions { compression: Compression::On, ..ConnectOptions::default() };
    let error = ask(&transport(&format!("http://{address}"), &options), "[]").await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { limit: LIMIT }), "{error}");
}

#[tokio::test]
async fn a_reply_as_long_as_the_limit_is_taken_and_a_longer_one_cut() {
    let (address, _) = serve(" ".repeat(LIMIT)).await;
    assert_eq!(ask(&plain(&format!("http://{address}")), "[]").await.unwrap().len(), LIMIT);
    let (address, _) = serve(" ".repeat(LIMIT + 1)).await;
    let error = ask(&plain(&format!("http://{address}")), "[]").await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { limit: LIMIT }), "{error}");
}

#[tokio::test]
async fn a_refusal_tells_how_long_to_wait_as_a_number_or_as_a_date() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
    for (value, least, most) in [("7".to_owned(), 7, 7), (date, 60, 100)] {
        let (address, _) = serve((StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, value)], "slow down")).await;
        let error = ask(&plain(&format!("http://{address}")), "[]").await.unwrap_err();
        let TransportError::Status { code: 429, retry_after: Some(wait), text } = &error else { panic!("{error}") };
        assert!((least..=most).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(text, "slow down");
    }
}

#[tokio::test]
async fn a_page_with_an_error_is_shown_as_far_as_it_is_short() {
    let (address, _) = serve((StatusCode::BAD_GATEWAY, "x".repeat(10_000))).await;
    let error = ask(&plain(&format!("http://{address}")), "[]").await.unwrap_err();
    assert!(matches!(&error, TransportError::Status { code: 502, text, .. } if text.len() == 200), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_said_without_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "ws"] {
        let error = ask(&plain(&format!("{scheme}://{address}/secret")), "[]").await.unwrap_err();
        assert!(matches!(&error, TransportError::Connection(text) if text.contains("refused")), "{error}");
        assert!(!error.to_string().contains("secret"));
    }
}
