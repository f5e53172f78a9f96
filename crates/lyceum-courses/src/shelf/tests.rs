//! A folder of course files as it changes.

use super::*;

fn ids(shelf: &Shelf, user: &str) -> Vec<String> {
    let user = UserName::parse(user).expect("a good name");
    shelf
        .seen_by(&user, &[])
        .into_iter()
        .map(|seen| format!("{} {}", seen.id, seen.course.title))
        .collect()
}

fn having(environments: &[&str], services: &[&str]) -> Site {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Site {
        environments: owned(environments),
        services: owned(services),
        ..Site::default()
    }
}

#[test]
fn a_bad_edit_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("signals.yaml");
    std::fs::write(&file, "title: Signals\npeople: {students: [ada]}\n").expect("written");
    let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
    assert_eq!(ids(&shelf, "ada"), ["signals Signals"]);
    assert_eq!(ids(&shelf, "ben"), [""; 0]);

    std::fs::write(&file, "title: Signals!\npeopel: {}\n").expect("written");
    assert!(shelf.look().expect("looked"));
    assert_eq!(ids(&shelf, "ada"), ["signals Signals"]);
    assert_eq!(shelf.problems().len(), 1);

    std::fs::write(&file, "title: Signals and Systems\nvisible: listed\n").expect("written");
    assert!(shelf.look().expect("looked"));
    assert_eq!(ids(&shelf, "ben"), ["signals Signals and Systems"]);
    assert!(shelf.problems().is_empty());
    assert!(!shelf.look().expect("looked"));

    std::fs::remove_file(&file).expect("removed");
    assert!(shelf.look().expect("looked"));
    assert!(ids(&shelf, "ada").is_empty());
}

/// The file is as it was; what it names is gone, and comes back.
#[test]
fn an_environment_that_goes_is_a_mistake_of_the_courses_that_use_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("signals.yaml");
    let text = "title: Signals\npeople: {students: [ada]}\nenvironment: {use: python}\n";
    std::fs::write(&file, text).expect("written");
    let shelf = Shelf::open(folder.path(), having(&["python"], &[])).expect("opened");
    assert!(shelf.problems().is_empty(), "{:?}", shelf.problems());
    shelf.set_site(having(&["r"], &[]));
    assert!(shelf.look().expect("looked"));
    assert_eq!(shelf.problems().len(), 1);
    assert_eq!(ids(&shelf, "ada"), ["signals Signals"]);
    assert!(!shelf.look().expect("looked"));
    shelf.set_site(having(&["python", "r"], &[]));
    assert!(shelf.look().expect("looked"));
    assert!(shelf.problems().is_empty(), "{:?}", shelf.problems());
}

#[test]
fn moments_are_read_anew_in_another_time_zone() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "title: A\nassignments: {ps1: {due: 2026-10-01 18:00}}\n";
    std::fs::write(folder.path().join("bio.yaml"), text).expect("written");
    let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
    let due = || {
        let id = CourseId::parse("bio").expect("an id");
        let course = shelf.course(&id).expect("there");
        course.assignments["ps1"]
            .terms
            .expect("terms")
            .due
            .to_string()
    };
    assert_eq!(due(), "2026-10-01T18:00:00Z");
    shelf.set_site(Site {
        zone: TimeZone::get("Europe/Berlin").expect("the zone"),
        ..Site::default()
    });
    assert!(shelf.look().expect("looked"));
    assert_eq!(due(), "2026-10-01T16:00:00Z");
}

#[test]
fn of_two_files_of_one_course_the_first_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, title: &str| {
        let text = format!("title: {title}\nvisible: listed\n");
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("bio.yml", "Second");
    write("bio.yaml", "The first");
    let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
    assert_eq!(ids(&shelf, "ada"), ["bio The first"]);
    let problems = shelf.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let problem = &problems[0];
    assert!(problem.file.ends_with("bio.yml"), "{problem}");
    assert!(problem.message.contains("bio.yaml holds"), "{problem}");
    // Neither is read again and again.
    assert!(!shelf.look().expect("looked"));
    std::fs::remove_file(folder.path().join("bio.yaml")).expect("removed");
    assert!(shelf.look().expect("looked"));
    assert_eq!(ids(&shelf, "ada"), ["bio Second"]);
    assert!(shelf.problems().is_empty(), "{:?}", shelf.problems());
}

