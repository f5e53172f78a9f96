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
