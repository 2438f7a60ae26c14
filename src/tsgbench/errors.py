"""The one exception a user is meant to read."""


class UserError(Exception):
    """Bad input, in one sentence: the file, the field and the remedy.

    The command line prints it without a traceback and exits with status 1.
    """