#[test]
fn a_service_of_the_same_name_comes_before_the_server_of_a_course() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bio.yaml");
    let text = "title: Biology\npeople: {teachers: [ada], graders: [ben]}\nserver: true\n";
    std::fs::write(&file, text).expect("written");
    let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
    let changes = shelf.changes();
    let openers = |shelf: &Shelf| -> Vec<String> {
        let servers = shelf.servers().into_iter();
        servers
            .flat_map(|(id, _, who)| who.into_iter().map(move |who| format!("{id} {who}")))
            .collect()
    };
    assert_eq!(openers(&shelf), ["bio ada", "bio ben"]);
    shelf.set_site(having(&[], &["bio"]));
    assert!(shelf.look().expect("looked"));
    assert!(changes.has_changed().expect("there"));
    assert!(openers(&shelf).is_empty());
    assert_eq!(ids(&shelf, "ada"), ["bio Biology"]);
    let problems = shelf.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].message.contains("a service `bio`"),
        "{problems:?}"
    );
    assert!(!shelf.look().expect("looked"));
    shelf.set_site(Site::default());
    assert!(shelf.look().expect("looked"));
    assert_eq!(openers(&shelf), ["bio ada", "bio ben"]);
    std::fs::write(&file, format!("{text}visible: archived\n")).expect("written");
    assert!(shelf.look().expect("looked"));
    assert!(openers(&shelf).is_empty() && shelf.unclear().is_empty());
    std::fs::write(folder.path().join("art.yaml"), "title: [").expect("written");
    assert!(shelf.look().expect("looked"));
    let unclear: Vec<String> = shelf.unclear().iter().map(ToString::to_string).collect();
    assert_eq!(unclear, ["art"]);
}

#[test]
fn of_each_faulty_file_it_is_told_what_holds_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("art.yaml", "title: [");
    write("bio.yaml", "title: Biology\nserver: true\n");
    write("chem.yaml", "title: Chemistry\n");
    write("No Id.yaml", "title: x\n");
    let site = having(&[], &["bio"]);
    let shelf = Shelf::open(folder.path(), site).expect("opened");
    let told = || -> Vec<(String, Holds)> {
        let all = shelf.faulty().into_iter();
        all.map(|one| {
            let course = one.course.map(|id| id.to_string());
            (course.unwrap_or_default(), one.holds)
        })
        .collect()
    };
    let mut expect = vec![
        (String::new(), Holds::Nothing),
        ("art".to_owned(), Holds::Nothing),
        ("bio".to_owned(), Holds::Rest),
    ];
    assert_eq!(told(), expect);
    let chem = folder.path().join("chem.yaml");
    let written = chem.metadata().expect("there").modified().expect("known");
    write("chem.yaml", "title: Chemistry\ntilte: x\n");
    assert!(shelf.look().expect("looked"));
    expect.push(("chem".to_owned(), Holds::Earlier(Some(written))));
    assert_eq!(told(), expect);
    // Another mistake makes no other version the last good one.
    write("chem.yaml", "title: Chemistry\nabc: 1\nxyz: 2\n");
    assert!(shelf.look().expect("looked"));
    assert_eq!(told(), expect);
    write("chem.yaml", "title: Chemistry of all\n");
    assert!(shelf.look().expect("looked"));
    expect.truncate(3);
    assert_eq!(told(), expect);
}

