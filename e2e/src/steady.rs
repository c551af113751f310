//! `fresco-e2e-steady PROGRAM ARGUMENT…`: runs a program that does not see the machine's network change.
//!
//! Chromium breaks off what it is loading whenever an interface comes or goes (`ERR_NETWORK_CHANGED`), even
//! from loopback, and Docker makes one for each container. Whoever looks from a machine of their own never
//! meets this. Told by the kernel that there are no such news, it takes the network for steady.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a tool of the tests: what is missing ends it"
)]

use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

fn main() {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().expect("usage: fresco-e2e-steady PROGRAM [ARGUMENT…]");
    seccompiler::apply_filter(&no_netlink()).expect("the kernel takes a filter of calls");
    let error = Command::new(&program).args(words).exec();
    panic!("{}: {error}", program.display());
}

/// Refuses the sockets over which the kernel tells of interfaces and addresses, and nothing else.
fn no_netlink() -> BpfProgram {
    let netlink = u64::try_from(libc::AF_NETLINK).expect("a small number");
    let family =
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, netlink).expect("it");
    let rule = SeccompRule::new(vec![family]).expect("a rule with a condition");
    let refuse = SeccompAction::Errno(u32::try_from(libc::EAFNOSUPPORT).expect("a small number"));
    let machine = std::env::consts::ARCH.try_into().expect("a machine that is known");
    let rules = [(libc::SYS_socket, vec![rule])].into();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, machine);
    filter.and_then(TryInto::try_into).expect("a filter that can be made")
}
