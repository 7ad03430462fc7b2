"""A report as one HTML file that needs nothing else: no network, no other file."""

import base64
import hashlib
from pathlib import Path

import jinja2
from markupsafe import Markup

from segspn import files

ASSETS = Path(__file__).resolve().parent / "assets"
# What other pages have as well.
SHARED_STYLES, SHARED_SCRIPTS = [ASSETS / "base.css"], [ASSETS / "dom.js"]
STYLES = [*SHARED_STYLES, ASSETS / "report.css"]
SCRIPTS = [*SHARED_SCRIPTS, *(ASSETS / name for name in (
    "charts.js", "player.js", "tables.js", "report.js"))]


def templates(folder):
    """The templates of pages in a folder, a jinja2.Environment."""
    pages = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), autoescape=True,
                               undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    pages.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return pages


PAGES = templates(ASSETS)


def joined(paths):
    """The text of some files of a page, one after the other, to stand there as it is."""
    return Markup("\n" + "\n".join(path.read_text(encoding="utf-8") for path in paths))


def hashed(text):
    """The source expression of a content security policy that allows this text inline."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def write(path, title, sequences, facts):
    """Writes the page, sequence by sequence.

    sequences: an iterable of (what is known of a sequence, its pictures: {name:
    [bytes or None, one a frame]}).  facts: a function that gets the list of what
    is known and returns what is known of all, as JSON can hold it.  Raises
    ValueError for numbers that JSON does not have.
    """
    known = []

    def data():
        for number, (sequence, pictures) in enumerate(sequences):
            known.append(sequence)
            yield f"pictures-{number}", {
                name: [data and base64.b64encode(data).decode() for data in row]
                for name, row in pictures.items()}
        yield "facts", {"title": title, **facts(known)}

    style, script = joined(STYLES), joined(SCRIPTS)
    policy = (f"default-src 'none'; img-src data:; style-src {hashed(style)}; "
              f"script-src {hashed(script)}; base-uri 'none'; form-action 'none'")
    with files.whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(PAGES.get_template("report.html").generate(
            title=title, policy=policy, style=style, script=script, data=data()))
