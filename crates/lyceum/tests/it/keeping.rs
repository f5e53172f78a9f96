//! Commands that let go of things: nothing goes without being said twice, and what goes is said.

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::commands::demo;

#[test]
fn people_are_exported_and_erased() {
    let site = demo();
    // Whoever can write to the folder has nothing else overwritten.
    std::os::unix::fs::symlink("planted", site.path("ada.zip.partial")).expect("planted");
    let said = site.run(&["user", "export", "ada", "--to", "ada.zip"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(
        said.out,
        "ada.zip: what is kept of ada, with 0 submissions and 0 files\n"
    );
    let mode = std::fs::metadata(site.path("ada.zip")).expect("written");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    assert!(!site.path("planted").exists());
    let log = site.run(&["audit", "list", "--json"]).out;
    assert!(log.contains("person_exported"), "{log}");
    let said = site.run(&["user", "export", "eve"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r"
    lyceum: nothing is kept of anybody called eve
            `lyceum user list` tells who there is
    ");

    let said = site.run(&["user", "erase", "ben"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r"
    lyceum: a person is erased only when her name is said twice
            add --confirm ben
    ");
    let said = site.run(&["user", "erase", "ben", "--confirm", "bem"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @"lyceum: this is not her name, which is ben; nothing was erased");
    assert!(site.run(&["user", "list"]).out.contains("ben"));
    let said = site.run(&["user", "erase", "ben", "--confirm", "ben"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let first = "ben is erased; 0 receipts stand under erased:";
    assert!(said.out.starts_with(first), "{}", said.out);
    let named = "still there: her name in the files of the courses signals-demo\n";
    assert!(said.out.ends_with(named), "{}", said.out);
    assert!(!site.run(&["user", "list"]).out.contains("ben"));
    let log = site.run(&["audit", "list", "--json"]).out;
    assert!(log.contains("person_erased"), "{log}");
    assert!(!log.contains("\"ben\""), "{log}");
    let said = site.run(&["exchange", "verify"]);
    assert_eq!(said.code, Some(0), "{}", said.out);
}

#[test]
fn what_is_over_is_let_go_of() {
    let site = demo();
    let said = site.run(&["exchange", "collect", "--dry-run", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(
        (&told["files"], &told["dry_run"]),
        (&0.into(), &true.into())
    );
    let said = site.run(&["exchange", "collect", "--older-than", "30m"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("less than 1h"), "{}", said.err);
    let said = site.run(&["exchange", "collect"]);
    assert!(
        said.out.starts_with("0 contents are off the disk"),
        "{}",
        said.out
    );
    let said = site.run(&["exchange", "retention"]);
    assert_snapshot!(said.out, @"nothing is kept longer than `exchange.keep` says");
    assert_eq!(site.run(&["exchange", "usage"]).code, Some(0));

    let said = site.run(&["course", "remove", "none", "--confirm", "none"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r"
    lyceum: nothing is kept of a course none
            its name is that of its file, or the one it was made under, in the same letters
    ");
    let said = site.run(&[
        "course",
        "remove",
        "signals-demo",
        "--confirm",
        "signals-demo",
    ]);
    assert_eq!(said.code, Some(1));
    let words = "the course signals-demo has a file, and is there as long as the file is";
    assert!(said.err.contains(words), "{}", said.err);
    site.write("no.archive", "no archive");
    let said = site.run(&["exchange", "verify", "--archive", "no.archive"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("use another copy"), "{}", said.err);
}
