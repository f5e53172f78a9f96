"""A notebook server that leaves its environment in its home, for clients to be run as a terminal in it would."""

import json
import os
import sys
from pathlib import Path

whole = Path.home() / "environment.json"
part = whole.with_suffix(".part")
part.write_text(json.dumps(dict(os.environ)))
part.rename(whole)
server = Path(__file__).resolve().parent.parent / "jupyterhub/server.py"
os.execv(sys.executable, [sys.executable, str(server)])
