//! The lists of cases, and what turns them into tests.
//!
//! A list knows nothing of what becomes of it: it hands its names to the macro that it is given.

/// Turns a list of cases into tests.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($module:ident, $fixture:expr, $attributes:tt, $($case:ident)*) => {
        $($crate::__conformance_test!($module, $fixture, $attributes, $case);)*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_test {
    ($module:ident, $fixture:expr, [$(#[$attribute:meta])*], $case:ident) => {
        #[::tokio::test(flavor = "multi_thread")]
        $(#[$attribute])*
        async fn $case() {
            let fixture = { $fixture };
            $crate::conformance::run(fixture, $crate::conformance::$module::$case).await;
        }
    };
}

/// Turns a list of cases into an array of their names.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_names {
    ($($case:ident)*) => {
        [$(stringify!($case)),*]
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __runtime_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            prepare_uses_what_is_there
            prepare_keeps_a_pinned_image
            prepare_names_a_missing_image
            ensure_makes_one
            ensure_keeps_the_same_revision
            ensure_replaces_another_revision
            ensure_leaves_at_most_one
            ensure_refuses_a_lower_generation
            ensure_refuses_foreign_containers
            ensure_refuses_a_missing_image
            ensure_tells_what_is_not_enforced
            start_twice_changes_nothing
            start_runs_a_stopped_one_again
            start_refuses_an_unknown_one
            stop_ends_it
            stop_ends_one_that_ignores_it
            stop_tolerates_what_does_not_run
            remove_takes_it_off_the_list
            remove_tolerates_an_unknown_one
            remove_refuses_another_platforms
            list_includes_stopped_ones
            list_leaves_out_other_platforms
            list_tells_the_limits
            logs_tell_the_streams_apart
            logs_outlive_a_stop
            logs_refuse_an_unknown_one
            probe_gives_the_status
            probe_of_one_that_hangs_is_silent
            probe_of_one_that_does_not_listen_is_unreachable
            probe_refuses_an_unknown_one
            health_names_the_runtime
        }
    };
}

/// A test for every promise of [`ContainerRuntime`](crate::ContainerRuntime).
///
/// Give it an expression of a [`RuntimeFixture`](crate::conformance::RuntimeFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! runtime_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__runtime_cases!(
            __conformance_tests,
            runtime, $fixture, [$($(#[$attribute])+)?],
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __runtime_fetch_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            prepare_fetches_what_is_not_there
        }
    };
}

/// A test for what a [`ContainerRuntime`](crate::ContainerRuntime) that fetches images promises
/// beyond the others.
///
/// Give it an expression of a [`RuntimeFetchFixture`](crate::conformance::RuntimeFetchFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! runtime_fetch_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__runtime_fetch_cases!(
            __conformance_tests,
            runtime, $fixture, [$($(#[$attribute])+)?],
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __runtime_metrics_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            sample_measures_side_by_side
            sample_finds_use
        }
    };
}

/// A test for every promise of [`RuntimeMetrics`](crate::RuntimeMetrics).
///
/// Give it an expression of a [`RuntimeMetricsFixture`](crate::conformance::RuntimeMetricsFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! runtime_metrics_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__runtime_metrics_cases!(
            __conformance_tests,
            runtime, $fixture, [$($(#[$attribute])+)?],
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __runtime_events_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            watch_tells_start_end_and_removal
        }
    };
}

/// A test for every promise of [`RuntimeEvents`](crate::RuntimeEvents).
///
/// Give it an expression of a [`RuntimeEventsFixture`](crate::conformance::RuntimeEventsFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! runtime_events_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__runtime_events_cases!(
            __conformance_tests,
            runtime, $fixture, [$($(#[$attribute])+)?],
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __runtime_resize_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            resize_holds_at_once
            resize_refuses_an_unknown_one
        }
    };
}

/// A test for every promise of [`RuntimeResize`](crate::RuntimeResize).
///
/// Give it an expression of a [`RuntimeResizeFixture`](crate::conformance::RuntimeResizeFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! runtime_resize_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__runtime_resize_cases!(
            __conformance_tests,
            runtime, $fixture, [$($(#[$attribute])+)?],
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __runtime_isolation_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            isolation_in_place_is_left
            isolation_taken_away_is_put_back
            isolation_in_place_is_proved
            isolation_missing_is_found
        }
    };
}

/// A test for every promise of [`RuntimeIsolation`](crate::RuntimeIsolation).
///
/// Give it an expression of a [`RuntimeIsolationFixture`](crate::conformance::RuntimeIsolationFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! runtime_isolation_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__runtime_isolation_cases!(
            __conformance_tests,
            runtime, $fixture, [$($(#[$attribute])+)?],
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __database_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            ensure_makes_role_and_storage
            ensure_twice_changes_nothing
            ensure_completes_halves
            ensure_refuses_a_lower_generation
            ensure_refuses_a_lower_generation_after_removal
            ensure_refuses_foreign_things
            ensure_refuses_the_other_isolation
            ensure_of_many_at_once
            issue_lets_one_in
            issue_ends_the_password_before_it
            issue_clears_settings_of_the_role
            issue_is_listed
            issue_needs_ensure
            issue_refuses_a_lower_generation
            remove_leaves_nothing
            remove_works_while_connected
            remove_tolerates_an_absent_one
            remove_refuses_a_lower_generation
            remove_refuses_another_platforms
            list_includes_halves
            list_tells_who_is_locked
            list_leaves_out_other_platforms
            activity_sees_a_new_session
            activity_without_sessions_is_no_error
            health_names_the_server
        }
    };
}

/// A test for every promise of [`TenantDatabase`](crate::TenantDatabase), for the isolation of the
/// fixture.
///
/// Give it an expression of a [`DatabaseFixture`](crate::conformance::DatabaseFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! database_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__database_cases!(
            __conformance_tests,
            database, $fixture, [$($(#[$attribute])+)?],
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __database_metrics_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            measure_counts_tables_and_bytes
            measure_reads_nothing_of_the_tenants
            measure_refuses_an_unknown_tenant
        }
    };
}

/// A test for every promise of [`DatabaseMetrics`](crate::DatabaseMetrics).
///
/// Give it an expression of a [`DatabaseMetricsFixture`](crate::conformance::DatabaseMetricsFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! database_metrics_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__database_metrics_cases!(
            __conformance_tests,
            database, $fixture, [$($(#[$attribute])+)?],
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __database_snapshots_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            dump_is_of_one_moment
            dump_holds_nothing_of_others
            dump_that_is_dropped_leaves_nothing
            dump_refuses_an_unknown_tenant
            dump_refuses_another_platforms
            restore_brings_back_what_was
            restore_fills_a_tenant_made_anew
            restore_keeps_the_credentials
            restore_works_while_connected
            restore_refuses_what_is_no_copy
            restore_refuses_another_tenants_copy
            restore_hands_on_an_error_of_the_stream
            restore_leaves_nothing_behind
            restore_refuses_a_lower_generation
            restore_refuses_an_unknown_tenant
        }
    };
}

/// A test for every promise of [`DatabaseSnapshots`](crate::DatabaseSnapshots).
///
/// Give it an expression of a [`DatabaseSnapshotsFixture`](crate::conformance::DatabaseSnapshotsFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! database_snapshots_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__database_snapshots_cases!(
            __conformance_tests,
            database, $fixture, [$($(#[$attribute])+)?],
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __database_watch_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            inspect_tells_who_keeps_too_much
            inspect_locks_the_offender_out
            inspect_leaves_others_alone
            inspect_leaves_out_other_platforms
            barred_lists_offenders
            barred_is_empty_at_first
            barred_forgets_removed_tenants
            admit_lets_it_in_again
            admit_comes_with_new_credentials
            admit_tolerates_who_is_not_barred
            admit_refuses_a_lower_generation
        }
    };
}

/// A test for every promise of [`DatabaseWatch`](crate::DatabaseWatch).
///
/// Give it an expression of a [`DatabaseWatchFixture`](crate::conformance::DatabaseWatchFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! database_watch_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__database_watch_cases!(
            __conformance_tests,
            database, $fixture, [$($(#[$attribute])+)?],
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __router_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            plan_gives_a_url
            plan_is_the_same_every_time
            plan_hides_the_subdomain
            publish_makes_it_live
            publish_twice_changes_nothing
            publish_moves_the_route
            publish_of_a_gated_one_makes_it_live
            publish_with_a_gate_keeps_out_whom_it_refuses
            publish_with_a_gate_lets_in_whom_it_allows
            publish_with_a_gate_that_is_away_keeps_all_out
            publish_with_an_opened_gate_lets_all_in
            publish_with_a_gate_closed_again_keeps_out
            withdraw_ends_it
            withdraw_tolerates_an_absent_one
            probe_of_an_unknown_route_is_absent
            probe_of_a_wrong_answer_is_pending
            probe_of_another_generation_is_pending
            probe_believes_only_the_proxys_mark
            probe_without_a_proxy_is_unavailable
            list_includes_a_live_route
            list_leaves_out_what_is_gone
            health_names_the_proxy
        }
    };
}

/// A test for every promise of [`Router`](crate::Router).
///
/// Give it an expression of a [`RouterFixture`](crate::conformance::RouterFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! router_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__router_cases!(
            __conformance_tests,
            router, $fixture, [$($(#[$attribute])+)?],
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_cases {
    ($then:ident $(, $($with:tt)*)?) => {
        $crate::$then! { $($($with)*)?
            platform_is_always_the_same
            create_is_all_or_nothing
            create_again_gives_the_first
            create_refuses_a_taken_subdomain
            create_reuses_a_destroyed_tenants_subdomain
            create_keeps_a_subdomain_for_its_former_owner
            create_of_a_kept_subdomain_by_two
            create_of_one_subdomain_by_many
            create_needs_room
            create_of_many_for_little_room
            create_within_an_owners_tenants
            create_within_an_owners_hour
            create_of_many_by_one_owner
            request_again_gives_the_first
            request_refuses_while_one_is_unfinished
            request_of_a_destroy_cancels
            request_of_a_second_destroy_gives_the_first
            request_refuses_another_generation
            request_refuses_unknown_and_destroyed_tenants
            request_of_an_update_keeps_the_previous
            request_needs_room
            request_of_a_create_takes_its_room
            request_of_a_create_counts_as_one
            lease_goes_to_one_of_many
            lease_without_work_is_none
            lease_takes_over_a_dead_workers
            lease_leaves_what_was_released_for_later
            renew_keeps_a_lease
            renew_refuses_a_lost_one
            record_is_all_or_nothing
            record_after_losing_the_lease_writes_nothing
            record_numbers_events
            record_notes_when_a_tenant_was_destroyed
            record_of_the_end_forgets_the_apps_last_lines
            release_lets_others_in
            release_counts_no_death
            tenants_are_filtered_and_paged
            operation_refuses_an_unknown_one
            operations_are_limited
            history_is_filtered_and_paged
            history_knows_destroyed_tenants
            events_are_told_once
            events_of_a_finished_operation_end
            events_of_other_programs_are_told
            events_refuse_an_unknown_operation
            announce_reaches_open_streams
            health_names_the_store
        }
    };
}

/// A test for every promise of [`Store`](crate::Store).
///
/// Give it an expression of a [`StoreFixture`](crate::conformance::StoreFixture), which is
/// evaluated for each case, and, after a comma, attributes for all tests.
#[macro_export]
macro_rules! store_conformance {
    ($fixture:expr $(, $(#[$attribute:meta])+)? $(,)?) => {
        $crate::__store_cases!(
            __conformance_tests,
            store, $fixture, [$($(#[$attribute])+)?],
        );
    };
}
