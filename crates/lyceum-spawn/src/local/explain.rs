//! Why a server ended, in plain words. Pure.

use lyceum_model::say;
use lyceum_model::saying::{Saying, size};

use crate::local::folder::{Exit, State, boot_id};
use crate::spawner::Status;

/// The status of a server that runs no more.
pub(crate) fn status(state: &State, exit: &Exit) -> Status {
    let reason = if exit.keeper_lost && state.boot != boot_id() {
        say!("exit.rebooted")
    } else {
        reason(exit, state)
    };
    Status::Exited {
        code: exit.code,
        signal: exit.signal,
        reason,
    }
}

fn reason(exit: &Exit, state: &State) -> Saying {
    if let (Some(takes), Some(limit)) = (exit.home_takes, state.home_size) {
        return say!("exit.home_full", takes = size(takes), limit = size(limit));
    }
    if exit.stopped {
        return say!("exit.stopped");
    }
    if exit.keeper_lost {
        return say!("exit.keeper_killed");
    }
    if exit.out_of_memory && exit.code != Some(0) {
        return match state.memory_limit {
            Some(limit) => say!("exit.out_of_memory_limit", limit = size(limit)),
            None => say!("exit.out_of_memory"),
        };
    }
    match (exit.code, exit.signal) {
        (Some(0), _) => say!("exit.well"),
        (Some(126), _) => say!("exit.not_runnable"),
        (Some(127), _) => say!("exit.not_found"),
        (Some(code), _) => say!("exit.code", code = code),
        (None, Some(9)) => say!("exit.killed"),
        (None, Some(signal)) => match meaning(signal) {
            Some(meaning) => say!("exit.signal_meaning", signal = signal, meaning = meaning),
            None => say!("exit.signal", signal = signal),
        },
        (None, None) => say!("exit.unknown"),
    }
}

fn meaning(signal: i32) -> Option<Saying> {
    Some(match signal {
        2 => say!("signal.interrupted"),
        4 => say!("signal.illegal"),
        6 => say!("signal.abort"),
        7 => say!("signal.bus"),
        11 => say!("signal.crash"),
        15 => say!("signal.asked"),
        24 => say!("signal.processor_time"),
        25 => say!("signal.file_size"),
        31 => say!("signal.forbidden_call"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: Option<i32>, signal: Option<i32>) -> Exit {
        Exit {
            run: "r".into(),
            code,
            signal,
            ended_at: 0,
            out_of_memory: false,
            stopped: false,
            keeper_lost: false,
            swept: true,
            home_takes: None,
        }
    }

    #[test]
    fn ends_are_explained() {
        let check = |exit: Exit, expect: &str| {
            let state = State {
                run: "r".into(),
                address: String::new(),
                keeper: 1,
                child: None,
                uid: None,
                started_at: 0,
                boot: String::new(),
                cgroup: None,
                memory_limit: Some(2 << 30),
                home_size: Some(1 << 30),
            };
            let words = reason(&exit, &state).to_string();
            assert!(words.contains(expect), "{words}");
        };
        check(exit(Some(0), None), "without an error");
        check(exit(Some(127), None), "not found");
        check(exit(Some(3), None), "code 3");
        check(exit(None, Some(9)), "signal 9");
        check(exit(None, Some(11)), "crashed");
        let oom = Exit {
            out_of_memory: true,
            ..exit(None, Some(9))
        };
        check(oom.clone(), "ran out of memory (limit 2 GB)");
        check(
            Exit {
                stopped: true,
                home_takes: Some(3 << 29),
                ..exit(Some(0), None)
            },
            "its files take 1.5 GB, and may take 1 GB",
        );
        check(
            Exit {
                stopped: true,
                ..oom
            },
            "stopped as asked",
        );
    }
}
