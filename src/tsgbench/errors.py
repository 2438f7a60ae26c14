"""The one exception a user is meant to read."""

import re

BREAK = re.compile(r"\s*[\r\n]+\s*")
LONGEST = 2000  # characters of a sentence; what a file holds may stand in one, and be of any length


class UserError(Exception):
    """Bad input, in one sentence: the file, the field and the remedy.

    The command line prints it without a traceback and exits with status 1.
    """

    def __str__(self) -> str:
        said = BREAK.sub(" ", super().__str__())  # libraries write several lines
        if len(said) <= LONGEST:
            return said
        return f"{said[: LONGEST - 500]} … {said[-500:]}"
