"""The order of images by the numbers in their names."""

import re
from decimal import Decimal

from segspn.errors import UserError

# A name that ends in a number; which "-" is of the number is decided by the other names.
LAST_NUMBER = re.compile("(?P<word>.*?)(?P<sign>[-\N{MINUS SIGN}]?)"
                         "(?P<number>[0-9]+([.](?P<places>[0-9]+))?)")


def in_order(names, folder):
    """[name]: those of images in a folder, without endings, in natural order: 2 before 10.

    A "-" is a sign where a name has nothing else before its number: -2 is before -1,
    but 2024-01-02 has none.  0.25 is before 0.5, but 1.9 before 1.10: of decimals, none
    of two places and more ends in 0.  Raises UserError where a "-" may be a sign or not.
    """
    ends = {name: LAST_NUMBER.fullmatch(name) for name in sorted(names)}
    _refuse_unclear_signs(ends, folder)
    places = [end["places"] or "" for end in ends.values() if _is_number(end)]
    decimals = not any(len(digits) > 1 and digits.endswith("0") for digits in places)
    return sorted(ends, key=lambda name: (_key(name, ends[name], decimals), name))


def _is_number(end):
    """Whether a name is a number, or a word and a number."""
    return end is not None and not re.search("[0-9]", end["word"])


def _key(name, end, decimals):
    """[text, number, text, …]"""
    is_negative = end is not None and end["sign"] and not end["word"]
    if is_negative or decimals and _is_number(end):
        number = Decimal(end["number"])
        return [end["word"].lower(), -number if is_negative else number]
    parts = re.split("([0-9]+)", name)
    return [int(part) if index % 2 else part.lower() for index, part in enumerate(parts)]


def _refuse_unclear_signs(ends, folder):
    """Raises UserError where the same words stand before numbers with and without a "-"."""
    seen = {}
    for name, end in ends.items():
        if end and end["word"]:
            other, sign = seen.setdefault(end["word"].lower(), (name, end["sign"]))
            if bool(sign) != bool(end["sign"]):
                raise UserError(f"{folder} has {other} and {name}: is the '-' a sign?  Name the "
                                "images 00000, 00001, … in their order")
