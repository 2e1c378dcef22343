"""Looks at the built site as readers do: every page in Chromium, at two widths, light and dark.

Serves `site/` on loopback and lets the browser reach nothing else. Fails on an error in the
console, a request that leaves loopback, a diagram that was not drawn, a page wider than its window,
a serious finding of axe, and a search that finds nothing. `--pictures` keeps what it saw in
`build/pictures/`; other arguments are pages to look at, as in `reference/cli.html`.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import packages

SITE = packages.TREE / "site"
WORDS = ("prune", "CAS070", "fallback", "tape")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing: the browser's own errors count."""


def browser() -> str:
    """The path of Chromium, installed first where that can be done.

    Raises:
        packages.Missing: it is not here and can't be installed; says how.

    """
    names = ("chromium", "chromium-browser", "google-chrome")
    for attempt in (1, 2):
        if found := next(filter(None, map(shutil.which, names)), None):
            return found
        apt = shutil.which("apt-get")
        if attempt == 1 and apt and os.geteuid() == 0:
            sys.stdout.write("installing Chromium (once) ...\n")
            done = subprocess.run(
                [apt, "install", "-y", "-qq", "chromium"],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise packages.Missing(f"apt-get can't install chromium: {done.stderr.strip()}")
    raise packages.Missing("there is no Chromium (Debian: apt-get install chromium)")


def node() -> str:
    """The path of node.

    Raises:
        packages.Missing: there is none.

    """
    found = shutil.which("node")
    if found is None:
        raise packages.Missing("there is no node (Debian: apt-get install nodejs npm)")
    return found


def main(arguments: list[str]) -> int:
    """Look at all pages, or at those that *arguments* name; the exit code."""
    named = [one for one in arguments if not one.startswith("--")]
    pages = named or sorted(page.relative_to(SITE).as_posix() for page in SITE.rglob("*.html"))
    if not pages:
        sys.stderr.write("docs-check: there is no site; build it with:  make docs\n")
        return 1
    try:
        told = {
            "browser": browser(),
            "playwright": str(packages.package("playwright-core")),
            "axe": str(packages.package("axe-core") / "axe.min.js"),
            "flags": FLAGS,
            "pages": [page for page in pages if page != "404.html"],
            "words": WORDS,
            "pictures": str(packages.TREE / "build/pictures") if "--pictures" in arguments else "",
        }
        program = node()
    except packages.Missing as why:
        sys.stderr.write(f"docs-check: {why}\n")
        return 1
    began = time.monotonic()
    handler = functools.partial(_Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told["url"] = f"http://127.0.0.1:{server.server_port}/"
        script = str(Path(__file__).with_name("look.mjs"))
        code = subprocess.run([program, script, json.dumps(told)], check=False).returncode
        server.shutdown()
    sys.stdout.write(f"looked at in {time.monotonic() - began:.0f} s\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
