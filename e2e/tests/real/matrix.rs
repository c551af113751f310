//! The fault matrix on the real stack: a seeded sample, or all of it.

use fresco_core::Isolation;
use fresco_core::fault::matrix;
use fresco_e2e::{RealScene, Stack, World};
use futures_util::StreamExt;

use crate::dice::Dice;

/// Cases of the sample.
const SAMPLE: usize = 40;
/// Cases that run side by side.
const AT_ONCE: usize = 8;
/// After so many cases it tells how far it is.
const TOLD: usize = 100;

pub(crate) async fn seeded_sample(stack: &Stack) {
    run(stack, Some(SAMPLE)).await;
}

pub(crate) async fn long_every_case(stack: &Stack) {
    run(stack, None).await;
}

async fn run(stack: &Stack, sample: Option<usize>) {
    let mut dice = Dice::new();
    let seed = dice.seed();
    let world = World::new(stack).await;
    let mut cases = matrix::cases(&RealScene::new(stack, &world, Isolation::Schema)).await;
    let all = cases.len();
    dice.shuffle(&mut cases);
    cases.truncate(sample.unwrap_or(all));
    println!("fault matrix on the real stack: {} of {all} cases, seed {seed}", cases.len());
    let mut ends = futures_util::stream::iter(cases.iter().enumerate())
        .map(async |(number, case)| (case, end(stack, number, case).await))
        .buffer_unordered(AT_ONCE)
        .enumerate();
    let mut wrong = Vec::new();
    while let Some((number, (case, end))) = ends.next().await {
        if let Err(why) = end {
            println!("WRONG: {case}: {why}");
            wrong.push(format!("{case}: {why}"));
        }
        if (number + 1).is_multiple_of(TOLD) {
            println!("{} of {} cases, {} wrong ends", number + 1, cases.len(), wrong.len());
        }
    }
    println!("{} cases, {} wrong ends", cases.len(), wrong.len());
    assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
}

/// Each case has a platform of its own: a program of one case must not take up another's work.
async fn end(stack: &Stack, number: usize, case: &matrix::Case) -> Result<(), String> {
    let world = World::new(stack).await;
    let isolation = if number.is_multiple_of(2) { Isolation::Schema } else { Isolation::Database };
    let end = matrix::run(&RealScene::new(stack, &world, isolation), case).await;
    world.forget(stack).await;
    end.map(drop)
}
