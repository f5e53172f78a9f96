"""Written by Lyceum when it starts: with it nbgrader finds the exchange of the site by itself.

It does nothing as soon as another configuration that nbgrader reads says anything of an exchange. This
folder comes before most others on Jupyter's path, so it would win over them otherwise.
"""

import os

c = get_config()  # noqa: F821


def _says_something(path):
    """Whether a file, as far as it is no comment, says something of an exchange."""
    try:
        # A pipe would keep us waiting.
        if not os.path.isfile(path) or os.path.samefile(path, __file__):
            return False
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(1024 * 1024)
    except (OSError, ValueError):
        return False
    lines = (line.strip() for line in text.splitlines())
    return any("Exchange" in line for line in lines if not line.startswith("#"))


def _is_configured_elsewhere():
    if any("Exchange" in section for section in c):
        return True
    try:
        from jupyter_core.paths import jupyter_config_dir, jupyter_config_path

        folders = [jupyter_config_dir(), *jupyter_config_path()]
    except Exception:
        # Whoever can't tell leaves things as they are.
        return True
    try:
        folders.append(os.getcwd())
    except OSError:
        pass
    names = [f"{name}.{kind}" for name in ("nbgrader_config", "jupyter_config") for kind in ("py", "json")]
    return any(_says_something(os.path.join(folder, name)) for folder in folders for name in names)


def _configure():
    try:
        from ngshare_exchange import configureExchange
    except ImportError:
        # Without the client nbgrader keeps the exchange it has.
        return
    api, hub = os.environ.get("JUPYTERHUB_API_URL", ""), "/hub/api"
    if api.endswith(hub) and not _is_configured_elsewhere():
        configureExchange(c, api[: -len(hub)] + "/services/ngshare")


_configure()
