//! The tokens of geth's authenticated port.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The length of a secret.
const SECRET_BYTES: usize = 32;

/// The longest file that is read for a secret: it has 64 digits, a prefix and some white space.
const FILE_BYTES_MAX: u64 = 1024;

/// The first part of every token.
const HEADER: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;

/// A secret shared with a node, which makes tokens: HS256 over the time, which geth takes for a minute.
#[derive(Clone)]
pub struct JwtSecret([u8; SECRET_BYTES]);

/// A file holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// It cannot be read.
    #[error("the JWT secret {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{} is not a JWT secret, which is {} hex digits and nothing else", path.display(), 2 * SECRET_BYTES)]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl JwtSecret {
    /// Reads a secret from a file: 64 hex digits, with `0x` before them or not, as geth writes it.
    ///
    /// # Errors
    /// [`JwtError`] when it is not there or is none.
    pub fn read(path: &Path) -> Result<Self, JwtError> {
        let mut text = Vec::new();
        let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut text));
        read.map_err(|source| JwtError::Unreadable { path: path.into(), source })?;
        let digits = text.trim_ascii();
        let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
        let mut secret = [0; SECRET_BYTES];
        if digits.len() != 2 * SECRET_BYTES || faster_hex::hex_decode(digits, &mut secret).is_err() {
            return Err(JwtError::Malformed { path: path.into() });
        }
        Ok(Self(secret))
    }

    /// The secret with these bytes.
    #[must_use]
    pub fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        Self(*secret)
    }

    /// A token issued at `now`.
    pub(super) fn token(&self, now: SystemTime) -> String {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut token = BASE64_URL_SAFE_NO_PAD.encode(HEADER);
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(format!(r#"{{"iat":{seconds}}}"#), &mut token);
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), token.as_bytes());
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }
}

impl fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<JwtSecret, JwtError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        JwtSecret::read(file.path())
    }

    fn token(secret: &JwtSecret) -> String {
        secret.token(UNIX_EPOCH + Duration::from_secs(1_700_000_000))
    }

    #[test]
    fn a_token_is_what_other_programs_make_of_the_same() {
        // By Python's hmac over the base64 of {"alg":"HS256","typ":"JWT"} and {"iat":1700000000}.
        let expected = concat!(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3MDAwMDAwMDB9.",
            "DvABOLAgR9rZ2jS6KZyERyGLvYGPFPj_gSVIOJatu7I"
        );
        assert_eq!(token(&JwtSecret::new(&[0x42; 32])), expected);
    }

    #[test]
    fn a_secret_is_read_with_a_prefix_or_without_and_with_space_around() {
        let digits = "42".repeat(32);
        let expected = token(&JwtSecret::new(&[0x42; 32]));
        for text in [digits.clone(), format!("0x{digits}"), format!(" \n0x{digits}\r\n")] {
            assert_eq!(token(&read(&text).unwrap()), expected, "{text:?}");
        }
        assert_eq!(token(&read("aB".repeat(32)).unwrap()), token(&JwtSecret::new(&[0xab; 32])));
    }

    #[test]
    fn anything_else_is_refused_and_not_shown() {
        let digits = "42".repeat(32);
        let with_a_letter = format!("{}zz", "42".repeat(31));
        for text in ["", "0x", &digits[1..], &format!("{digits}42"), &with_a_letter, &digits.repeat(100)] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, JwtError::Malformed { .. }), "{error}");
            assert!(!error.to_string().contains("4242"), "{error}");
        }
        assert!(matches!(read([0xff; 64]), Err(JwtError::Malformed { .. })));
        assert_eq!(format!("{:?}", read(&digits).unwrap()), "JwtSecret(…)");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = JwtSecret::read(Path::new("/nowhere/jwt.hex")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/jwt.hex"), "{error}");
    }
}
