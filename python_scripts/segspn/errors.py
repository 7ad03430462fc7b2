"""One error class for what a user can mend, how scripts end on it, and plurals."""

import errno
import functools
import sys


class UserError(Exception):
    """Bad input or surroundings.  The message says what, where, and what to do."""


def count(number, noun):
    """So many of something: "1 frame", "2 frames"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def script(main):
    """Decorates a script's main(): a UserError or OSError becomes one line and exit status 1."""
    @functools.wraps(main)
    def run():
        try:
            return main()
        except UserError as error:
            message = str(error)
        except OSError as error:
            message = describe_os_error(error)
        except KeyboardInterrupt:
            print("\ninterrupted; run the same command again to go on", file=sys.stderr)
            sys.exit(130)
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)
    return run


def describe_os_error(error):
    """One line for an OSError: the file, the reason, and what to do where space ran out."""
    where = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return (f"{where}{error.strerror or error}"
            + ("; make room and run the same command again" if full else ""))
