//! Where a peer is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::{Host, Url};

/// The longest path of a Unix socket, in bytes: the kernel's field for it, less the zero at its end.
const SOCKET_PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A peer's address. Shown without credentials: what is before the `@`, and the path and query, where providers put
/// their keys.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerUrl(Address);

/// The address by what is spoken there.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// `http` or `https`.
    Http(Url),
    /// `ws` or `wss`.
    WebSocket(Url),
    /// A Unix socket.
    Ipc(PathBuf),
}

/// A peer's address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It is neither a URL nor the path of a socket.
    #[error("\"{text}\" is not a URL: {source}")]
    Malformed {
        /// What was given, without what may be credentials.
        text: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// It is a URL of a kind that is not spoken.
    #[error(
        "\"{scheme}\" is not a transport: a peer's address begins with http://, https://, ws:// or wss://, or is the \
         path of an IPC socket"
    )]
    Scheme {
        /// What was given.
        scheme: String,
    },
    /// It says IPC and no path.
    #[error("an IPC address needs the path of a socket, as in ipc:/var/lib/geth/geth.ipc")]
    NoPath,
    /// It is a path in somebody's home.
    #[error("\"{}\" begins with a ~, which only a shell understands: write the whole path", path.display())]
    Home {
        /// What was given.
        path: PathBuf,
    },
    /// It is a path that no socket can have.
    #[error(
        "the path of an IPC socket has {SOCKET_PATH_BYTES_MAX} bytes at most, and this one {}: {}",
        path.as_os_str().len(),
        path.display()
    )]
    LongPath {
        /// What was given.
        path: PathBuf,
    },
}

impl PeerUrl {
    /// Whether the peer is on this machine or in its own network, as far as the address tells. A name may be anywhere,
    /// except for `localhost`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let (Address::Http(url) | Address::WebSocket(url)) = &self.0 else { return true };
        match url.host() {
            Some(Host::Ipv4(ip)) => is_local_v4(ip),
            Some(Host::Ipv6(ip)) => match ip.to_ipv4_mapped() {
                Some(ip) => is_local_v4(ip),
                None => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
            },
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
    }

    /// What is spoken there: `http`, `https`, `ws`, `wss` or `ipc`.
    #[must_use]
    pub fn transport(&self) -> &str {
        match &self.0 {
            Address::Http(url) | Address::WebSocket(url) => url.scheme(),
            Address::Ipc(_) => "ipc",
        }
    }

    /// The address, credentials and all.
    pub(super) fn address(&self) -> &Address {
        &self.0
    }
}

fn is_local_v4(ip: std::net::Ipv4Addr) -> bool {
    ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
}

impl FromStr for PeerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = socket_path(text) {
            return socket(path).map(Address::Ipc).map(Self);
        }
        let url = Url::parse(text).map_err(|source| UrlError::Malformed { text: redacted(text), source })?;
        match url.scheme() {
            "http" | "https" => Ok(Self(Address::Http(url))),
            "ws" | "wss" => Ok(Self(Address::WebSocket(url))),
            scheme => Err(UrlError::Scheme { scheme: scheme.into() }),
        }
    }
}

/// The path of a socket, if the text is one.
fn socket_path(text: &str) -> Option<&Path> {
    let named = text.strip_prefix("ipc:").map(|path| path.strip_prefix("//").unwrap_or(path));
    let looks_like_one = ["/", "./", "../"].iter().any(|start| text.starts_with(start))
        || (Path::new(text).extension().is_some_and(|end| end == "ipc") && !text.contains("://"));
    named.or(looks_like_one.then_some(text)).map(Path::new)
}

fn socket(path: &Path) -> Result<PathBuf, UrlError> {
    let length = path.as_os_str().len();
    if length == 0 {
        return Err(UrlError::NoPath);
    }
    let path = path.to_path_buf();
    match length {
        _ if path.starts_with("~") => Err(UrlError::Home { path }),
        _ if length > SOCKET_PATH_BYTES_MAX => Err(UrlError::LongPath { path }),
        _ => Ok(path),
    }
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match &self.0 {
            Address::Http(url) | Address::WebSocket(url) => url,
            Address::Ipc(path) => return write!(f, "{}", path.display()),
        };
        write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        if url.path().len() > 1 || url.query().is_some() { f.write_str("/…") } else { Ok(()) }
    }
}

