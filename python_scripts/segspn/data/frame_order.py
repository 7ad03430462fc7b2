"""The order of images by the numbers in their names."""

import re
from decimal import Decimal

from segspn.errors import UserError

# A name that ends in a number; which "-" is of the number is decided by the other names.
LAST_NUMBER = re.compile("(?P<word>.*?)(?P<sign>[-\N{MINUS SIGN}]?)"
                         "(?P<number>[0-9]+([.](?P<places>[0-9]+))?)")


def in_order(paths):
    """`paths`, files of a folder, in natural order: 2 is before 10, -2 before -1.

    A "-" is a sign where a name has nothing else before its number: none in 2024-01-02.
    0.25 is before 0.5, but 1.9 before 1.10: of decimals, none of two places and more ends in 0.
    Raises UserError where names are read in more than one way.
    """
    ends = {path: LAST_NUMBER.fullmatch(path.stem) for path in paths}
    _refuse_unclear_signs(ends)
    places = [end["places"] or "" for end in ends.values() if _is_number(end)]
    decimals = not any(len(digits) > 1 and digits.endswith("0") for digits in places)
    return sorted(paths, key=lambda path: (_key(path.stem, ends[path], decimals), path.name))


def _is_number(end):
    """Whether a name is a number, or a word and a number."""
    return end is not None and not re.search("[0-9]", end["word"])


def _key(stem, end, decimals):
    """[text, number, text, …]"""
    is_negative = end is not None and end["sign"] and not end["word"]
    if is_negative or decimals and _is_number(end):
        number = Decimal(end["number"])
        return [end["word"].lower(), -number if is_negative else number]
    parts = re.split("([0-9]+)", stem)
    return [int(part) if index % 2 else part.lower() for index, part in enumerate(parts)]


def _refuse_unclear_signs(ends):
    """Raises UserError where the same words stand before numbers with and without a "-"."""
    seen = {}
    for path, end in ends.items():
        if end and end["word"]:
            other, sign = seen.setdefault(end["word"].lower(), (path, end["sign"]))
            if bool(sign) != bool(end["sign"]):
                raise UserError(f"{path.parent} has {other.name} and {path.name}: is the '-' a "
                                "sign?  Name the images 00000, 00001, … in their order")
