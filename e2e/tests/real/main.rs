//! The whole library on real Docker, PostgreSQL and Traefik. One stack serves all tests; each test
//! has a platform of its own on it. `cargo test -p fresco-e2e -- --ignored` runs them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]
#![allow(unreachable_pub, reason = "a module of several test programs")]

mod apps;
mod browser;
mod census;
mod claim;
mod crash;
mod dashboard;
mod dice;
mod docker;
#[path = "../../../fresco-docker/tests/isolation/engine.rs"]
mod engine;
mod hitches;
mod isolation;
mod keyboard;
mod kills;
mod life;
mod matrix;
mod outage;
mod pages;
mod repair;
mod servers;
mod service;
mod signup;

use std::sync::Arc;

use fresco_e2e::{Stack, smtp};
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// The stack is started by the first test that needs it, and removed after the last.
struct Bench {
    runtime: Runtime,
    stack: OnceCell<Stack>,
}

/// Makes a named test of each function; those named `long_` are run by `dev/test --long` only.
macro_rules! trials {
    ($bench:expr; $($module:ident :: $name:ident),+ $(,)?) => {
        vec![$({
            let bench = $bench.clone();
            let name = concat!(stringify!($module), "::", stringify!($name));
            Trial::test(name, move || {
                bench.runtime.block_on(async {
                    $module::$name(bench.stack.get_or_init(Stack::start).await).await;
                });
                Ok(())
            })
            .with_ignored_flag(true)
        }),+]
    };
}

/// The same of tests that are on an engine of their own.
macro_rules! trials_apart {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        [$({
            let name = concat!(stringify!($module), "::", stringify!($name));
            let test = || {
                $module::$name();
                Ok(())
            };
            Trial::test(name, test).with_ignored_flag(true)
        }),+]
    };
}

/// One list spread evenly over the other: a browser keeps a core busy, and most of the others wait for containers.
fn woven(ones: Vec<Trial>, others: Vec<Trial>) -> Vec<Trial> {
    let (of_ones, of_others) = (ones.len(), others.len());
    // The place of each in its own list, as a share of it.
    let ones = ones.into_iter().enumerate().map(|(place, one)| ((2 * place + 1) * of_others, one));
    let others =
        others.into_iter().enumerate().map(|(place, one)| ((2 * place + 1) * of_ones, one));
    let mut all: Vec<_> = ones.chain(others).collect();
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, one)| one).collect()
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Each test waits for containers most of its time, so more of them run than there are cores; not many more,
    // since a browser keeps a core busy.
    arguments.test_threads.get_or_insert(4);
    let runtime = Runtime::new().expect("a runtime");
    let bench = Arc::new(Bench { runtime, stack: OnceCell::new() });
    // Those that take long come first, and those that ask much of the machine apart from each other.
    let mut trials = trials![bench;
        matrix::seeded_sample,
        matrix::long_every_case,
        kills::again_and_again,
        kills::long_two_hundred_times,
        life::in_a_schema_of_its_own,
        life::in_a_database_of_its_own,
        life::update_to_another_image_and_back,
        servers::a_hundred_deploys_at_once,
        servers::long_a_hundred_deploys_with_room,
        life::destroy_takes_the_place_of_a_hanging_create,
        life::two_platforms_do_not_see_each_other,
        life::long_fifty_tenants_at_once,
        apps::public_in_its_sql_works_in_a_database_of_its_own,
        apps::public_in_its_sql_fails_in_a_schema,
        apps::exits_at_boot,
        servers::one_killed_one_frozen,
        apps::never_becomes_healthy,
        apps::is_green_without_its_database,
        apps::image_does_not_exist,
        apps::failed_update_goes_back,
        apps::secrets_stay_out_of_what_is_stored,
        servers::frozen_at_moments_of_chance,
        outage::docker_is_down_for_a_while,
        outage::docker_is_down_for_too_long,
        outage::tenants_database_is_down_for_a_while,
        outage::tenants_database_is_down_for_too_long,
        outage::store_is_down_and_work_pauses,
        outage::shutdown_hands_work_back,
        servers::postgres_killed_in_the_middle,
        crash::killed_in_each_step_of_create,
        crash::killed_in_each_step_of_start,
        crash::killed_in_each_step_of_stop,
        crash::killed_in_each_step_of_restart,
        crash::killed_in_each_step_of_update,
        crash::killed_in_each_step_of_destroy,
        servers::a_store_that_knows_nobody_removes_nothing,
        repair::container_removed_by_hand,
        repair::container_killed_by_hand,
        repair::container_cut_off_by_hand,
        repair::container_without_a_way_to_it,
        repair::password_and_rights_changed,
        repair::app_that_ends_again_and_again_is_in_error,
        repair::too_little_memory_is_named,
        repair::limits_changed_by_hand,
        repair::credentials_out_of_step,
        repair::surplus_is_removed_and_the_unknown_left_alone,
        service::wizard_to_a_page_of_ones_own,
        service::whole_life_by_the_api,
        service::two_people_know_nothing_of_each_other,
        service::killed_in_the_middle_of_deploys,
        service::told_to_stop_it_hands_over,
        service::settings_change_what_happens,
        service::what_hinders_the_start_is_told,
        isolation::told_to_stop_in_the_middle_of_a_proof,
        isolation::without_the_right_no_new_tenant_is_let_in,
    ];
    let in_a_browser = trials![bench;
        pages::every_page_is_for_everybody,
        pages::every_page_is_seen_at_once,
        browser::a_tenants_page_can_do_nothing_on_the_platform,
        dashboard::two_tabs_and_every_button,
        dashboard::what_others_do,
        dashboard::the_first_instance,
        dashboard::a_log_as_it_is_written,
        dashboard::without_javascript,
        keyboard::signing_up,
        keyboard::instances,
        keyboard::settings,
        hitches::streams_that_are_cut_or_refused,
        hitches::streams_of_pages_that_nobody_sees,
        hitches::a_list_that_can_not_be_had,
        hitches::what_is_done_while_nobody_answers,
        hitches::answers_that_say_nothing,
        hitches::pages_that_are_loaded_again,
        hitches::a_sign_up_that_can_not_be_gone_on_with,
        hitches::too_many_wrong_codes,
        claim::a_stranger_who_comes_first_does_not_become_owner,
        signup::from_the_first_step_to_a_page_of_ones_own,
        signup::what_failed_is_tried_again,
        signup::two_tabs_of_one_sign_up,
        signup::a_name_as_it_is_typed,
        signup::what_is_refused_is_said_at_its_field,
        signup::what_can_not_be_reached_is_waited_for,
        signup::who_comes_too_late_begins_again,
        signup::by_an_invite_and_the_code_of_a_letter,
        signup::where_it_is_closed_the_page_says_so,
        signup::nothing_is_left_to_who_comes_next,
        signup::no_way_leads_past_what_was_typed,
        signup::another_name_from_another_tab,
        signup::when_there_is_no_room,
        signup::somebody_was_faster,
        signup::a_set_up_as_it_is_told,
    ];
    trials = woven(trials, in_a_browser);
    trials.extend(trials_apart![
        docker::long_restarted_in_the_middle,
        docker::long_restarted_as_the_server_is_killed,
    ]);
    let conclusion = libtest_mimic::run(&arguments, trials);
    let bench = Arc::into_inner(bench).expect("all tests have ended");
    if let Some(stack) = bench.stack.into_inner() {
        bench.runtime.block_on(stack.stop());
    }
    conclusion.exit();
}
