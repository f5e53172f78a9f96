"""Written by Lyceum when it starts: terminals find the programs of the environment that the server runs in.

A Jupyter server that no terminal belongs to starts its own terminals with log-in shells. These set the
path of programs anew, as the machine has it, and nothing of the environment would be found.

It does nothing as soon as another configuration of the server says anything of terminals.
"""

import os

c = get_config()  # noqa: F821


def _says_something(path):
    """Whether a file, as far as it is no comment, says something of terminals."""
    try:
        # A pipe would keep us waiting.
        if not os.path.isfile(path) or os.path.samefile(path, __file__):
            return False
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(1024 * 1024)
    except (OSError, ValueError):
        return False
    lines = (line.strip() for line in text.splitlines())
    return any("terminado_settings" in line for line in lines if not line.startswith("#"))


def _files():
    from jupyter_core.paths import jupyter_config_dir, jupyter_config_path

    for folder in [jupyter_config_dir(), *jupyter_config_path(), os.getcwd()]:
        for name in ("jupyter_config", "jupyter_server_config", "jupyter_lab_config", "jupyter_notebook_config"):
            yield from (os.path.join(folder, f"{name}.{kind}") for kind in ("py", "json"))
            more = os.path.join(folder, f"{name}.d")
            if os.path.isdir(more):
                yield from (os.path.join(more, file) for file in sorted(os.listdir(more)))


def _configure():
    try:
        if any(_says_something(path) for path in _files()):
            return
    except Exception:
        # Whoever can't tell leaves things as they are.
        return
    shell = os.environ.get("SHELL") or "/bin/sh"
    c.ServerApp.terminado_settings = {"shell_command": [shell]}


_configure()
