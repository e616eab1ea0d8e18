//! What is sent to a peer beside the requests.

use std::fmt;
use std::str::FromStr;

use reqwest::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};

use super::JwtSecret;
use crate::peers::PeerUrl;

/// Headers that are not the user's: they say how the bytes are framed, and another value would break that.
const RESERVED: [HeaderName; 8] =
    [ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// The same for the WebSocket's handshake.
const RESERVED_PREFIX: &str = "sec-websocket-";

/// How peers are connected to. The default suits a peer that wants no credentials.
///
/// One `Authorization` is sent: of the user and password in the peer's address, else of the JWT secret, else of the
/// headers. Over IPC nothing of this is sent, for there is nowhere to put it.
#[derive(Clone, Default)]
pub struct ConnectOptions {
    /// Headers of every request, or of the handshake where there is one.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The secret shared with the peer, for tokens as geth's authenticated port wants them.
    pub jwt: Option<JwtSecret>,
    /// Whether replies may come compressed.
    pub compression: Compression,
}

/// Whether replies over HTTP may come compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// From afar only. Hex shrinks to half; in the own network the peer's CPU is worth more than that.
    #[default]
    Auto,
    /// From every peer.
    On,
    /// From none.
    Off,
}

/// A text is not a compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compression is auto, on or off")]
pub struct NotACompression;

/// A header cannot be sent. Values are never shown: they are secrets as a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is no colon.
    #[error("there is no colon; a header is written \"Name: value\"")]
    NoColon,
    /// What is before the colon cannot be a name; not shown, for it may be a value at the wrong place.
    #[error("what is before the colon is not a header's name")]
    Name,
    /// The header says how bytes are framed.
    #[error("the header {0} is set by the program itself")]
    Reserved(HeaderName),
    /// There is nothing after the colon, as when a variable was not set.
    #[error("the header {0} has no value")]
    NoValue(HeaderName),
    /// The value has characters that none may have.
    #[error("the value of the header {0} holds a control character")]
    Value(HeaderName),
}

impl ConnectOptions {
    /// Adds a header written as `Name: value`.
    ///
    /// # Errors
    /// [`HeaderError`] when it cannot be sent.
    pub fn add_header(&mut self, text: &str) -> Result<(), HeaderError> {
        let (name, value) = text.split_once(':').ok_or(HeaderError::NoColon)?;
        let name: HeaderName = name.trim().parse().map_err(|_| HeaderError::Name)?;
        if RESERVED.contains(&name) || name.as_str().starts_with(RESERVED_PREFIX) {
            return Err(HeaderError::Reserved(name));
        }
        let value = value.trim();
        if value.is_empty() {
            return Err(HeaderError::NoValue(name));
        }
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.push((name, value));
                Ok(())
            }
            Err(_) => Err(HeaderError::Value(name)),
        }
    }
}

impl Compression {
    pub(super) fn applies_to(self, url: &PeerUrl) -> bool {
        match self {
            Self::Auto => !url.is_local(),
            Self::On => true,
            Self::Off => false,
        }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&HeaderName> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ConnectOptions")
            .field("headers", &names)
            .field("jwt", &self.jwt)
            .field("compression", &self.compression)
            .finish()
    }
}

impl FromStr for Compression {
    type Err = NotACompression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(NotACompression),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(text: &str) -> Result<ConnectOptions, HeaderError> {
        let mut options = ConnectOptions::default();
        options.add_header(text).map(|()| options)
    }

    #[test]
    fn a_header_is_a_name_a_colon_and_a_value() {
        for text in ["X-Key: a:b c", "x-key:a:b c", " X-KEY :  a:b c "] {
            let options = add(text).unwrap();
            assert_eq!(options.headers, [(HeaderName::from_static("x-key"), HeaderValue::from_static("a:b c"))]);
        }
    }

    #[test]
    fn what_is_wrong_with_a_header_is_said_without_its_value() {
        let secret = "hunter2";
        for (text, error) in [
            (format!("Bearer {secret}"), HeaderError::NoColon),
            (format!("{secret} {secret}: x"), HeaderError::Name),
            (format!(": {secret}"), HeaderError::Name),
            (format!("Content-Length: {secret}"), HeaderError::Reserved(CONTENT_LENGTH)),
            ("X-Key: ".into(), HeaderError::NoValue(HeaderName::from_static("x-key"))),
            (format!("X-Key: {secret}\nX"), HeaderError::Value(HeaderName::from_static("x-key"))),
        ] {
            let found = add(&text).unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!format!("{found} {found:?}").contains(secret), "{found}");
        }
        assert!(matches!(add("Sec-WebSocket-Key: x"), Err(HeaderError::Reserved(_))));
    }

    #[test]
    fn options_are_shown_without_values() {
        let mut options = add("X-Key: hunter2").unwrap();
        options.headers.push((HeaderName::from_static("x-other"), HeaderValue::from_static("hunter2")));
        let shown = format!("{options:?}");
        assert!(shown.contains("x-key") && shown.contains("x-other") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn compression_has_three_settings() {
        assert_eq!("auto".parse(), Ok(Compression::default()));
        assert_eq!(["on".parse(), "off".parse()], [Ok(Compression::On), Ok(Compression::Off)]);
        assert!("yes".parse::<Compression>().is_err());
    }

    #[test]
    fn only_peers_afar_are_asked_to_compress_unless_the_user_says_otherwise() {
        let (near, afar) = ("http://10.0.0.5:8545".parse().unwrap(), "https://node.example".parse().unwrap());
        let both = |compression: Compression| (compression.applies_to(&near), compression.applies_to(&afar));
        assert_eq!(both(Compression::Auto), (false, true));
        assert_eq!(both(Compression::On), (true, true));
        assert_eq!(both(Compression::Off), (false, false));
    }
}
