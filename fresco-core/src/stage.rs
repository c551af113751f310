//! How far an operation got: what its steps hand to each other, and what the store keeps.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::ImageId;
use crate::operation::Failure;
use crate::step::{Action, Step};
use crate::tenant::ContainerRef;

/// Whether an operation goes on or takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It walks [`Action::steps`].
    Forward,
    /// A step failed for good: it walks [`Action::undo_steps`].
    Undo,
}

/// What a step saw before its first effect, and so what the operation *made*.
///
/// The first one counts: when a step is repeated, the thing is there because of the try before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// It was absent: the operation makes it.
    Make,
    /// It was there: the operation keeps or replaces it.
    Keep,
}

/// How far an operation got.
///
/// It is stored in a versioned form, so that an operation survives an update of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
#[non_exhaustive]
pub struct Stage {
    /// Going on, or taking back.
    pub direction: Direction,
    /// The step to run next; `None` once all of this direction are done.
    pub next: Option<Step>,
    /// The image that [`Step::Image`] pinned.
    pub image: Option<ImageId>,
    /// What [`Step::Database`] saw first.
    pub database: Option<Intent>,
    /// What [`Step::Container`] or [`Step::Start`] saw first: [`Intent::Keep`], there was one (for a
    /// start: it ran).
    pub container: Option<Intent>,
    /// The container that runs, or will.
    pub instance: Option<ContainerRef>,
    /// The database's own time before the container was started: the app is ready once its role
    /// holds a session that is newer.
    pub started_after: Option<DateTime<Utc>>,
    /// What failed, once [`Direction::Undo`] began.
    pub failure: Option<Failure>,
}

impl Stage {
    /// The stage of an operation that has not begun.
    #[must_use]
    pub fn first(action: Action) -> Self {
        Self {
            direction: Direction::Forward,
            next: action.steps().first().copied(),
            image: None,
            database: None,
            container: None,
            instance: None,
            started_after: None,
            failure: None,
        }
    }

    /// The stage after the current step.
    #[must_use]
    pub fn advanced(mut self, action: Action) -> Self {
        let steps = self.steps(action);
        self.next = self
            .next
            .and_then(|now| steps.iter().position(|step| *step == now))
            .and_then(|index| steps.get(index + 1).copied());
        self
    }

    /// The stage that begins to take back, because of this failure.
    #[must_use]
    pub fn undoing(mut self, action: Action, failure: Failure) -> Self {
        self.direction = Direction::Undo;
        // A failed update that never touched the container has nothing to take back.
        let untouched = action == Action::Update && self.container.is_none();
        self.next = if untouched { None } else { action.undo_steps().first().copied() };
        self.failure = Some(failure);
        self
    }

    /// The steps of the current direction.
    #[must_use]
    pub const fn steps(&self, action: Action) -> &'static [Step] {
        match self.direction {
            Direction::Forward => action.steps(),
            Direction::Undo => action.undo_steps(),
        }
    }
}

/// What the store keeps. A version, once released, stays readable for ever: a new one is added
/// beside it, and `From` leads to the newest.
#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum Stored {
    #[serde(rename = "1")]
    V1(StageV1),
}

#[derive(Serialize, Deserialize)]
struct StageV1 {
    direction: Direction,
    next: Option<Step>,
    image: Option<ImageId>,
    database: Option<Intent>,
    container: Option<Intent>,
    instance: Option<ContainerRef>,
    started_after: Option<DateTime<Utc>>,
    failure: Option<Failure>,
}

impl From<Stored> for Stage {
    fn from(stored: Stored) -> Self {
        let Stored::V1(v1) = stored;
        Self {
            direction: v1.direction,
            next: v1.next,
            image: v1.image,
            database: v1.database,
            container: v1.container,
            instance: v1.instance,
            started_after: v1.started_after,
            failure: v1.failure,
        }
    }
}

impl From<Stage> for Stored {
    fn from(stage: Stage) -> Self {
        Self::V1(StageV1 {
            direction: stage.direction,
            next: stage.next,
            image: stage.image,
            database: stage.database,
            container: stage.container,
            instance: stage.instance,
            started_after: stage.started_after,
            failure: stage.failure,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    /// As version 1 was written. Never change it: stored operations look like this.
    const V1: &str = include_str!("../fixtures/stage-v1.json");

    #[test]
    fn version_1_stays_readable() {
        let stage: Stage = serde_json::from_str(V1).unwrap();
        assert_eq!(stage.direction, Direction::Undo);
        assert_eq!(stage.next, Some(Step::RemoveContainer));
        assert_eq!(stage.database, Some(Intent::Make));
        assert_eq!(stage.failure.as_ref().unwrap().kind, ErrorKind::Unavailable);
        let again = serde_json::to_value(&stage).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(V1).unwrap());
    }

    #[test]
    fn every_action_walks_all_its_steps() {
        for action in Action::ALL {
            let mut stage = Stage::first(action);
            let mut walked = Vec::new();
            while let Some(step) = stage.next {
                walked.push(step);
                stage = stage.advanced(action);
            }
            assert_eq!(walked, action.steps());
        }
    }

    #[test]
    fn an_update_that_never_touched_the_container_has_nothing_to_take_back() {
        let failure = Failure::new(ErrorKind::NotFound, Step::Image, "no such image");
        let stage = Stage::first(Action::Update).undoing(Action::Update, failure);
        assert_eq!(stage.next, None);
    }
}
