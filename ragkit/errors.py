"""The one exception that ragkit raises on purpose."""


class RagkitError(Exception):
    """Something the user can mend: the message says in one line what is wrong, with what, and what to do.

    The command line prints the message and exits with 1; no traceback is shown. Anything else that
    escapes is a bug in ragkit.
    """
