//! Making containers.

use secrecy::ExposeSecret;

use super::{done, in_generation, listed, prepared, spec, the_one};
use crate::conformance::support::refused;
use crate::conformance::{ExampleApp, RuntimeFixture};
use crate::{CredentialId, ErrorKind, Generation, InstanceState, Limits};

/// Without a container, one is made, and its values are the spec's.
pub async fn ensure_makes_one<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, spec) = (fixture.runtime(), spec(fixture, ExampleApp::Serves).await);
    assert_eq!(listed(&runtime, spec.tenant).await, [], "a new tenant should have no container");
    let made = done("ensure", runtime.ensure(&spec).await);
    assert_eq!(made.tenant, spec.tenant, "tenant of the new container");
    assert_eq!(made.generation, spec.generation, "generation of the new container");
    assert_eq!(made.credential, spec.credential, "credential of the new container");
    assert_eq!(made.revision, spec.revision(), "revision of the new container");
    assert_eq!(made.state, InstanceState::Created, "ensure should not start it");
    assert_eq!(made.endpoint, None, "what does not run can't be reached");
    assert_eq!(the_one(&runtime, spec.tenant).await, made, "list should tell the same as ensure");
    let environment = fixture.environment_of(&made.id).await;
    for (name, value) in &spec.environment {
        assert_eq!(
            environment.get(name.as_str()).map(String::as_str),
            Some(value.expose_secret()),
            "variable {name} of the container"
        );
    }
}

/// A container with the same [`Revision`] is kept, running or not: same id.
///
/// [`Revision`]: crate::Revision
pub async fn ensure_keeps_the_same_revision<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, spec) = (fixture.runtime(), spec(fixture, ExampleApp::Serves).await);
    let made = done("ensure", runtime.ensure(&spec).await);
    let kept = done("ensure again", runtime.ensure(&in_generation(&spec, 2)).await);
    assert_eq!(kept.id, made.id, "the container should be kept");
    assert_eq!(kept.generation, made.generation, "it was made in the first generation");
    done("start", runtime.start(&made.id).await);
    let kept = done("ensure of a running one", runtime.ensure(&in_generation(&spec, 3)).await);
    assert_eq!(kept.id, made.id, "the running container should be kept");
    assert!(kept.is_running(), "the running container should run on: {kept:?}");
}

/// A container with another revision is replaced: stopped, removed, made anew, other id.
pub async fn ensure_replaces_another_revision<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, first) = (fixture.runtime(), spec(fixture, ExampleApp::Serves).await);
    let made = done("ensure", runtime.ensure(&first).await);
    done("start", runtime.start(&made.id).await);
    let mut second = in_generation(&first, 2);
    second.limits = Limits { memory_mb: first.limits.memory_mb + 64, ..first.limits };
    second.image = prepared(&runtime, fixture.second_image()).await;
    let replaced = done("ensure with other limits", runtime.ensure(&second).await);
    assert_ne!(replaced.id, made.id, "a container of another revision should be replaced");
    assert_eq!(replaced.revision, second.revision(), "revision of the new container");
    assert_eq!(replaced.generation, second.generation, "generation of the new container");
    assert_eq!(replaced.state, InstanceState::Created, "the new container is not started");
    assert_eq!(the_one(&runtime, first.tenant).await, replaced, "the old container should be gone");
}

/// Of several containers of the tenant, at most one is left.
pub async fn ensure_leaves_at_most_one<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, spec) = (fixture.runtime(), spec(fixture, ExampleApp::Serves).await);
    done("ensure", runtime.ensure(&spec).await);
    fixture.make_surplus(spec.tenant).await;
    let before = listed(&runtime, spec.tenant).await;
    assert_eq!(before.len(), 2, "the fixture's surplus container should be listed: {before:?}");
    let kept = done("ensure", runtime.ensure(&in_generation(&spec, 2)).await);
    assert_eq!(the_one(&runtime, spec.tenant).await, kept, "only what ensure returned is left");
}

/// A spec of a lower generation than the container's is `LeaseLost` and changes nothing.
pub async fn ensure_refuses_a_lower_generation<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, spec) = (fixture.runtime(), spec(fixture, ExampleApp::Serves).await);
    let made = done("ensure", runtime.ensure(&in_generation(&spec, 5)).await);
    let late = in_generation(&spec, 4);
    refused("a late ensure", runtime.ensure(&late).await, ErrorKind::LeaseLost);
    let mut other = late;
    other.credential = CredentialId::new();
    refused("a late ensure of another", runtime.ensure(&other).await, ErrorKind::LeaseLost);
    assert_eq!(the_one(&runtime, spec.tenant).await, made, "the container should be as it was");
    assert_eq!(made.generation, Generation::new(5), "generation of the container");
}

/// A container of this name that carries another platform's mark, or none, is `Conflict` and
/// is left alone.
pub async fn ensure_refuses_foreign_containers<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, other) = (fixture.runtime(), fixture.other_platform());
    let first = spec(fixture, ExampleApp::Serves).await;
    let theirs = done("ensure by the other platform", other.ensure(&first).await);
    let late = in_generation(&first, 2);
    refused("ensure over another platform's", runtime.ensure(&late).await, ErrorKind::Conflict);
    assert_eq!(the_one(&other, first.tenant).await, theirs, "theirs should be as it was");
    assert_eq!(listed(&runtime, first.tenant).await, [], "nothing of ours should be there");

    let second = spec(fixture, ExampleApp::Serves).await;
    fixture.make_unmarked(second.tenant).await;
    let result = runtime.ensure(&second).await;
    refused("ensure over a container without a mark", result, ErrorKind::Conflict);
    assert!(fixture.unmarked_is_there(second.tenant).await, "it should be left alone");
}

/// An image that is not there is `NotFound`.
pub async fn ensure_refuses_a_missing_image<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let runtime = fixture.runtime();
    let mut spec = spec(fixture, ExampleApp::Serves).await;
    spec.image = fixture.missing_image_id();
    refused("ensure of a missing image", runtime.ensure(&spec).await, ErrorKind::NotFound);
    assert_eq!(listed(&runtime, spec.tenant).await, [], "nothing should have been made");
}

/// What can't be enforced is in [`Instance::unenforced`].
///
/// [`Instance::unenforced`]: crate::Instance::unenforced
pub async fn ensure_tells_what_is_not_enforced<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, spec) = (fixture.runtime(), spec(fixture, ExampleApp::Serves).await);
    let mut told = done("ensure", runtime.ensure(&spec).await).unenforced;
    let mut known = fixture.unenforced();
    told.sort_unstable();
    known.sort_unstable();
    assert_eq!(told, known, "what the container tells should be what is known of this runtime");
}
