//! Exams with codes on paper.

use lyceum_web::page::contexts::sittings::*;
use minijinja::value::Value;

use super::{EVIL, HOUR, NOW, bare, of, page};

fn row(state: &'static str) -> SittingRow {
    SittingRow {
        id: "01".into(),
        url: "/hub/sitting/01".into(),
        title: format!("Signals and Systems {EVIL}"),
        course: Some("signals".into()),
        begins: NOW,
        ends: NOW + 2 * HOUR,
        state,
        came: 1,
        places: 30,
    }
}

fn place(state: &'static str, at: Option<i64>) -> PlaceRow {
    PlaceRow {
        place: 17,
        seat: "A 17".into(),
        who: "ada".into(),
        state,
        at,
        address: "10.0.5.17".into(),
        before: 1,
    }
}

fn sheet(seat: &str) -> Sheet {
    Sheet {
        seat: seat.into(),
        who: "ada".into(),
        code: "K7PRM-4XW2C".into(),
        qr: "M4 4h7v1h-7z".into(),
        qr_size: 37,
    }
}

pub(super) fn all() -> Vec<(&'static str, &'static str, Value)> {
    let seat = |problem, at: Option<i64>| {
        of(SeatPage {
            page: bare(),
            next: format!("/user/ada/{EVIL}"),
            problem: Some(problem),
            at,
            seat: Some(format!("17 {EVIL}")),
            wait_seconds: Some(3),
        })
    };
    let asks = SeatPage {
        page: bare(),
        ..SeatPage::default()
    };
    let lists = SittingsPage {
        page: page(),
        area: Some(crate::admin_samples::area("sittings")),
        sittings: vec![row("coming"), row("running"), row("over")],
        may_make: true,
        form: SittingForm {
            title: EVIL.into(),
            people: EVIL.into(),
            error: Some("Say who takes part".into()),
            wrong: Some("people"),
            zone: "Europe/Berlin".into(),
            ..SittingForm::default()
        },
        done: Some("removed"),
    };
    let one = SittingPage {
        page: page(),
        sitting: row("running"),
        networks: vec!["10.0.5.0/24".into()],
        invigilators: vec!["ivy".into()],
        made_by: "root".into(),
        rows: vec![
            place("waiting", None),
            place("came", Some(NOW)),
            place("back", Some(NOW)),
        ],
        has_seats: true,
        may_remove: true,
        may_change: true,
        ends_text: "2026-11-21T11:00".into(),
        zone: "Europe/Berlin".into(),
        done: Some("taken_back"),
        error: Some("The end has to be after the beginning".into()),
    };
    let bare_one = SittingPage {
        page: page(),
        sitting: row("over"),
        done: Some("ends"),
        ..SittingPage::default()
    };
    let sheets = SheetsPage {
        page: page(),
        sitting: row("coming"),
        address: "https://hub.example.edu/hub/login/seat".into(),
        sheets: vec![sheet("A 17"), sheet("")],
        file: "data:text/csv;base64,c2VhdA==".into(),
    };
    vec![
        ("seat.html", "asks", of(asks)),
        ("seat.html", "length", seat(SeatProblem::Length, None)),
        ("seat.html", "slip", seat(SeatProblem::Slip, None)),
        ("seat.html", "unknown", seat(SeatProblem::Unknown, None)),
        ("seat.html", "used", seat(SeatProblem::Used, Some(NOW))),
        (
            "seat.html",
            "taken_back",
            seat(SeatProblem::TakenBack, None),
        ),
        ("seat.html", "early", seat(SeatProblem::Early, Some(NOW))),
        ("seat.html", "over", seat(SeatProblem::Over, Some(NOW))),
        ("seat.html", "elsewhere", seat(SeatProblem::Elsewhere, None)),
        (
            "seat.html",
            "other_seat",
            seat(SeatProblem::OtherSeat, None),
        ),
        ("seat.html", "not_now", seat(SeatProblem::NotNow, None)),
        (
            "seat.html",
            "not_admitted",
            seat(SeatProblem::NotAdmitted, None),
        ),
        ("seat.html", "power", seat(SeatProblem::Power, None)),
        (
            "seat.html",
            "second_step",
            seat(SeatProblem::SecondStep, None),
        ),
        ("seat.html", "not_free", seat(SeatProblem::NotFree, None)),
        ("seat.html", "expired", seat(SeatProblem::Expired, None)),
        ("seat.html", "wait", seat(SeatProblem::Wait, None)),
        (
            "seat.html",
            "unavailable",
            seat(SeatProblem::Unavailable, None),
        ),
        ("sittings.html", "full", of(lists)),
        (
            "sittings.html",
            "none",
            of(SittingsPage {
                page: page(),
                done: None,
                ..SittingsPage::default()
            }),
        ),
        ("sitting.html", "full", of(one)),
        ("sitting.html", "over", of(bare_one)),
        ("sheets.html", "full", of(sheets)),
    ]
}