/// It stands in the list of what is wrong until the folder is back, and no course is lost meanwhile.
#[test]
fn a_folder_that_had_files_and_is_gone_is_a_fault() {
    let place = tempfile::tempdir().expect("a folder");
    let (folder, aside) = (place.path().join("courses"), place.path().join("aside"));
    let shelf = Shelf::open(&folder, Site::default()).expect("opened");
    // There never was one.
    assert!(!shelf.look().expect("looked"));
    assert!(shelf.faulty().is_empty() && shelf.problems().is_empty());
    std::fs::create_dir(&folder).expect("made");
    let text = "title: Biology\nvisible: listed\n";
    std::fs::write(folder.join("bio.yaml"), text).expect("written");
    std::fs::write(folder.join("art.yaml"), "title: [").expect("written");
    assert!(shelf.look().expect("looked"));
    let before = shelf.faulty();
    assert_eq!(before.len(), 1, "{before:?}");

    let fault = |message: &str| Faulty {
        course: None,
        problems: vec![whole(&folder, message.into())],
        holds: Holds::AllEarlier,
    };
    std::fs::rename(&folder, &aside).expect("moved");
    let error = shelf.look().expect_err("gone").to_string();
    assert!(error.contains("courses: is gone"), "{error}");
    assert_eq!(shelf.faulty()[0], fault("is gone; put it back"));
    assert_eq!(shelf.faulty()[1..], before);
    assert_eq!(shelf.problems().len(), 2);
    assert_eq!(ids(&shelf, "ada"), ["bio Biology"]);
    // Now it is none that can be read.
    std::fs::write(&folder, "").expect("written");
    shelf.look().expect_err("a file");
    let said = shelf.faulty()[0].problems[0].message.clone();
    assert!(said.starts_with("can't be read: "), "{said}");
    assert_eq!(shelf.faulty().len(), 2);
    assert_eq!(ids(&shelf, "ada"), ["bio Biology"]);

    std::fs::remove_file(&folder).expect("removed");
    std::fs::rename(&aside, &folder).expect("moved back");
    assert!(shelf.look().expect("looked"));
    assert_eq!(shelf.faulty(), before);
    assert!(!shelf.look().expect("looked"));
}

#[test]
fn a_file_that_can_not_be_read_is_a_fault_until_it_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bio, art) = (
        folder.path().join("bio.yaml"),
        folder.path().join("art.yaml"),
    );
    let aside = folder.path().join("bio.aside");
    let text = "title: Biology\nvisible: listed\n";
    std::fs::write(&bio, text).expect("written");
    let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
    let written = bio.metadata().expect("there").modified().expect("known");
    // A link to itself is closed to everybody; one that leads nowhere is no course that was removed.
    std::fs::rename(&bio, &aside).expect("moved");
    let link = |to: &str, at: &Path| std::os::unix::fs::symlink(to, at).expect("linked");
    link("bio.yaml", &bio);
    link("nowhere", &art);
    let told = || -> Vec<(String, Holds)> {
        let all = shelf.faulty().into_iter().map(|one| {
            assert!(one.problems[0].message.starts_with("can't be read: "));
            (one.course.expect("a course").to_string(), one.holds)
        });
        all.collect()
    };
    let expect = [
        ("art".to_owned(), Holds::Nothing),
        ("bio".to_owned(), Holds::Earlier(Some(written))),
    ];
    assert!(shelf.look().expect("looked"));
    assert_eq!(told(), expect);
    assert_eq!(ids(&shelf, "ada"), ["bio Biology"]);
    assert!(!shelf.look().expect("looked"));
    assert_eq!(told(), expect);
    // The very file as it was read before.
    std::fs::rename(&aside, &bio).expect("moved back");
    std::fs::remove_file(&art).expect("removed");
    assert!(shelf.look().expect("looked"));
    assert!(told().is_empty());
    assert_eq!(ids(&shelf, "ada"), ["bio Biology"]);
}

#[test]
fn names_of_files_are_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("Bad Name.yaml"), "title: x\n").expect("written");
    std::fs::write(folder.path().join("notes.txt"), "x").expect("written");
    let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
    assert_eq!(shelf.problems().len(), 1);
}

