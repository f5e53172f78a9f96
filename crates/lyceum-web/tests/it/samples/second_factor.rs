//! The second step behind a password, as it could be shown.

use lyceum_web::page::contexts::mail::{MailPage, MailProblem, MailState};
use lyceum_web::page::contexts::password::PasswordProblem;
use lyceum_web::page::contexts::second_factor::{
    KeyToShow, SecondFactorEvent, SecondFactorPage, SecondFactorProblem, SecondFactorState,
};
use lyceum_web::page::contexts::sign_up::{SignUpKind, SignUpPage, SignUpState};
use minijinja::value::Value;

use super::{EVIL, HOUR, NOW, bare, of, page};

pub(super) fn events() -> Vec<SecondFactorEvent> {
    let event = |what: &str, who: Option<&str>, address: Option<&str>| SecondFactorEvent {
        what: what.into(),
        who: who.map(str::to_owned),
        address: address.map(str::to_owned),
        at: NOW - HOUR,
    };
    let own = [
        "set_up",
        "moved",
        "codes",
        "recovery",
        "wrong",
        "switched_off",
    ];
    let own = own.map(|what| event(what, None, Some("2001:db8::17")));
    let others = [
        event("taken_off", Some(EVIL), None),
        event("taken_off", None, None),
    ];
    own.into_iter().chain(others).collect()
}

fn key() -> Option<KeyToShow> {
    Some(KeyToShow {
        text: "gezd gnbv gy3t qojq gezd gnbv gy3t qojq".into(),
        address: format!("otpauth://totp/{EVIL}"),
        outline: "M4 4h7v1h-7z".into(),
        width: 29,
        sealed: EVIL.into(),
    })
}

pub(super) fn all() -> Vec<(&'static str, &'static str, Value)> {
    let sample = |variant, page: SecondFactorPage| ("second_factor.html", variant, of(page));
    let codes = (0..10).map(|n| format!("0123-4567-890{n}")).collect();
    vec![
        sample(
            "code",
            SecondFactorPage {
                page: bare(),
                at_log_in: true,
                name: EVIL.into(),
                problem: Some(SecondFactorProblem::Wait),
                wait_seconds: Some(7),
                ..SecondFactorPage::default()
            },
        ),
        sample(
            "required at the log-in",
            SecondFactorPage {
                page: bare(),
                state: SecondFactorState::SetUp,
                at_log_in: true,
                required: true,
                name: "ada".into(),
                key: key(),
                problem: Some(SecondFactorProblem::Wrong),
                ..SecondFactorPage::default()
            },
        ),
        sample(
            "set up",
            SecondFactorPage {
                page: page(),
                state: SecondFactorState::SetUp,
                asks_password: true,
                required: true,
                name: EVIL.into(),
                key: key(),
                events: events(),
                problem: Some(SecondFactorProblem::Password),
                ..SecondFactorPage::default()
            },
        ),
        sample(
            "no picture",
            SecondFactorPage {
                page: page(),
                state: SecondFactorState::SetUp,
                name: "ada".into(),
                key: key().map(|key| KeyToShow {
                    outline: String::new(),
                    ..key
                }),
                problem: Some(SecondFactorProblem::Expired),
                ..SecondFactorPage::default()
            },
        ),
        sample(
            "on",
            SecondFactorPage {
                page: page(),
                state: SecondFactorState::On,
                name: "ada".into(),
                since: Some(NOW),
                codes_left: 9,
                events: events(),
                problem: Some(SecondFactorProblem::Used),
                ..SecondFactorPage::default()
            },
        ),
        sample(
            "on and required, few codes",
            SecondFactorPage {
                page: page(),
                state: SecondFactorState::On,
                required: true,
                name: "ada".into(),
                since: Some(NOW),
                codes_left: 1,
                problem: Some(SecondFactorProblem::Required),
                ..SecondFactorPage::default()
            },
        ),
        sample(
            "out of order",
            SecondFactorPage {
                page: bare(),
                at_log_in: true,
                problem: Some(SecondFactorProblem::Unavailable),
                ..SecondFactorPage::default()
            },
        ),
        sample(
            "codes",
            SecondFactorPage {
                page: bare(),
                state: SecondFactorState::Codes,
                codes,
                next: EVIL.into(),
                ..SecondFactorPage::default()
            },
        ),
    ]
}

pub(super) fn sign_up() -> Vec<(&'static str, &'static str, Value)> {
    let sample = |variant, page: SignUpPage| ("sign_up.html", variant, of(page));
    let asks = || SignUpPage {
        page: bare(),
        invitation: EVIL.into(),
        name: EVIL.into(),
        shortest: 8,
        ..SignUpPage::default()
    };
    let problem = |problem| SignUpPage {
        problem: Some(problem),
        wait_seconds: (problem == PasswordProblem::Wait).then_some(7),
        ..asks()
    };
    let state = |state| SignUpPage { state, ..asks() };
    let kind = |kind| SignUpPage {
        kind,
        invitation: String::new(),
        mail: if kind == SignUpKind::Mail {
            EVIL.into()
        } else {
            String::new()
        },
        address: EVIL.into(),
        note: EVIL.into(),
        domains: vec!["example.edu".into(), EVIL.into()],
        ..asks()
    };
    let name = SignUpPage {
        name_problem: Some(format!("The name {EVIL} is taken.")),
        ..asks()
    };
    vec![
        sample("asks", asks()),
        sample("name", name),
        sample("common", problem(PasswordProblem::Common)),
        sample("differs", problem(PasswordProblem::Differs)),
        sample("wait", problem(PasswordProblem::Wait)),
        sample("done", state(SignUpState::Done)),
        sample("gone", state(SignUpState::Gone)),
        sample("by mail", kind(SignUpKind::Mail)),
        sample("asks for approval", kind(SignUpKind::Approval)),
        sample("open to all", kind(SignUpKind::Open)),
        sample("where a link goes", kind(SignUpKind::Address)),
        sample("waits", state(SignUpState::Waits)),
        sample(
            "sent",
            SignUpPage {
                state: SignUpState::Sent,
                ..kind(SignUpKind::Address)
            },
        ),
    ]
}

pub(super) fn mail() -> Vec<(&'static str, &'static str, Value)> {
    let sample = |variant, page: MailPage| ("mail.html", variant, of(page));
    let state = |state| MailPage {
        page: bare(),
        state,
        name: EVIL.into(),
        address: Some(EVIL.into()),
        typed: EVIL.into(),
        link: EVIL.into(),
        ..MailPage::default()
    };
    let problem = |problem| MailPage {
        problem: Some(problem),
        wait_seconds: (problem == MailProblem::Wait).then_some(7),
        ..state(MailState::Own)
    };
    let none = MailPage {
        address: None,
        ..state(MailState::Own)
    };
    vec![
        sample("forgotten", state(MailState::Forgotten)),
        sample("sent", state(MailState::Sent)),
        sample("own", state(MailState::Own)),
        sample("none", none),
        sample("no address", problem(MailProblem::Address)),
        sample("wrong", problem(MailProblem::Wrong)),
        sample("wait", problem(MailProblem::Wait)),
        sample("own sent", state(MailState::OwnSent)),
        sample("prove", state(MailState::Prove)),
        sample("proved", state(MailState::Proved)),
        sample("gone", state(MailState::Gone)),
    ]
}
