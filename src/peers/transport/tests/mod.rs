//! Every wire against servers on real sockets.

mod http;
#[cfg(unix)]
mod ipc;
mod ws;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::header::{AUTHORIZATION, HeaderMap};

use super::{Compression, ConnectOptions, JwtSecret, Transport, TransportError};

/// More than any reply here is long, unless it is meant to be too long.
const LIMIT: usize = 1 << 16;

/// A secret, and what is sent with it.
const SECRET: [u8; 32] = [0x42; 32];

fn transport(url: &str, options: &ConnectOptions) -> Transport {
    Transport::new(url.parse().unwrap(), options).unwrap()
}

fn plain(url: &str) -> Transport {
    transport(url, &ConnectOptions::default())
}

async fn ask(transport: &Transport, text: &str) -> Result<String, TransportError> {
    let reply = transport.exchange(text.into(), LIMIT).await?;
    Ok(String::from_utf8(reply).unwrap())
}

/// Options with everything that is sent.
fn everything() -> ConnectOptions {
    let mut options = ConnectOptions { jwt: Some(JwtSecret::new(&SECRET)), ..ConnectOptions::default() };
    options.add_header("X-Api-Key: hunter2").unwrap();
    options
}

/// Fails unless the token was signed with the secret just now.
fn assert_is_signed(headers: &HeaderMap) {
    let token = headers[AUTHORIZATION].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
    hmac::verify(&key, signed.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let part = |part: &str| -> serde_json::Value {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let (header, claims) = signed.split_once('.').unwrap();
    assert_eq!(part(header)["alg"], "HS256");
    let issued = UNIX_EPOCH + Duration::from_secs(part(claims)["iat"].as_u64().unwrap());
    assert!(SystemTime::now().duration_since(issued).unwrap() < Duration::from_secs(60));
}
