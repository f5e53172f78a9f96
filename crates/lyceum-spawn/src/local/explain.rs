//! Why a server ended, in plain words. Pure.

use crate::local::folder::{Exit, State, boot_id};
use crate::spawner::Status;

/// The status of a server that runs no more.
pub(crate) fn status(state: &State, exit: &Exit) -> Status {
    let reason = if exit.keeper_lost && state.boot != boot_id() {
        "the machine was restarted while it ran".to_owned()
    } else {
        reason(exit, state.memory_limit)
    };
    Status::Exited {
        code: exit.code,
        signal: exit.signal,
        reason,
    }
}

fn reason(exit: &Exit, memory_limit: Option<u64>) -> String {
    if exit.stopped {
        return "stopped as asked".into();
    }
    if exit.keeper_lost {
        return "the process that kept it was killed, and it was ended with it".into();
    }
    if exit.out_of_memory && exit.code != Some(0) {
        let limit = memory_limit.map(|l| format!(" (limit {})", bytes(l)));
        let limit = limit.unwrap_or_default();
        return format!("ran out of memory{limit}: the system killed processes of it");
    }
    match (exit.code, exit.signal) {
        (Some(0), _) => "ended by itself without an error (code 0)".into(),
        (Some(126), _) => {
            "ended with code 126: a command in it was found but may not be run".into()
        }
        (Some(127), _) => "ended with code 127: a command in it was not found".into(),
        (Some(code), _) => format!("ended with code {code}; the last lines of its log may say why"),
        (None, Some(9)) => {
            "killed (signal 9): by someone, or by the system for lack of memory".into()
        }
        (None, Some(signal)) => format!("ended by signal {signal}{}", meaning(signal)),
        (None, None) => "ended; how is not known".into(),
    }
}

fn meaning(signal: i32) -> &'static str {
    match signal {
        2 => " (interrupted)",
        4 => " (illegal instruction: a program built for another processor)",
        6 => " (it gave up by itself: abort)",
        7 => " (bus error: often a full disk or a shortened file)",
        11 => " (crashed: memory access error)",
        15 => " (asked to end by someone)",
        24 => " (processor time limit)",
        25 => " (file size limit)",
        31 => " (forbidden system call)",
        _ => "",
    }
}

/// `2 GB`, `1.5 GB`, `300 MB`: in powers of 1024, as the notebook's display counts.
fn bytes(count: u64) -> String {
    let units = [(1_u64 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")];
    for (size, unit) in units {
        if count >= size {
            let tenths = count.saturating_mul(10) / size;
            let (whole, tenth) = (tenths / 10, tenths % 10);
            return if tenth == 0 {
                format!("{whole} {unit}")
            } else {
                format!("{whole}.{tenth} {unit}")
            };
        }
    }
    format!("{count} bytes")
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
        }
    }

    #[test]
    fn ends_are_explained() {
        let check = |exit: Exit, expect: &str| {
            let words = reason(&exit, Some(2 << 30));
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
                ..oom
            },
            "stopped as asked",
        );
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(bytes(2 << 30), "2 GB");
        assert_eq!(bytes(3 << 29), "1.5 GB");
        assert_eq!(bytes(300 << 20), "300 MB");
        assert_eq!(bytes(12), "12 bytes");
    }
}
