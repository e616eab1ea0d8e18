//! Which part of a state is meant: all of it, or the accounts whose keys begin with one of some prefixes.

use std::fmt;

use primitive_types::H256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::nibbles::Nibbles;

/// Prefixes that are shown one by one; of more, only the number.
const SHOWN: usize = 4;

/// A part of the key space of accounts. An account in it is in it with its storage and its code.
// Sorted, and none begins with another: so one look tells which of them a path has to do with. The whole is the one
// prefix that every key has.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Scope(Vec<Nibbles>);

/// Not the beginning of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not 0x and 1 to 64 hex digits")]
pub struct PrefixError;

impl Scope {
    /// All of a state.
    #[must_use]
    pub fn whole() -> Self {
        Self(vec![Nibbles::EMPTY])
    }

    /// The accounts whose keys begin with one of these; none, without any.
    #[must_use]
    pub fn of(prefixes: impl IntoIterator<Item = Nibbles>) -> Self {
        let mut prefixes: Vec<Nibbles> = prefixes.into_iter().collect();
        prefixes.sort_unstable();
        // What begins with a prefix comes right after it.
        prefixes.dedup_by(|path, kept| path.starts_with(kept));
        Self(prefixes)
    }

    /// What is in one of the two.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0).copied())
    }

    /// Whether it is all of a state.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0.first().is_some_and(Nibbles::is_empty)
    }

    /// Itself, unless it is all of a state.
    #[must_use]
    pub fn part(&self) -> Option<&Self> {
        if self.is_whole() { None } else { Some(self) }
    }

    /// Its share of the key space, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        let share = |prefix: &Nibbles| i32::try_from(prefix.len()).map_or(0.0, |len| 16_f64.powi(-len));
        self.0.iter().map(share).sum()
    }

    /// The prefixes, in their order.
    #[must_use]
    pub fn prefixes(&self) -> &[Nibbles] {
        &self.0
    }

    /// Whether all that is below this path in the account trie is in it.
    #[must_use]
    pub fn covers(&self, path: &Nibbles) -> bool {
        self.covering(path).is_some()
    }

    /// The prefix with which this path begins.
    pub(super) fn covering(&self, path: &Nibbles) -> Option<&Nibbles> {
        let after = self.0.partition_point(|prefix| prefix <= path);
        let prefix = self.0.get(after.checked_sub(1)?)?;
        path.starts_with(prefix).then_some(prefix)
    }

    /// Whether an account is in it, by its key.
    #[must_use]
    pub fn has(&self, key: &H256) -> bool {
        self.covers(&Nibbles::from_key(key))
    }

    /// Whether anything below this path can be in it: whether the path is on the way to a prefix, or below one.
    #[must_use]
    pub fn leads_to(&self, path: &Nibbles) -> bool {
        self.covers(path) || !self.below(path).is_empty()
    }

    /// The prefixes that begin with this path.
    pub(super) fn below(&self, path: &Nibbles) -> &[Nibbles] {
        let from = self.0.partition_point(|prefix| prefix < path);
        let rest = self.0.get(from..).unwrap_or_default();
        let count = rest.partition_point(|prefix| prefix.starts_with(path));
        rest.get(..count).unwrap_or_default()
    }

    /// Whether all that is in the other is in this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|prefix| self.covers(prefix))
    }

    /// The prefixes as text.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|prefix| format!("0x{prefix}"))
    }

    /// Reads a prefix: `0x` and 1 to 64 hex digits, of a key and so of a hash.
    ///
    /// # Errors
    /// [`PrefixError`] for anything else.
    pub fn prefix(text: &str) -> Result<Nibbles, PrefixError> {
        nibbles(text).filter(|prefix| !prefix.is_empty()).ok_or(PrefixError)
    }
}

fn nibbles(text: &str) -> Option<Nibbles> {
    let digits = text.strip_prefix("0x")?;
    let digit = |path: Nibbles, digit: char| path.push(u8::try_from(digit.to_digit(16)?).ok()?);
    digits.chars().try_fold(Nibbles::EMPTY, digit)
}

impl Default for Scope {
    fn default() -> Self {
        Self::whole()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_whole() {
            return f.write_str("all of it");
        }
        let shown: Vec<String> = self.texts().take(SHOWN).collect();
        f.write_str(&shown.join(", "))?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.texts()).finish()
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.texts())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let prefixes: Option<Vec<Nibbles>> = texts.iter().map(|text| nibbles(text)).collect();
        Ok(Self::of(prefixes.ok_or_else(|| serde::de::Error::custom(PrefixError))?))
    }
}

#[cfg(test)]
mod tests;
