//! The table of requests: what is wanted, who waits for it, and how far it is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use crate::trie::{Item, Key};

/// A request's place in the table. Places are reused; the generation tells a new tenant from an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    place: u32,
    generation: u32,
}

/// Those who wait for a request. Nearly always one; more take an allocation.
pub(super) type Parents = SmallVec<[Id; 2]>;

/// One wanted node or code.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) item: Item,
    pub(super) state: State,
    /// Its bytes, from verification to the next commit, which hands them to the store.
    pub(super) bytes: Option<Vec<u8>>,
    /// The requests that wait for this one, with a repeat for each reference: a branch with two equal children
    /// waits twice. Empty for the root.
    pub(super) parents: Parents,
    /// References of its node that are not complete yet.
    pub(super) waits_for: u32,
    /// Part of the key space that is done when this request is, beyond what its children account for.
    pub(super) share: u64,
    /// Whether staging holds its bytes, so that completion has to remove them there.
    pub(super) staged: bool,
    /// Whether its node is a branch, once that has come.
    pub(super) is_branch: bool,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has looked yet whether the store holds it.
    Unknown,
    /// The store is being asked.
    LookingUp,
    /// The store lacks it; it waits in its level's queue.
    Wanted,
    /// Handed out to be fetched.
    Fetching,
    /// Its bytes are verified; something below it is not complete.
    Verified,
    /// Complete and on its way to the store.
    Complete,
}

/// Requests by place and by key.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: Vec<(u32, Option<Request>)>,
    free: Vec<u32>,
    by_key: HashMap<Key, Id, RandomState>,
}

/// What [`Table::find_or_insert`] found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Known(Id),
    New(Id),
}

impl Request {
    fn new(item: Item, parent: Option<Id>) -> Self {
        let parents = parent.into_iter().collect();
        Self {
            item,
            state: State::Unknown,
            bytes: None,
            parents,
            waits_for: 0,
            share: 0,
            staged: false,
            is_branch: false,
        }
    }
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.places.iter().filter_map(|(_, tenant)| tenant.as_ref())
    }

    pub(super) fn find(&self, key: &Key) -> Option<Id> {
        self.by_key.get(key).copied()
    }

    pub(super) fn get(&self, id: Id) -> Option<&Request> {
        self.places.get(id.place as usize).filter(|(generation, _)| *generation == id.generation)?.1.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Request> {
        self.places.get_mut(id.place as usize).filter(|(generation, _)| *generation == id.generation)?.1.as_mut()
    }

    /// The request for an item; a new one, that `parent` waits for, if there is none.
    pub(super) fn find_or_insert(&mut self, item: Item, parent: Option<Id>) -> Found {
        let entry = match self.by_key.entry(item.key) {
            Entry::Occupied(entry) => return Found::Known(*entry.get()),
            Entry::Vacant(entry) => entry,
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            // The byte budget keeps the table far below 2^32 requests (some 900 GB of them).
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let mut id = Id { place, generation: 0 };
        if let Some((generation, tenant)) = self.places.get_mut(place as usize) {
            id.generation = *generation;
            *tenant = Some(Request::new(item, parent));
        }
        entry.insert(id);
        Found::New(id)
    }

    /// Forgets a request, if it is still there, and gives it back.
    pub(super) fn remove(&mut self, id: Id) -> Option<Request> {
        let (generation, tenant) = self.places.get_mut(id.place as usize)?;
        if *generation != id.generation {
            return None;
        }
        let request = tenant.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(id.place);
        self.by_key.remove(&request.item.key);
        Some(request)
    }
}
