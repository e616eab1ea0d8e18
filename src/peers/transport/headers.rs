//! What goes before the body of a request or in a handshake.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use url::Url;

use super::{ConnectOptions, JwtSecret};

/// The headers of one peer's requests.
#[derive(Clone)]
pub(super) struct Headers {
    fixed: HeaderMap,
    jwt: Option<JwtSecret>,
}

impl Headers {
    /// The headers for `url`, and the URL as it is asked for: without the user and password, which are a header now.
    pub(super) fn new(mut url: Url, options: &ConnectOptions) -> (Self, Url) {
        let mut fixed = HeaderMap::new();
        fixed.insert(USER_AGENT, HeaderValue::from_static(concat!("statesync/", env!("CARGO_PKG_VERSION"))));
        // A user's header takes the place of ours, and stands beside others of the user's with the same name.
        fixed.extend(options.headers.iter().cloned().collect::<HeaderMap>());
        let mut jwt = options.jwt.clone();
        if let Some(value) = basic(&url) {
            fixed.insert(AUTHORIZATION, value);
            jwt = None;
            // Neither fails where there is a host.
            let _ = (url.set_username(""), url.set_password(None));
        }
        url.set_fragment(None);
        (Self { fixed, jwt }, url)
    }

    /// The headers of a request that is sent at once: a token lasts a minute.
    pub(super) fn now(&self) -> HeaderMap {
        let mut headers = self.fixed.clone();
        let token = self.jwt.as_ref().map(|secret| format!("Bearer {}", secret.token(SystemTime::now())));
        if let Some(value) = token.and_then(sensitive) {
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }
}

/// The user and password of a URL as HTTP sends them.
fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    sensitive(format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

/// None never: what is made here is ASCII.
fn sensitive(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(url: &str, options: &ConnectOptions) -> (HeaderMap, String) {
        let (headers, url) = Headers::new(url.parse().unwrap(), options);
        (headers.now(), url.into())
    }

    fn options(texts: &[&str], jwt: Option<JwtSecret>) -> ConnectOptions {
        let mut options = ConnectOptions { jwt, ..ConnectOptions::default() };
        texts.iter().for_each(|text| options.add_header(text).unwrap());
        options
    }

    #[test]
    fn the_user_and_password_of_an_address_become_a_header() {
        let (headers, url) = headers("https://us%40er:p%3Ass@node.example/key#part", &ConnectOptions::default());
        assert_eq!(headers[AUTHORIZATION], format!("Basic {}", BASE64_STANDARD.encode("us@er:p:ss")));
        assert_eq!(url, "https://node.example/key");
    }

    #[test]
    fn one_authorization_is_sent_the_most_particular_one() {
        let jwt = Some(JwtSecret::new(&[7; 32]));
        let all = options(&["Authorization: mine"], jwt);
        let sent = |url: &str, options: &ConnectOptions| {
            let (headers, _) = headers(url, options);
            let mut values = headers.get_all(AUTHORIZATION).iter();
            let value = values.next().unwrap().to_str().unwrap().to_owned();
            assert!(values.next().is_none() && headers[AUTHORIZATION].is_sensitive());
            value
        };
        assert!(sent("http://user@127.0.0.1", &all).starts_with("Basic "));
        assert!(sent("http://127.0.0.1", &all).starts_with("Bearer "));
        assert_eq!(sent("http://127.0.0.1", &options(&["Authorization: mine"], None)), "mine");
    }

    #[test]
    fn a_users_headers_replace_ours_and_may_repeat() {
        let (headers, _) = headers("http://127.0.0.1", &options(&["User-Agent: me", "X-Key: 1", "X-Key: 2"], None));
        let values = |name: &str| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(values("user-agent"), ["me"]);
        assert_eq!(values("x-key"), ["1", "2"]);
    }
}
