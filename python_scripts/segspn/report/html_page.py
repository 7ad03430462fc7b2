"""A report as one HTML file that needs nothing else: no network, no other file."""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

from segspn import files

PAGE = Path(__file__).resolve().parent / "assets"
STYLES = ["report.css"]
SCRIPTS = ["charts.js", "player.js", "tables.js", "report.js"]


def block(identity, content):
    """`content` as JSON in an element that a browser does not run, whatever texts it has.

    Raises ValueError for numbers that JSON does not have.
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for character in "<>&":  # they occur in strings only
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{html.escape(identity)}">{text}</script>\n'


def joined(names):
    """The text of some files of the page, one after the other."""
    return "\n" + "\n".join((PAGE / name).read_text(encoding="utf-8") for name in names)


def hashed(text):
    """The source expression of a content security policy that allows this text inline."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def frame_of_page(title):
    """(what comes before, what comes after) the data in the page."""
    style, script = joined(STYLES), joined(SCRIPTS)
    policy = (f"default-src 'none'; img-src data:; style-src {hashed(style)}; "
              f"script-src {hashed(script)}; base-uri 'none'; form-action 'none'")
    parts = {"title": html.escape(title), "policy": html.escape(policy, quote=True),
             "style": style, "script": script}
    before, _, after = (PAGE / "report.html").read_text(encoding="utf-8").partition("{{data}}")
    return tuple(re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], part)
                 for part in (before, after))


def write(path, title, sequences, facts):
    """Writes the page, sequence by sequence.

    sequences: an iterable of (what is known of a sequence, its pictures: {name:
    [bytes or None, one a frame]}).  facts: a function that gets the list of what
    is known and returns what is known of all, as JSON can hold it.
    """
    before, after = frame_of_page(title)
    known = []
    with files.whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(before)
        for number, (sequence, pictures) in enumerate(sequences):
            file.write(block(f"pictures-{number}", {
                name: [data and base64.b64encode(data).decode() for data in row]
                for name, row in pictures.items()}))
            known.append(sequence)
        file.write(block("facts", {"title": title, **facts(known)}))
        file.write(after)
