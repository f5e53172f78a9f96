"""Written by Lyceum when a server starts for a course: what nbgrader is told of the course.

What the course file says under `nbgrader` stands in `course.json` beside this file. A `nbgrader_config.py`
in the folder in which nbgrader runs, or in the course's folder, counts over all of it.
"""

import json
import os

c = get_config()  # noqa: F821

# How long a write waits for others to finish theirs. SQLite's own five seconds are too short where some
# grade while submissions are graded by a command.
_PATIENCE_MS = 60_000


def _configure():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "course.json"), encoding="utf-8") as file:
        told = json.load(file)
    c.CourseDirectory.course_id = told["course"]
    if told["grades_here"]:
        root = os.path.join(os.path.expanduser("~"), told["course"])
        # The gradebook wants the folder to be there.
        os.makedirs(root, exist_ok=True)
        c.CourseDirectory.root = root
        _be_patient()
    for name, traits in told["traits"].items():
        for trait, value in traits.items():
            c[name][trait] = value


def _be_patient():
    """Lets the gradebook wait for its lock. By its address it could be told as well, but then
    `nbgrader db upgrade` would not find the file."""
    try:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
    except ImportError:
        return
    # This file is read again and again in one process.
    if getattr(Engine, "_lyceum_is_patient", False):
        return
    Engine._lyceum_is_patient = True

    @event.listens_for(Engine, "connect")
    def wait_for_others(connection, _record):
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")


_configure()
