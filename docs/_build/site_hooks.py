"""What MkDocs does beyond its settings: scripts from npm in the site, none from elsewhere.

The theme would fetch the script that draws diagrams, and the one that lets the search work from a
folder, from another server when a page is read. Here both become part of the site. Where npm is
not at hand the site is whole but for them: diagrams stay text, and a line says so.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import foreign
import packages

_SCRIPTS = {
    "mermaid": ("dist/mermaid.min.js", "assets/javascripts/mermaid.min.js"),
    "iframe-worker": ("shim/index.js", "assets/javascripts/iframe-worker.js"),
}
_ELSEWHERE = "https://unpkg.com/iframe-worker/shim"
_DIAGRAM = '<pre class="mermaid">'
_found: dict[str, Path] = {}


def on_pre_build(config: Any) -> None:
    """Fetch what is not here yet; say what can't be had."""
    for name, (inside, _) in _SCRIPTS.items():
        try:
            _found[name] = packages.package(name) / inside
        except packages.Missing as why:
            sys.stderr.write(f"docs: without {name}: {why}\n")


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """A table that is wider than its page scrolls, so the keyboard must be able to reach it."""
    return html.replace("<table>", '<table tabindex="0">')


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Load the site's own scripts, the large one only where there is a diagram."""
    output = _named(output)
    up = "../" * page.url.count("/")
    if "iframe-worker" in _found:
        output = output.replace(_ELSEWHERE, up + _SCRIPTS["iframe-worker"][1])
    else:
        output = output.replace(f'<script src="{_ELSEWHERE}"></script>', "")
    if _DIAGRAM not in output:
        return output
    if "mermaid" not in _found:
        return output.replace(_DIAGRAM, "<pre>")
    script = f'<script src="{up}{_SCRIPTS["mermaid"][1]}"></script>'
    # Before the theme's own script, which looks whether there is one.
    return output.replace("</main>", f"</main>{script}", 1)


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """The page for addresses that don't exist is made without a page; it has no search shim."""
    return _named(output_content).replace(f'<script src="{_ELSEWHERE}"></script>', "")


def _named(html: str) -> str:
    """The theme's search is a dialogue without a name, which a screen reader can't announce."""
    return html.replace('role="dialog"', 'role="dialog" aria-label="Search"')


def on_post_build(config: Any) -> None:
    """Put the scripts into the site."""
    for name, source in _found.items():
        target = Path(config["site_dir"]) / _SCRIPTS[name][1]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    if found := [f"{path}: {url}" for path, url in foreign.foreign_in(Path(config["site_dir"]))]:
        sys.exit("docs: the site would load from other servers:\n" + "\n".join(found))