/// The roles of somebody in the course `bio`.
fn roles(shelf: &Shelf, user: &str, groups: &[&str]) -> Vec<Role> {
    let user = UserName::parse(user).expect("a good name");
    let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    let id = CourseId::parse("bio").expect("an id");
    let course = shelf.course(&id).expect("there");
    course.roles_of(&user, &groups)
}

/// The problems as they are told, without the folder.
fn told(shelf: &Shelf, folder: &Path) -> Vec<String> {
    let all = shelf.problems().into_iter();
    let folder = format!("{}/", folder.display());
    all.map(|problem| problem.to_string().replace(&folder, ""))
        .collect()
}

#[test]
fn people_come_from_files_and_bad_rows_keep_nobody_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).expect("written");
    };
    write(
        "bio.yaml",
        "title: Biology
people:
  teachers: [tess]
  students: ['file:sign-up.csv', 'file:late.csv#FB02UID']
  labels: {extra-time: ['file:extra.txt']}
  rosters:
    - {file: moodle.csv, columns: {name: Login, role: Rolle}, roles: {Dozentin: teacher, Hörerin: observer}}
assignments:
  ps1: {due: 2026-10-01 18:00, extend: {extra-time: 2d, zoe: 1d}}
"
        .as_bytes(),
    );
    // As an office program of the west writes it, with a line that is none, a formula and a hole.
    write(
        "sign-up.csv",
        b"Name;Username\r\nJ\xfcrgen;Juergen\r\nEve;=cmd|'/C calc'!A0\r\nBen; ben \r\nNobody;\r\n",
    );
    let wide: Vec<u8> = "\u{feff}FB02UID\tx\nkim\t1\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    write("late.csv", &wide);
    write("extra.txt", b"# with a doctor's note\nben\n");
    write(
        "moodle.csv",
        "Login,Rolle\nada,dozentin\nliv,Hörerin\nmia,student\nnia,Gast\n".as_bytes(),
    );
    let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
    for (name, expect) in [
        ("juergen", &[Role::Student][..]),
        ("ben", &[Role::Student]),
        ("kim", &[Role::Student]),
        ("ada", &[Role::Teacher]),
        ("liv", &[Role::Observer]),
        ("mia", &[Role::Student]),
        ("nia", &[]),
        ("eve", &[]),
    ] {
        assert_eq!(roles(&shelf, name, &[]), expect, "{name}");
    }
    let id = CourseId::parse("bio").expect("an id");
    let course = shelf.course(&id).expect("there");
    let name = |text: &str| UserName::parse(text).expect("a good name");
    assert!(course.has_label("extra-time", &name("ben"), &[]));
    let by = course.entry_of(Role::Student, &name("ben"), &[]);
    assert_eq!(by.expect("one").to_string(), "ben, sign-up.csv:4");
    let told = told(&shelf, folder.path());
    let expect = [
        "sign-up.csv:3:1: \"=cmd|'/C calc'!A0\" begins as a formula",
        "sign-up.csv:5:1: nothing stands where the user name belongs",
        "moodle.csv:5:1: \"Gast\" is no role",
    ];
    assert_eq!(told.len(), 3, "{told:?}");
    for (told, expect) in told.iter().zip(expect) {
        assert!(told.starts_with(expect), "{told}");
    }
    let faulty = shelf.faulty();
    assert_eq!(faulty.len(), 2, "{faulty:?}");
    assert!(faulty.iter().all(|one| one.holds == Holds::Rest));
    assert!(!shelf.look().expect("looked"));
}

