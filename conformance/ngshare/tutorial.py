"""The usual way with nbgrader and ngshare, gone with the real clients and Lyceum's exchange.

An administrator makes a course and puts people into it with ngshare-course-management; the teacher releases an
assignment with nbgrader, a student fetches it and hands it in; it is collected, graded, and the feedback fetched. Then
the assignment is released again, which keeps what was handed in. Nobody has more than a token and the clients'
ordinary configuration.

    python tutorial.py --lyceum target/debug/lyceum
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "jupyterhub"))
import hubs

PROGRAMS = Path(sys.executable).parent
COURSE, ASSIGNMENT = "course101", "ps1"
PATIENCE = 300
"""Seconds for one command; autograding starts a kernel."""


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--lyceum", type=Path, required=True)
    options = arguments.parse_args()
    program = options.lyceum.resolve()
    hub = hubs.Hub("lyceum")
    try:
        command = [sys.executable, str(Path(__file__).resolve().parent / "server.py")]
        hubs.start_lyceum(hub, program, {"servers": {"command": command}})
        hub.until("it answers", hub.answers)
        tell(hub, program)
    except Exception:
        print(hub.told(), file=sys.stderr)
        raise
    finally:
        hub.end()


class Person:
    """Somebody with a home, a token and the clients."""

    def __init__(self, hub, program, name, password=True):
        self.home = hub.folder / f"home-{name}"
        self.home.joinpath(".jupyter").mkdir(parents=True)
        self.lyceum(hub, program, "user", "add", name) if password else None
        made = json.loads(self.lyceum(hub, program, "token", "create", name, "--json"))
        self.env = {
            "PATH": f"{PROGRAMS}:/usr/bin:/bin",
            "HOME": str(self.home),
            "USER": name,
            "JUPYTERHUB_USER": name,
            "JUPYTERHUB_API_TOKEN": made["token"],
        }
        self.home.joinpath(".jupyter/nbgrader_config.py").write_text(
            f"""
