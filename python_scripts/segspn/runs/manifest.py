"""What a job left: a file that names its products, with their sizes and sha256.

The same products give the same manifest, to the byte, so that a job that was run again
and found nothing to do makes nothing out of date that was made from its products.
"""

import hashlib
import json
import os

from segspn import files
from segspn.errors import UserError


def _entry(path):
    with path.open("rb") as file:
        return {"size": path.stat().st_size,
                "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def write(manifest, products):
    """Writes the manifest of these files.  Raises UserError where one is missing."""
    entries = {os.path.relpath(path, files.ROOT):
               _entry(files.existing_file(path, "product of this step"))
               for path in products}
    files.write_text(manifest, json.dumps(entries, indent=1, sort_keys=True) + "\n")


def read(manifest):
    """{path: {"size", "sha256"}} of a manifest.  Raises UserError where it is none."""
    try:
        entries = json.loads(files.existing_file(manifest, "manifest").read_text())
        return {files.ROOT / name: {"size": int(entry["size"]), "sha256": str(entry["sha256"])}
                for name, entry in entries.items()}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{manifest} is no manifest; delete it") from error


def fault(manifest):
    """What is wrong with a product that a manifest names; None where all are as it says.

    Sums are computed only of files that are newer than the manifest.
    """
    try:
        entries = read(manifest)
    except UserError as error:
        return str(error)
    written = manifest.stat().st_mtime_ns
    for path, entry in entries.items():
        if not path.is_file():
            return f"{path} is missing"
        status = path.stat()
        if status.st_size != entry["size"] or (status.st_mtime_ns > written
                                               and _entry(path) != entry):
            return f"{path} is another than was written"
    return None