#[test]
fn a_roster_is_followed_and_one_that_is_gone_keeps_what_was_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("list.csv");
    let write = |text: &str| std::fs::write(&list, text).expect("written");
    let bio = folder.path().join("bio.yaml");
    let text = "title: Biology\npeople: {students: ['file:list.csv', kim]}\n";
    std::fs::write(&bio, text).expect("written");
    let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
    // It never was there: nobody is taken from it, and the course goes on.
    assert_eq!(roles(&shelf, "kim", &[]), [Role::Student]);
    let all = told(&shelf, folder.path());
    assert!(all[0].contains("list.csv: is not there"), "{all:?}");
    assert!(all[0].contains("nobody is taken from it"), "{all:?}");
    assert!(!shelf.look().expect("looked"));

    write("ada\n");
    assert!(shelf.look().expect("looked"));
    assert!(shelf.problems().is_empty(), "{:?}", shelf.problems());
    assert_eq!(roles(&shelf, "ada", &[]), [Role::Student]);
    write("ada\nben\n");
    assert!(shelf.look().expect("looked"));
    assert_eq!(roles(&shelf, "ben", &[]), [Role::Student]);
    assert!(!shelf.look().expect("looked"));

    // One that can't be read, or is gone, changes nothing, also when the course file changes meanwhile.
    write("ada,1\nb\"en\n");
    assert!(shelf.look().expect("looked"));
    let all = told(&shelf, folder.path());
    assert!(all[0].contains("which column is meant"), "{all:?}");
    assert!(all[0].contains("`file:list.csv#COLUMN`"), "{all:?}");
    assert_eq!(roles(&shelf, "ben", &[]), [Role::Student]);
    std::fs::remove_file(&list).expect("removed");
    assert!(shelf.look().expect("looked"));
    assert_eq!(roles(&shelf, "ben", &[]), [Role::Student]);
    std::fs::write(&bio, text.replace("kim", "zoe")).expect("written");
    assert!(shelf.look().expect("looked"));
    assert_eq!(roles(&shelf, "ben", &[]), [Role::Student]);
    assert_eq!(roles(&shelf, "zoe", &[]), [Role::Student]);
    std::fs::write(&bio, "title: [").expect("written");
    assert!(shelf.look().expect("looked"));
    std::fs::write(&bio, text).expect("written");
    assert!(shelf.look().expect("looked"));
    assert_eq!(roles(&shelf, "ben", &[]), [Role::Student]);

    write("zoe\n");
    assert!(shelf.look().expect("looked"));
    assert!(shelf.problems().is_empty(), "{:?}", shelf.problems());
    assert_eq!(roles(&shelf, "ben", &[]), []);
}

#[test]
fn a_roster_is_a_file_of_the_folder_and_has_an_end() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("courses");
    std::fs::create_dir_all(folder.join("lists")).expect("made");
    std::fs::write(place.path().join("secret.csv"), "eve\n").expect("written");
    let link = |to: &str, at: &str| {
        std::os::unix::fs::symlink(to, folder.join(at)).expect("linked");
    };
    link("../secret.csv", "out.csv");
    link("..", "up");
    // As a ConfigMap has them.
    std::fs::write(folder.join("lists/in.csv"), "ada\n").expect("written");
    link("lists/in.csv", "in.csv");
    let many: String = (0..1_000_000).map(|n| format!("s{n}\n")).collect();
    std::fs::write(folder.join("many.csv"), many).expect("written");
    let text = "title: B\npeople: {students: ['file:out.csv', 'file:up/secret.csv', 'file:in.csv', 'file:many.csv']}\n";
    std::fs::write(folder.join("bio.yaml"), text).expect("written");
    let shelf = Shelf::open(&folder, Site::default()).expect("opened");
    assert_eq!(roles(&shelf, "ada", &[]), [Role::Student]);
    assert_eq!(roles(&shelf, "eve", &[]), []);
    assert_eq!(roles(&shelf, "s1", &[]), []);
    let told = told(&shelf, &folder).join("\n");
    assert_eq!(told.matches("leads out of the folder").count(), 2, "{told}");
    assert!(told.contains("many.csv: more than 200000 rows"), "{told}");
}