impl fmt::Debug for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that should be a URL and is none, as it may be shown: the scheme and what seems to be the host.
fn redacted(text: &str) -> String {
    let (scheme, rest) = text.find("://").map_or(("", text), |end| text.split_at(end + 3));
    let (hidden, host) = rest.rsplit_once('@').map_or(("", rest), |(_, host)| ("…@", host));
    let (host, more) = host.find(['/', '?', '#']).map_or((host, ""), |end| (&host[..end], "/…"));
    format!("{scheme}{hidden}{host}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<PeerUrl>().unwrap().to_string()
    }

    #[test]
    fn an_address_is_shown_without_what_may_be_a_secret() {
        assert_eq!(shown("http://127.0.0.1:8545"), "http://127.0.0.1:8545");
        assert_eq!(shown("https://user:secret@node.example/"), "https://node.example");
        assert_eq!(shown("https://node.example/v3/secret"), "https://node.example/…");
        assert_eq!(shown("https://node.example/?key=secret"), "https://node.example/…");
        assert_eq!(shown("wss://user:secret@node.example:8546/secret"), "wss://node.example:8546/…");
    }

    #[test]
    fn a_path_of_a_socket_is_known_by_its_beginning_or_its_end() {
        for path in ["/var/lib/geth/geth.ipc", "/run/node", "./node.sock", "../geth.ipc", "geth.ipc", "data/geth.ipc"] {
            assert_eq!(shown(path), path);
            assert_eq!(shown(&format!("ipc:{path}")), path);
            assert_eq!(shown(&format!("ipc://{path}")), path);
            assert!(matches!(path.parse::<PeerUrl>().unwrap().address(), Address::Ipc(_)));
        }
        assert_eq!(shown("ipc:node"), "node");
        assert!(matches!("https://node.example/geth.ipc".parse::<PeerUrl>().unwrap().address(), Address::Http(_)));
    }

    #[test]
    fn nothing_else_is_spoken() {
        for bad in ["", "127.0.0.1:8545", "ftp://node.example", "localhost:8545", "http://", "ws://", "geth"] {
            assert!(bad.parse::<PeerUrl>().is_err(), "{bad}");
        }
        for bad in ["ipc:", "ipc://"] {
            assert!(matches!(bad.parse::<PeerUrl>(), Err(UrlError::NoPath)), "{bad}");
        }
        assert!(matches!("~/.ethereum/geth.ipc".parse::<PeerUrl>(), Err(UrlError::Home { .. })));
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_named() {
        let path = format!("/{}", "d".repeat(SOCKET_PATH_BYTES_MAX - 1));
        assert_eq!(shown(&path), path);
        let path = format!("{path}d");
        assert!(path.parse::<PeerUrl>().unwrap_err().to_string().contains(&path));
    }

    #[test]
    fn the_transport_is_the_scheme_or_ipc() {
        for (address, transport) in [
            ("http://127.0.0.1", "http"),
            ("https://node.example", "https"),
            ("ws://127.0.0.1", "ws"),
            ("wss://node.example", "wss"),
            ("/data/geth.ipc", "ipc"),
            ("ipc:geth", "ipc"),
        ] {
            assert_eq!(address.parse::<PeerUrl>().unwrap().transport(), transport);
        }
    }

    #[test]
    fn an_address_in_the_own_network_is_local() {
        for local in [
            "http://127.0.0.1:8545",
            "http://localhost",
            "http://geth.localhost",
            "ws://10.1.2.3",
            "https://192.168.1.1",
            "http://172.16.0.1",
            "http://169.254.1.1",
            "http://[::1]:8545",
            "http://[fd00::1]",
            "ws://[fe80::1]",
            "http://[::ffff:10.0.0.1]",
            "/tmp/geth.ipc",
        ] {
            assert!(local.parse::<PeerUrl>().unwrap().is_local(), "{local}");
        }
        for remote in ["https://node.example", "http://8.8.8.8", "ws://[2001:db8::1]", "http://localhost.example"] {
            assert!(!remote.parse::<PeerUrl>().unwrap().is_local(), "{remote}");
        }
    }
}
