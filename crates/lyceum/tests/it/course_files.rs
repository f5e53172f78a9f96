//! Course files and lists of people beside them: shown, put in place, archived, made anew for a term.

use insta::assert_snapshot;

use crate::harness::Site;
use crate::up::site_with_python;

fn demo() -> Site {
    let site = site_with_python();
    let said = site.up(&["up", "--demo", "--port", "0"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    site
}

const BIO: &str = "# Ours
title: Biology
term: autumn 2026
people:
  teachers: [grace]
  students: ['file:bio.csv', ada]
  blocked: [eve]
assignments:
  ps1: {due: 2026-10-01 18:00, limits: {size: 20M}}
";

#[test]
fn drafts_are_checked_and_put_in_place_together() {
    let site = demo();
    std::fs::create_dir_all(site.path("drafts/lists")).expect("made");
    site.write("drafts/bio.yaml", BIO);
    site.write(
        "drafts/art.yaml",
        "title: Art\npeople: {students: ['file:lists/art.csv#Login']}\n",
    );
    site.write("drafts/bio.csv", "Username\nben\n=1+1\nkim\n");
    // One that is bad holds up all.
    let said = site.run(&["course", "apply", "drafts"]);
    assert_eq!(said.code, Some(3), "{}{}", said.out, said.err);
    assert_snapshot!(said.out, @r#"
    drafts/lists/art.csv: is not there; put it beside the course file; nobody is taken from it
    note: drafts/bio.csv:3:1: "=1+1" begins as a formula of a spreadsheet does, and is no user name; write the name itself
    nothing was changed
    "#);
    assert!(!site.path("lyceum-data/courses/bio.yaml").exists());
    site.write("drafts/lists/art.csv", "Login;Name\nzoe;Zoe\n");
    let said = site.run(&["course", "apply", "drafts"]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert_snapshot!(said.out, @r#"
    note: drafts/bio.csv:3:1: "=1+1" begins as a formula of a spreadsheet does, and is no user name; write the name itself
    SITE/lyceum-data/courses/lists/art.csv: new
    SITE/lyceum-data/courses/bio.csv: new
    SITE/lyceum-data/courses/art.yaml: new
    SITE/lyceum-data/courses/bio.yaml: new
    "#);
    assert_eq!(site.read("lyceum-data/courses/bio.yaml"), BIO);
    assert_snapshot!(site.run(&["course", "show", "bio"]).out, @r"
    title     Biology
    term      autumn 2026
    visible   enrolled
    teachers  grace
    students  ada, file:bio.csv (2)
    blocked   eve
    starts    nothing: the file has no `environment`
    work      ps1: due 2026-10-01 18:00; at most 20M
    ");
    let said = site.run(&["course", "check"]);
    assert_eq!(said.code, Some(3));
    assert_snapshot!(said.out, @r#"
    SITE/lyceum-data/courses/bio.csv:3:1: "=1+1" begins as a formula of a spreadsheet does, and is no user name; write the name itself
    3 files: 1 problem
    "#);
    site.write("drafts/bio.csv", "Username\nben\n");
    let said = site.run(&["course", "apply", "drafts/bio.yaml"]);
    assert_snapshot!(said.out, @r"
    SITE/lyceum-data/courses/bio.csv: changed
    SITE/lyceum-data/courses/bio.yaml: unchanged
    ");
    let left: Vec<String> = std::fs::read_dir(site.path("lyceum-data/courses"))
        .expect("read")
        .map(|entry| {
            entry
                .expect("one")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_course_is_archived_and_made_anew_for_the_next_term() {
    let site = demo();
    let file = "lyceum-data/courses/bio.yaml";
    site.write(file, BIO);
    site.write("lyceum-data/courses/bio.csv", "ben\n");
    let said = site.run(&["course", "archive", "bio"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_snapshot!(said.out, @"SITE/lyceum-data/courses/bio.yaml: archived");
    let expect = BIO.replace("title: Biology\n", "title: Biology\nvisible: archived\n");
    assert_eq!(site.read(file), expect);
    assert_snapshot!(site.run(&["course", "archive", "bio"]).out, @"SITE/lyceum-data/courses/bio.yaml: is archived already");
    assert_snapshot!(site.run(&["course", "archive", "bo"]).err, @r"
    lyceum: there is no course `bo` in SITE/lyceum-data/courses
            `lyceum course list` lists those that there are
    ");

    let anew = [
        "course",
        "roll-over",
        "bio",
        "bio-27",
        "--term",
        "autumn 2027",
        "--shift",
        "52w",
    ];
    let said = site.run(&anew);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_snapshot!(said.out, @r"
    note: `visible: archived` is left out
    note: `people.students` is left out (2)
    note: `people.blocked` is left out (1)
    SITE/lyceum-data/courses/bio-27.yaml: made from bio
    ");
    assert_snapshot!(site.read("lyceum-data/courses/bio-27.yaml"), @r"
    # Ours
    title: Biology
    term: autumn 2027
    people:
      teachers: [grace]
    assignments:
      ps1:
        due: 2027-09-30 18:00
        limits: {size: 20M}
    ");
    assert_eq!(site.read(file), expect);
    // Never over another.
    assert_snapshot!(site.run(&anew).err, @r"
    lyceum: there is a course `bio-27` already: SITE/lyceum-data/courses/bio-27.yaml
            give the new one another id
    ");
    site.write(file, "title: [");
    let said = site.run(&["course", "archive", "bio"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("bio.yaml:1:") && said.err.contains("mend the file"),
        "{}",
        said.err
    );
    assert_eq!(site.read(file), "title: [");
}
