//! How many streams one person may have open at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::http::problem::Problem;

/// Streams of one person. Each takes a connection, and files with it, for as long as it is open; a
/// browser opens six to a server at most.
const MOST: usize = 32;

/// Who has how many streams open on this server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<Uuid, usize>>>);

/// One open stream; its end makes room for another.
#[derive(Debug)]
pub(crate) struct Stream {
    streams: Streams,
    person: Uuid,
}

impl Streams {
    /// A further stream of this person, or a 429.
    pub(crate) fn open(&self, person: Uuid) -> Result<Stream, Problem> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.entry(person).or_default();
        if *open == MOST {
            return Err(Problem::too_many_streams(MOST));
        }
        *open += 1;
        Ok(Stream { streams: self.clone(), person })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut all = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = all.get_mut(&self.person) {
            *open -= 1;
            if *open == 0 {
                all.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_person_has_so_many_and_an_end_makes_room() {
        let streams = Streams::default();
        let (ada, bob) = (Uuid::new_v4(), Uuid::new_v4());
        let mut open: Vec<_> = (0..MOST).map(|_| streams.open(ada).unwrap()).collect();
        assert_eq!(streams.open(ada).unwrap_err().code(), "too_many_streams");
        assert!(streams.open(bob).is_ok());
        open.pop();
        open.push(streams.open(ada).unwrap());
        assert!(streams.open(ada).is_err());
        drop(open);
        assert!(streams.0.lock().unwrap().is_empty(), "nobody is kept who listens no more");
    }
}