from ngshare_exchange import configureExchange
c = get_config()
configureExchange(c, 'http://127.0.0.1:{hub.port}/services/ngshare')
c.CourseDirectory.course_id = {COURSE!r}
"""
        )

    @staticmethod
    def lyceum(hub, program, *words):
        env = {"LYCEUM_DATA": str(hub.folder / "data"), "LYCEUM_CONFIG": str(hub.folder / "lyceum.yaml")}
        done = subprocess.run(
            [program, *words], input=hubs.PASSWORD, env=env, cwd=hub.folder, check=True, text=True, stdout=subprocess.PIPE
        )
        return done.stdout

    def run(self, *words, says=(), fails=False, folder="."):
        """Runs a client, which has to say all of this. `fails` None: however it ends."""
        done = subprocess.run(
            [PROGRAMS / words[0], *words[1:]],
            cwd=self.home / folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        shown = f"{' '.join(map(str, words))} (exit {done.returncode}):\n{done.stdout}"
        print(shown, file=sys.stderr)
        assert fails is None or (done.returncode != 0) == fails, shown
        for text in [says] if isinstance(says, str) else says:
            assert text in done.stdout, f"not said: {text}\n{shown}"
        return done.stdout


class InServer(Person):
    """The same person in a terminal of her notebook server, where nobody has configured anything."""

    def __init__(self, hub, person):
        name, token = person.env["USER"], person.env["JUPYTERHUB_API_TOKEN"]
        headers = {"Authorization": f"token {token}"}
        started = hub.ask("POST", f"/hub/api/users/{name}/server", body={}, headers=headers)
        assert started.status in (201, 202), started.body
        left = hub.until(
            "the server told its environment", lambda: list((hub.folder / "data/homes").glob("*/environment.json"))
        )
        self.env = json.loads(left[0].read_text())
        assert self.env["JUPYTERHUB_API_TOKEN"] != token
        self.home = left[0].parent


def tell(hub, program):
    root = Person(hub, program, "root", password=False)
    teacher, student, other = (Person(hub, program, name) for name in ("instructor1", "student1", "student2"))
    manage = "ngshare-course-management"

    student.run("nbgrader", "list", says=["invalid status code 404", "Course not found"])
    root.run(manage, "create_course", COURSE, "instructor1")
    root.run(manage, "create_course", COURSE, fails=True, says="Course already exists")
    teacher.run(manage, "create_course", "another", fails=True, says="Permission denied")
    teacher.run(manage, "add_student", COURSE, "student1", "-f", "Stu", "-l", "Dent", "-e", "s@example.edu", "--no-gb")
    teacher.run("nbgrader", "list", says="Released assignments:")

    teacher.run("nbgrader", "quickstart", COURSE, says="The course files are located in")
    teacher.run("nbgrader", "generate_assignment", ASSIGNMENT, folder=COURSE)
    released = f"Successfully released {ASSIGNMENT}"
    teacher.run("nbgrader", "release_assignment", ASSIGNMENT, folder=COURSE, says=released)

    other.run("nbgrader", "list", says=["invalid status code 403", "Permission denied"])
    student.run("nbgrader", "list", says=f"{COURSE} {ASSIGNMENT}")
    student.run("nbgrader", "fetch_assignment", ASSIGNMENT, says=f"Successfully decoded {ASSIGNMENT}")
    notebook = student.home / ASSIGNMENT / "problem1.ipynb"
    answer = notebook.read_text().replace("raise NotImplementedError()", "return [i ** 2 for i in range(1, n + 1)]", 1)
    notebook.write_text(answer)
    said = student.run("nbgrader", "submit", ASSIGNMENT, says=f"Submitted as: {COURSE} {ASSIGNMENT} ")
    at = re.search(r"Submitted as: \S+ \S+ (\S+ \S+)", said).group(1)

    collect = ["nbgrader", "collect", ASSIGNMENT]
    teacher.run(*collect, folder=COURSE, says="Processing 1 submissions")
    handed_in = teacher.home / COURSE / "submitted/student1" / ASSIGNMENT
    assert (handed_in / "problem1.ipynb").read_text() == answer
    assert (handed_in / "timestamp.txt").read_text().strip().startswith(at)
    teacher.run("nbgrader", "autograde", ASSIGNMENT, folder=COURSE)
    teacher.run("nbgrader", "generate_feedback", ASSIGNMENT, folder=COURSE)
    teacher.run("nbgrader", "release_feedback", ASSIGNMENT, folder=COURSE)
    student.run("nbgrader", "fetch_feedback", ASSIGNMENT)
    got = list((student.home / ASSIGNMENT / "feedback").glob("*/problem1.html"))
    assert len(got) == 1, got
    assert got[0].read_bytes() == (teacher.home / COURSE / "feedback/student1" / ASSIGNMENT / "problem1.html").read_bytes()

    # Released again: what was handed in is still there.
    teacher.run("nbgrader", "release_assignment", ASSIGNMENT, folder=COURSE, says="already exists", fails=True)
    teacher.run("nbgrader", "release_assignment", ASSIGNMENT, "--force", folder=COURSE, says=released)
    teacher.run("nbgrader", "list", "--inbound", folder=COURSE, says=f"{COURSE} student1 {ASSIGNMENT} {at}")
    # Once more, and the newer is collected.
    student.run("nbgrader", "submit", ASSIGNMENT, says="Submitted as")
    teacher.run(*collect, "--update", folder=COURSE, says="Updating submission: student1")

    # In her server all of it works without a word.
    in_server = InServer(hub, student)
    in_server.run("nbgrader", "list", says=f"{COURSE} {ASSIGNMENT}")
    in_server.run("nbgrader", "fetch_assignment", ASSIGNMENT, "--course", COURSE, says="Successfully decoded")
    in_server.run("nbgrader", "submit", ASSIGNMENT, "--course", COURSE, says="Submitted as")

    teacher.run(manage, "remove_students", COURSE, "student1", "--no-gb")
    student.run("nbgrader", "list", says="Permission denied")
    looked = Person.lyceum(hub, program, "exchange", "verify")
    assert looked.startswith("3 receipts") and "all as it was" in looked, looked

    # A course file says until when, of which kinds, and how much; the client says why nothing is taken.
    def rules(text):
        courses = hub.folder / "data/courses"
        courses.mkdir(exist_ok=True)
        people = "people: {teachers: [instructor1], students: [student1]}"
        courses.joinpath(f"{COURSE}.yaml").write_text(f"title: Course\n{people}\nassignments: {{{ASSIGNMENT}: {text}}}\n")

    def refused(words):
        hub.until(words, lambda: words in student.run("nbgrader", "submit", ASSIGNMENT, fails=None))

    rules("{due: 2026-01-01 12:00}")
    refused("This assignment could be handed in until 2026-01-01 12:00")
    rules("{limits: {size: 10B}}")
    refused("The files are larger than 10B together")
    student.home.joinpath(ASSIGNMENT, "notes.txt").write_text("mine")
    rules("{limits: {kinds: [ipynb]}}")
    refused("takes no file like")
    rules("{due: 2026-01-01 12:00, late: {costs: 10% per day}}")
    hub.until("late work is taken", lambda: "Submitted as" in student.run("nbgrader", "submit", ASSIGNMENT, fails=None))
    looked = Person.lyceum(hub, program, "exchange", "verify")
    assert looked.startswith("4 receipts") and "all as it was" in looked, looked


main()
