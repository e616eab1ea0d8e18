//! The parameters of a call.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::reply::Refusal;

/// The positional parameters of one call, each still unread.
#[derive(Debug)]
pub(super) struct Params<'a>(Vec<&'a RawValue>);

impl<'a> Params<'a> {
    /// Reads a call's `params`, of which there may be none and at most `max`. Members must be positional, as in geth.
    pub(super) fn read(raw: Option<&'a RawValue>, max: usize) -> Result<Self, Refusal> {
        let Some(raw) = raw else { return Ok(Self(Vec::new())) };
        let values: Vec<&RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| Refusal::invalid_params("non-array args"))?;
        if values.len() > max {
            return Err(Refusal::invalid_params(format!("too many arguments, want at most {max}")));
        }
        Ok(Self(values))
    }

    /// The parameter at `place`, which must be there.
    pub(super) fn required(&self, place: usize) -> Result<&'a RawValue, Refusal> {
        let missing = || Refusal::invalid_params(format!("missing value for required argument {place}"));
        self.optional(place).ok_or_else(missing)
    }

    /// The parameter at `place`, if it is there.
    pub(super) fn optional(&self, place: usize) -> Option<&'a RawValue> {
        self.0.get(place).copied().filter(|raw| raw.get() != "null")
    }

    /// The parameter at `place`, which must be there and a string.
    pub(super) fn text(&self, place: usize) -> Result<Cow<'a, str>, Refusal> {
        text(self.required(place)?).ok_or_else(|| invalid(place, "a string"))
    }
}

/// The refusal of a parameter that is not `what`.
pub(super) fn invalid(place: usize, what: &str) -> Refusal {
    Refusal::invalid_params(format!("invalid argument {place}: not {what}"))
}

/// A JSON string's text, borrowed where it has no escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A JSON string's text, borrowed where it has no escapes.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}