#[test]
fn a_block_list_keeps_out_and_a_hole_in_it_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("out.csv", "eve\n");
    write(
        "bio.yaml",
        "title: B\npeople: {teachers: ['group:staff'], students: [ada, eve, 'group:bio'], observers: [liv], blocked: ['file:out.csv', liv, 'group:bad']}\n",
    );
    let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
    assert!(shelf.problems().is_empty(), "{:?}", shelf.problems());
    assert_eq!(roles(&shelf, "ada", &[]), [Role::Student]);
    assert_eq!(roles(&shelf, "eve", &["bio"]), []);
    assert_eq!(roles(&shelf, "liv", &[]), []);
    assert_eq!(roles(&shelf, "kim", &["bio"]), [Role::Student]);
    assert_eq!(roles(&shelf, "kim", &["bio", "bad"]), []);
    // Those who teach are taken off their own list.
    assert_eq!(roles(&shelf, "eve", &["staff", "bio"]), [Role::Teacher]);
    let id = CourseId::parse("bio").expect("an id");
    let eve = UserName::parse("eve").expect("a name");
    let course = shelf.course(&id).expect("there");
    assert_eq!(course.entry_of(Role::Student, &eve, &[]), None);
    assert!(ids(&shelf, "eve").is_empty());

    write("out.csv", "=eve\n");
    assert!(shelf.look().expect("looked"));
    assert_eq!(roles(&shelf, "eve", &["bio"]), []);
    let all = told(&shelf, folder.path()).join("\n");
    assert!(
        all.contains("bio.yaml:2:") && all.contains("would be let in"),
        "{all}"
    );
    assert!(all.contains("out.csv:1:1: \"=eve\""), "{all}");
    write("out.csv", "zoe\n");
    assert!(shelf.look().expect("looked"));
    assert_eq!(roles(&shelf, "eve", &["bio"]), [Role::Student]);
}

#[test]
fn groups_of_the_site_are_people_of_every_course() {
    let folder = tempfile::tempdir().expect("a folder");
    for course in ["bio", "art"] {
        let file = folder.path().join(format!("{course}.yaml"));
        std::fs::write(
            file,
            format!("title: {course}\npeople: {{students: [ada]}}\n"),
        )
        .expect("written");
    }
    let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
    assert_eq!(roles(&shelf, "tess", &["formgrade-bio"]), []);
    let mut groups = crate::people::Patterns::default();
    groups
        .add(Role::Teacher, "formgrade-{course}")
        .expect("good");
    groups
        .add(Role::Student, "nbgrader-{course}")
        .expect("good");
    groups
        .add(Role::Teacher, "staff")
        .expect_err("the same for all");
    shelf.set_site(Site {
        groups,
        ..Site::default()
    });
    assert!(shelf.look().expect("looked"));
    assert_eq!(roles(&shelf, "tess", &["formgrade-bio"]), [Role::Teacher]);
    assert_eq!(roles(&shelf, "ben", &["nbgrader-bio"]), [Role::Student]);
    assert_eq!(roles(&shelf, "tess", &["formgrade-art"]), []);
    let named = shelf.naming_group("formgrade-art");
    assert_eq!(named.len(), 1);
    assert_eq!(named[0].as_str(), "art");
}

#[test]
fn an_archived_course_is_seen_by_its_people_and_starts_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "title: B\nvisible: archived\npeople: {teachers: [tess], students: [ada], observers: [liv]}\nenvironment: {}\n";
    std::fs::write(folder.path().join("bio.yaml"), text).expect("written");
    let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
    for name in ["tess", "ada", "liv"] {
        assert_eq!(ids(&shelf, name), ["bio B"]);
        let name = UserName::parse(name).expect("a name");
        let id = CourseId::parse("bio").expect("an id");
        assert!(shelf.starts(&name, &[], &id).is_none());
        assert!(shelf.roles_of(&name, &[]).is_empty());
        let course = shelf.course(&id).expect("there");
        assert_eq!(course.starts_as(&course.roles_of(&name, &[])), None);
    }
    assert!(ids(&shelf, "eve").is_empty());
}
