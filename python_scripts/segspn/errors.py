"""One error class for what a user can mend, how scripts begin and end, and plurals."""

import errno
import functools
import os
import sys
from pathlib import Path

SHOWN = 5  # problems that an error names; it counts the others


class UserError(Exception):
    """Bad input or surroundings.  The message says what, where, and what to do."""


def count(number, noun):
    """So many of something: "1 frame", "2 frames"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def refuse(problems):
    """Raises UserError, one line, if any problem is not None."""
    problems = [problem for problem in problems if problem]
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        more = len(problems) - SHOWN
        shown = [f"({n}) {problem}" for n, problem in enumerate(problems[:SHOWN], 1)]
        raise UserError(f"{len(problems)} problems: " + ", ".join(shown)
                        + (f", and {more} more" if more > 0 else ""))


def script(main):
    """Decorates a script's main(): a UserError or OSError becomes one line and exit status 1."""
    @functools.wraps(main)
    def run():
        open_streams()
        try:
            return main()
        except UserError as error:
            message = str(error)
        except OSError as error:
            message = describe_os_error(error)
        except KeyboardInterrupt:
            print("\ninterrupted; run the same command again to go on", file=sys.stderr)
            sys.exit(130)
        line = message.replace("\n", "\\n")  # the name of a file may have one
        print(f"error: {line}", file=sys.stderr)
        sys.exit(1)
    return run


def open_streams():
    """Opens stdin, stdout and stderr on nothing where they are closed (2>&-).

    Progress bars want one, and a file that is opened would get its number, and the words of
    processes that are started.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: its own
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def dangling(path):
    """One line for a path that is, or goes by, a link to what is not there; None for others."""
    path = Path(path)
    for link in (*reversed(path.parents), path):
        if os.path.islink(link) and not os.path.exists(link):
            return (f"{link} is a link to {os.readlink(link)}, which is not there; make that, "
                    "mount its disk, or remove the link")
    return None


def describe_os_error(error):
    """One line for an OSError: the file, the reason, and what to do where space ran out."""
    if isinstance(error.filename, str) and (found := dangling(error.filename)):
        return found
    where = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return (f"{where}{error.strerror or error}"
            + ("; make room and run the same command again" if full else ""))
