"""The page as one HTML text, with its styles and scripts; some are those of the reports."""

from functools import cache
from pathlib import Path

from segspn.report import html_page

ASSETS = Path(__file__).resolve().parent / "assets"
STYLES = [*html_page.SHARED_STYLES, ASSETS / "annotate.css"]
SCRIPTS = [*html_page.SHARED_SCRIPTS, *(ASSETS / name for name in (
    "raster.js", "wire.js", "frames.js", "view.js", "tools.js", "pointers.js", "assist.js",
    "run.js", "panel.js", "editor.js", "keys.js"))]


@cache
def page():
    """(HTML, its content security policy)."""
    style, script = html_page.joined(STYLES), html_page.joined(SCRIPTS)
    policy = ("default-src 'none'; img-src 'self' blob: data:; connect-src 'self'; "
              f"style-src {html_page.hashed(style)}; script-src {html_page.hashed(script)}; "
              "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    template = html_page.templates(ASSETS).get_template("annotate.html")
    return template.render(style=style, script=script), policy
