//! What a platform says somebody is in a course makes her a member of the course here.

use lyceum_auth::claims::NameFrom;
use lyceum_model::who::CourseRole;
use lyceum_testkit::fake::lti::role;

use super::*;

const STUDENTS: &str = "lti::context:42/student";
const GRADERS: &str = "lti::context:42/grader";
const TEACHERS: &str = "lti::context:42/teacher";

/// As a course file does that names the course `42` there.
pub(super) fn link(hub: &TestHub, place: &str, course: &str) {
    for role in CourseRole::ALL {
        let who = format!("group:lti:{place}/{}", role.as_str());
        hub.put_in_course(&who, course, role);
    }
}

async fn groups_of(client: &Client) -> Vec<String> {
    let user: Value = client.get("/hub/api/user").await.expect(200).json();
    let groups = user["groups"].as_array().cloned().unwrap_or_default();
    groups
        .iter()
        .filter_map(|group| group.as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_she_is_there_she_is_here_as_long_as_it_holds() {
    for db in TestDb::both().await {
        let platform = FakePlatform::start().await;
        let hub = offering(&db, &platform, |_| {}).await;
        link(&hub, ":context:42", "bio");
        let (ada, answer) = come(&hub, &platform, "/").await;
        let start = "/hub/spawn/ada?next=&course=bio";
        assert_eq!(answer.expect(302).location(), start);
        assert_eq!(groups_of(&ada).await, [STUDENTS]);
        // The same session sees it at once.
        let assistant =
            "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant";
        for (roles, expect) in [
            (vec![role("Instructor")], vec![TEACHERS]),
            (vec![role("Instructor"), assistant.into()], vec![GRADERS]),
            (vec![role("Learner"), role("Mentor")], vec![STUDENTS]),
            (
                vec!["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor".into()],
                vec![],
            ),
            (vec![role("Instructor")], vec![TEACHERS]),
            (vec![], vec![]),
        ] {
            platform.say("roles", json!(roles));
            let form = leave(&hub, &ada, &platform, "/hub/token").await;
            post(&ada, LAUNCH, &form).await.expect(302);
            assert_eq!(groups_of(&ada).await, expect, "{roles:?}");
        }
        // Another course there is another one, and one that no file names makes nothing.
        platform.say("roles", json!([role("Instructor")]));
        platform.say("context", json!({"id": "43", "label": "BIO-101"}));
        let (ada, answer) = come(&hub, &platform, "/").await;
        assert_eq!(answer.expect(302).location(), "/hub/home");
        assert!(groups_of(&ada).await.is_empty());
        platform.say("context", Value::Null);
        come(&hub, &platform, "/").await.1.expect(302);
        let mut tx = hub.hub.db().read().await.expect("a database");
        let all = lyceum_hub::db::groups::list(&mut tx, 0, 100)
            .await
            .expect("read");
        let names: Vec<&str> = all.iter().map(|group| group.name.as_str()).collect();
        assert!(names.iter().all(|name| name.contains(":42/")), "{names:?}");
        drop(tx);
        hub.stop().await;
    }
}

/// Whoever writes links there, maybe another student, neither logs her out nor starts anything, be it hers or
/// somebody else's: what follows a launch looks as if she had clicked here.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_begins_and_ends_nothing() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |_| {}).await;
    for link in [
        "/hub/logout",
        "/hub/logout?x=1",
        "/logout",
        "/hub/x/../%6Cogout",
        "/hub/login?next=%2Fhub%2Flogout",
        "/hub/user-redirect/logout",
        "/user/ada/logout",
        "/hub/spawn",
        "/spawn/ada",
        "/hub/spawn/root?profile=big",
        "/hub/api/oauth2/authorize?client_id=x",
        "/hub/oauth_login",
        "/hub/lti13/config",
    ] {
        platform.say("custom", Value::Null);
        let (ada, answer) = come(&hub, &platform, link).await;
        assert_eq!(answer.expect(302).location(), "/hub/home", "{link}");
        assert_eq!(name_of(&ada).await, "ada");
        platform.say("custom", json!({"next": hub.hub.at(link)}));
        let (_, answer) = come(&hub, &platform, "/").await;
        assert_eq!(answer.expect(302).location(), "/hub/home", "{link}");
    }
    // The page of a start that she began is one that only shows, and so are her files.
    for link in [
        "/hub/spawn-pending/ada",
        "/hub/user-redirect/lab/tree/logout",
        "/hub/sessions?x=1",
    ] {
        platform.say("custom", json!({"next": hub.hub.at(link)}));
        let (_, answer) = come(&hub, &platform, "/").await;
        assert_eq!(answer.expect(302).location(), link);
    }
    // In a course it opens what it would without.
    link(&hub, ":context:42", "bio");
    platform.say("custom", json!({"next": hub.hub.at("/hub/logout")}));
    let (_, answer) = come(&hub, &platform, "/").await;
    let start = "/hub/spawn/ada?next=&course=bio";
    assert_eq!(answer.expect(302).location(), start);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_teachers_choose_count_where_it_is_said() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |_| {}).await;
    link(&hub, ":label:BIO-101", "bio");
    link(&hub, ":link:bio", "art");
    platform.say("custom", json!({"course": "bio"}));
    let (ada, _) = come(&hub, &platform, "/").await;
    assert!(groups_of(&ada).await.is_empty());
    for (labels, links, expect) in [
        (true, false, "lti::label:BIO-101/student"),
        (false, true, "lti::link:bio/student"),
    ] {
        let mut trusting = config(&platform, "");
        (trusting.trust_labels, trusting.trust_links) = (labels, links);
        hub.offer_platforms(vec![platform_of(trusting)], People::default())
            .await;
        platform.log_in(expect, if labels { "ben" } else { "eve" });
        let (client, _) = come(&hub, &platform, "/").await;
        assert_eq!(groups_of(&client).await, [expect]);
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_fills_a_platforms_groups() {
    for db in TestDb::both().await {
        let platform = FakePlatform::start().await;
        let hub = offering(&db, &platform, |_| {})
            .await
            .with_admin("root")
            .await;
        link(&hub, ":context:42", "bio");
        come(&hub, &platform, "/").await.1.expect(302);
        let root = hub.client().with_token(&hub.token("root").await);
        let path = "/hub/api/groups/lti::context:42%2Fstudent";
        let users = json!({"users": ["root"]});
        for group in [path, "/hub/api/groups/lti::context:42%2Fteacher"] {
            let answer = root.post_json(group, &users).await;
            assert!(
                answer.status.is_client_error(),
                "{group}: {}",
                answer.status
            );
        }
        let refused = root.post_json(&format!("{path}/users"), &users).await;
        assert!(refused.expect(400).text().contains("learning platform"));
        // Nor does a platform say who is in a group of ours: another place has another name.
        platform.log_in("2", "eve");
        platform.say("context", json!({"id": "42/teacher"}));
        let (eve, _) = come(&hub, &platform, "/").await;
        assert!(groups_of(&eve).await.is_empty());
        hub.stop().await;
    }
}

/// A teacher there gets nobody's account here for it, and the course's file may name a person as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_teachers_account_is_still_nobodys_for_a_name() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |config| {
        config.mapping.username = NameFrom::parse("claim:ext.user_username").expect("one");
    })
    .await;
    link(&hub, ":context:42", "bio");
    hub.put_in_course("tess", "bio", CourseRole::Teacher);
    platform.log_in("9", "tess");
    platform.say("roles", json!([role("Instructor")]));
    let (client, answer) = come(&hub, &platform, "/").await;
    assert!(answer.expect(403).text().contains("was made here before"));
    assert!(is_out(&client).await);
    let mut tx = hub.hub.db().read().await.expect("a database");
    let members = lyceum_hub::db::groups::members(&mut tx, TEACHERS).await;
    assert!(members.expect("read").is_empty());
    hub.stop().await;
}
