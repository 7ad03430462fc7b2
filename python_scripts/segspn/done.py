"""Is it done?  One rule, for scripts and for the jobs of a run.

What made a file is noted in a record: the recipe (the settings that decide what it holds),
the files that it was made from, and the file itself.  It is done while all of these are
what they were.  A file is what it was where its size and time of change are as noted; where
they are not, its sha256 decides, wherever it lies and whatever it is called.

A record is lines of JSON, the recipe first, then a line as soon as its products are whole:
what a killed run has finished counts, and a line that is cut off does not.  In the project,
paths are relative to the record's folder: the project may be moved.
"""

import hashlib
import json
import os
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from segspn import files

NAME = ".made_from.jsonl"  # of the record in a folder of products


@lru_cache(1024)
def _sha256(path, size, changed):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seen(path):
    """What a file is: [path, size, time of change in ns, sha256]."""
    path = os.path.abspath(path)
    status = os.stat(path)
    known = status.st_size, status.st_mtime_ns
    return [path, *known, _sha256(path, *known)]


def digest_of(paths):
    """sha256 of the contents of files, in their order, wherever they lie."""
    return hashlib.sha256("".join(seen(path)[3] for path in paths).encode()).digest()


def _all_seen(paths):
    return [seen(path) for path in paths if os.path.isfile(path)]


def is_as_seen(path, noted):
    """Whether there is a file with the content of what was seen()."""
    try:
        status = os.stat(path)
        if [os.path.abspath(path), status.st_size, status.st_mtime_ns] == noted[:3]:
            return True
        return status.st_size == noted[1] and seen(path)[3] == noted[3]
    except OSError:
        return False


def are_as_seen(paths, noted):
    """The same of as many files, in their order."""
    return len(paths) == len(noted) and all(map(is_as_seen, paths, noted))


class Record:
    """The record in a file, of products that are made by one recipe.

    recipe  what JSON can hold; None: that of the file, whatever it is
    inputs  paths of what all products are made from

    What the file notes of another recipe, or of other inputs, does not count.
    """

    def __init__(self, path, recipe=None, inputs=()):
        self.path, self._recipe, self._inputs = Path(path), recipe, inputs
        self._folder = os.path.abspath(self.path.parent)
        self._header, lines = self._read()
        self._is_ours = False  # whether this object has written the file
        if self._header and recipe is not None and not (
                self._header["recipe"] == json.loads(json.dumps(recipe))
                and are_as_seen(inputs, self._header["inputs"])):
            self._header, lines = None, []
        self._lines = {name: line for line in lines for name in line["products"]}

    def _read(self):
        """(the first line, the others), dicts; (None, []) where there is no whole record."""
        found = []
        try:
            for text in self.path.read_bytes().splitlines():
                found.append(_checked(json.loads(text), "products" if found else "recipe"))
                self._change_paths(found[-1], lambda path: os.path.normpath(
                    os.path.join(self._folder, path)))
        except (OSError, ValueError, KeyError, TypeError):  # ValueError: no JSON, no UTF-8
            pass
        return (found[0], found[1:]) if found else (None, [])

    @staticmethod
    def _change_paths(line, change):
        for one in (*line["inputs"], *line.get("products", {}).values()):
            one[0] = change(one[0])

    def _text(self, line):
        """A line as it stands in the file."""
        def relative(path):
            inside = all(Path(one).is_relative_to(files.ROOT) for one in (path, self._folder))
            return os.path.relpath(path, self._folder) if inside else path

        line = json.loads(json.dumps(line))
        self._change_paths(line, relative)
        return json.dumps(line) + "\n"

    def _name(self, path):
        return os.path.relpath(path, self.path.parent)

    def products(self):
        """{path: sha256} of all that is noted."""
        return {Path(os.path.normpath(self.path.parent / name)): line["products"][name][3]
                for name, line in self._lines.items()}

    def inputs(self, product):
        """Paths of what a product was made from, beside those of all; [] where nothing is noted."""
        return [one[0] for one in self._lines.get(self._name(product), {"inputs": []})["inputs"]]

    def digest(self, products=None):
        """A text that tells the products of one record from others; None where there are none.

        products: paths of those that count, or None: all.
        """
        names = self._lines if products is None else set(map(self._name, products))
        known = sorted((name, line["products"][name][3]) for name, line in self._lines.items()
                       if name in names)
        return hashlib.sha256(repr(known).encode()).hexdigest() if known else None

    def fault(self, product, inputs=None, edited=False):
        """Why a product is not done, to stand after its name; None where it is.

        inputs: paths of what it has to be made from, beside those of all; None: of what
        it was made from.  edited: whether it may have been changed by hand.
        """
        if not os.path.isfile(product):
            return "is missing"
        line = self._lines.get(self._name(product))
        if line is None:
            return "is not of the last run, which was not finished"
        if not edited and not is_as_seen(product, line["products"][self._name(product)]):
            return "is another than was written"
        if inputs is None:
            inputs = self.inputs(product)
        elif len(inputs) != len(line["inputs"]):
            return "is made from other files"
        # Those of all, where they were given, have been compared when the record was read; where
        # they were not, one that is gone may lie elsewhere now.
        common = [] if self._recipe is not None else [
            one for one in self._header["inputs"] if os.path.isfile(one[0])]
        for path, one in zip([*(one[0] for one in common), *inputs], [*common, *line["inputs"]]):
            if not is_as_seen(path, one):
                return f"is made from {path}, which " + (
                    "has changed since" if os.path.isfile(path) else "is missing")
        return None

    def is_done(self, products, inputs=(), edited=False):
        """Whether all of these products are done."""
        return all(self.fault(product, inputs, edited) is None for product in products)

    @contextmanager
    def making(self, products, inputs=()):
        """While it is entered, these products are made; then they are noted.

        Of a file that is missing, who makes them is to say so.
        """
        self._header = self._header or {"recipe": self._recipe,
                                        "inputs": _all_seen(self._inputs)}
        noted = _all_seen(inputs)
        yield
        line = {"products": {self._name(path): seen(path) for path in products}, "inputs": noted}
        self._lines |= dict.fromkeys(line["products"], line)
        if self._is_ours:
            with files.writing(self.path), self.path.open("a") as file:
                file.write(self._text(line))
            return
        lines = {id(known): known for known in self._lines.values()}.values()
        files.write_text(self.path, "".join(map(self._text, (self._header, *lines))))
        self._is_ours = True


def _checked(line, kind):
    """A line of a record, if it is one of this kind.  Raises ValueError, KeyError or TypeError."""
    noted = [*line["inputs"], *(line["products"].values() if kind == "products" else ())]
    if kind not in line or not all(isinstance(path, str) and len(rest) == 3
                                   for path, *rest in noted):
        raise ValueError(line)
    return line
