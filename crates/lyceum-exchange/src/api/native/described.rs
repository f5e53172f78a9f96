//! What the API's document says of these routes.

use axum::http::Method;
use lyceum_model::scope::ScopeName::AccessServices;
use lyceum_web::openapi::{Described, Operation, PathPart, list_of, named, of, text};
use serde_json::{Value, json};

use super::{ASSIGNMENT, COURSE, SUBMISSION, at};

pub const DESCRIBED: Described = Described {
    tags: &[(
        "Exchange",
        "Assignments handed out, handed in and given back. The same things by ngshare's API, at \
         /services/ngshare/, are not in this document: it is there for nbgrader's clients as they are, \
         with forms and answers that are ngshare's to describe; docs/admin/exchange.md says what differs",
    )],
    path_parts: PATH_PARTS,
    operations,
    schemas,
};

const PATH_PARTS: &[PathPart] = &[
    ("course", "^[^/]+$", "The name of a course"),
    ("assignment", "^[^/]+$", "The name of an assignment"),
    ("version", "^[^/]+$", "The number of a version, or `newest`"),
    ("submission", "^[^/]+$", "The id of a submission"),
];

const FIELDS: &str = "Each field is a file, and its name the file's path";

fn get(path: &str, id: &str, about: &'static str) -> Operation {
    new(Method::GET, path, id, about)
}

fn new(method: Method, path: &str, id: &str, about: &'static str) -> Operation {
    Operation::new(method, &at(path), id, about)
        .tag("Exchange")
        .scopes(&[AccessServices])
}

/// What files are refused for.
fn wants_files(operation: Operation) -> Operation {
    let refusals = [
        (408, "The files did not come in time"),
        (409, "What may be kept of it is reached"),
        (413, "Larger, or more files, than is taken"),
        (415, "The body is no multipart form"),
    ];
    refusals.into_iter().fold(
        operation.wants_files(FIELDS),
        |operation, (status, about)| operation.json(status, about, named("Error")),
    )
}

