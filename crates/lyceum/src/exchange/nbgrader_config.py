"""Written by Lyceum when it starts: with it nbgrader finds the exchange of the site by itself."""

import os

c = get_config()  # noqa: F821

try:
    from ngshare_exchange import configureExchange
except ImportError:
    # Without the client nbgrader keeps the exchange it has.
    pass
else:
    api, hub = os.environ.get("JUPYTERHUB_API_URL", ""), "/hub/api"
    if api.endswith(hub):
        configureExchange(c, api[: -len(hub)] + "/services/ngshare")