/// The list of files, one of them, and all as a zip.
fn trees(below: &str, ids: [&str; 3], abouts: [&'static str; 3]) -> [Operation; 3] {
    let bytes = || json!({ "type": "string", "format": "binary" });
    [
        get(&format!("{below}/files"), ids[0], abouts[0]).json(200, "The files", named("Files")),
        get(&format!("{below}/file"), ids[1], abouts[1])
            .query("path", text(), "The path of the file; it has to be said")
            .answers(200, "The file", "application/octet-stream", bytes()),
        get(&format!("{below}/zip"), ids[2], abouts[2])
            .answers(200, "The zip", "application/zip", bytes())
            .json(409, "More files than one zip has", named("Error")),
    ]
}

fn operations() -> Vec<Operation> {
    let version = format!("{ASSIGNMENT}/versions/{{version}}");
    let list = |operation: Operation| {
        let number = || json!({ "type": "integer" });
        operation
            .query(
                "student",
                text(),
                "Of whom. Those who don't grade see their own",
            )
            .query(
                "before",
                number(),
                "Those with a smaller number; `next` of the page before",
            )
            .query(
                "limit",
                number(),
                "How many at most: 50, and never more than 200",
            )
            .json(200, "The newest first", named("Submissions"))
    };
    let mut all = vec![
        get(
            "courses",
            "list_courses",
            "Lists the courses that the caller belongs to.",
        )
        .json(
            200,
            "The courses",
            of(&["courses"], json!({ "courses": list_of("Course") })),
        ),
        get(
            COURSE,
            "get_course",
            "Tells of a course and its assignments.",
        )
        .json(
            200,
            "The course, with the rules that count for the caller",
            named("CourseWithAssignments"),
        ),
        list(get(
            &format!("{COURSE}/submissions"),
            "list_submissions_of_course",
            "Lists what was handed in.",
        )),
        get(
            ASSIGNMENT,
            "get_assignment",
            "Tells of an assignment, with the rules that count for the caller.",
        )
        .json(200, "The assignment", named("Assignment")),
        new(
            Method::DELETE,
            ASSIGNMENT,
            "withdraw_assignment",
            "Takes an assignment back; what was handed in stays.",
        )
        .empty(204, "It is withdrawn"),
        wants_files(new(
            Method::POST,
            &format!("{ASSIGNMENT}/versions"),
            "release_version",
            "Releases an assignment, or a new version of it.",
        ))
        .json(201, "The version", named("Version")),
        list(get(
            &format!("{ASSIGNMENT}/submissions"),
            "list_submissions",
            "Lists what was handed in of an assignment.",
        )),
        wants_files(new(
            Method::POST,
            &format!("{ASSIGNMENT}/submissions"),
            "submit",
            "Hands in. It is durable when this is answered.",
        ))
        .json(
            201,
            "What was handed in, with its receipt",
            named("SubmissionWithReceipt"),
        ),
        get(
            &format!("{ASSIGNMENT}/zip"),
            "get_zip_of_assignment",
            "Everybody's newest submission, each in a folder.",
        )
        .answers(
            200,
            "The zip",
            "application/zip",
            json!({ "type": "string", "format": "binary" }),
        )
        .json(409, "More files than one zip has", named("Error")),
        get(SUBMISSION, "get_submission", "Tells of a submission.").json(
            200,
            "The submission, with its receipt",
            named("SubmissionWithReceipt"),
        ),
        get(
            &format!("{SUBMISSION}/receipt"),
            "get_receipt",
            "The receipt of a submission as a file.",
        )
        .answers(
            200,
            "The signed text and its signature",
            "text/plain",
            text(),
        ),
        wants_files(new(
            Method::PUT,
            &format!("{SUBMISSION}/feedback"),
            "put_feedback",
            "Gives feedback, in the place of what was given before.",
        ))
        .empty(204, "It is given"),
    ];
    all.extend(trees(
        &version,
        [
            "list_files_of_version",
            "get_file_of_version",
            "get_zip_of_version",
        ],
        [
            "Lists the files of a version.",
            "One file of a version.",
            "The files of a version.",
        ],
    ));
    all.extend(trees(
        SUBMISSION,
        [
            "list_files_of_submission",
            "get_file_of_submission",
            "get_zip_of_submission",
        ],
        [
            "Lists the files of a submission.",
            "One file of a submission.",
            "The files of a submission.",
        ],
    ));
    all.extend(trees(
        &format!("{SUBMISSION}/feedback"),
        [
            "list_files_of_feedback",
            "get_file_of_feedback",
            "get_zip_of_feedback",
        ],
        [
            "Lists the files of feedback.",
            "One file of feedback.",
            "The files of feedback.",
        ],
    ));
    all
}

fn schemas() -> Value {
    let maybe = |kind: &str| json!({ "type": [kind, "null"] });
    let moment = || json!({ "type": "string", "format": "date-time" });
    let maybe_moment = || json!({ "type": ["string", "null"], "format": "date-time" });
    let number = || json!({ "type": "integer", "minimum": 0 });
    let with = |fields: Value, more: Value| {
        let mut fields = fields;
        if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
            fields.extend(more);
        }
        fields
    };
    let course = || {
        json!({
            "course": text(),
            "title": text(),
            "term": maybe("string"),
            "role": { "enum": ["teacher", "grader", "student", "observer", null], "description": "None: an administrator of the site" },
            "archived": { "type": "boolean", "description": "It can only be read" },
        })
    };
    let stored = || {
        of(
            &["bytes", "most"],
            json!({ "bytes": number(), "most": maybe("integer") }),
        )
    };
    let submission = || {
        json!({
            "id": text(),
            "assignment": text(),
            "version": number(),
            "student": text(),
            "time": moment(),
            "due": with(maybe_moment(), json!({ "description": "What counted for her when she handed in" })),
            "late": with(maybe("integer"), json!({ "description": "Seconds after it was due; 0 in time; null where it was not due" })),
            "files": number(),
            "bytes": number(),
            "number": with(number(), json!({ "description": "Of its receipt, in the course" })),
            "feedback_at": maybe_moment(),
        })
    };
    let names = [
        "id",
        "assignment",
        "version",
        "student",
        "time",
        "due",
        "late",
        "files",
        "bytes",
        "number",
        "feedback_at",
    ];
    let course_names = ["course", "title", "term", "role", "archived"];
    json!({
        "Course": of(&course_names, course()),
        "CourseWithAssignments": of(
            &[course_names.as_slice(), &["assignments", "stored"]].concat(),
            with(
                course(),
                json!({
                    "assignments": list_of("Assignment"),
                    "stored": {
                        "type": "object",
                        "description": "How much was handed in, and how much is kept at most (null: all)",
                        "required": ["own"],
                        "properties": {
                            "own": with(stored(), json!({ "description": "The caller's" })),
                            "course": with(stored(), json!({ "description": "All people's; for those who grade" })),
                        },
                    },
                }),
            ),
        ),
        "Assignment": of(
            &[
                "assignment", "state", "version", "released_at", "opens", "due", "in_time_until", "taken_until", "late_costs",
                "limits",
            ],
            json!({
                "assignment": text(),
                "state": {
                    "enum": ["planned", "early", "open", "late", "closed"],
                    "description": "planned: nothing of it can be had; early: students don't see it yet; late: taken, and late; closed: not taken any more",
                },
                "version": maybe("integer"),
                "released_at": maybe_moment(),
                "opens": maybe_moment(),
                "due": maybe_moment(),
                "in_time_until": with(maybe_moment(), json!({ "description": "Until then it is not late" })),
                "taken_until": with(maybe_moment(), json!({ "description": "None where there is no end" })),
                "late_costs": with(maybe("string"), json!({ "description": "10% per day" })),
                "limits": of(
                    &["size", "files", "kinds", "submissions"],
                    json!({
                        "size": with(maybe("string"), json!({ "description": "20M" })),
                        "files": maybe("integer"),
                        "kinds": { "type": ["array", "null"], "items": text() },
                        "submissions": maybe("integer"),
                    }),
                ),
                "versions": with(list_of("Version"), json!({ "description": "For those who grade, the newest first" })),
            }),
        ),
        "Version": of(
            &["version", "released_at", "released_by", "files", "bytes"],
            json!({
                "version": number(),
                "released_at": moment(),
                "released_by": text(),
                "files": number(),
                "bytes": number(),
            }),
        ),
        "Files": of(&["files"], json!({ "files": { "type": "array", "items": of(
            &["path", "size", "md5", "blake3"],
            json!({ "path": text(), "size": number(), "md5": text(), "blake3": text() }),
        ) } })),
        "Submission": of(&names, submission()),
        "SubmissionWithReceipt": of(
            &[names.as_slice(), &["receipt"]].concat(),
            with(submission(), json!({ "receipt": of(
                &["text", "signature", "public_key"],
                json!({
                    "text": with(text(), json!({ "description": "What was signed" })),
                    "signature": with(text(), json!({ "description": "Ed25519, in base64" })),
                    "public_key": with(text(), json!({ "description": "In hexadecimal" })),
                }),
            ) })),
        ),
        "Submissions": of(
            &["submissions", "next"],
            json!({
                "submissions": list_of("Submission"),
                "next": with(maybe("integer"), json!({ "description": "`before` of the next page" })),
            }),
        ),
    })
}
