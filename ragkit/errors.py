"""The one exception that ragkit raises on purpose, and a full disk told from what libraries make of it."""

import errno


class RagkitError(Exception):
    """Something the user can mend: the message says in one line what is wrong, with what, and what to do.

    The command line prints the message and exits with 1; no traceback is shown. Anything else that
    escapes is a bug in ragkit.
    """


def disk_is_full(error: BaseException) -> bool:
    """Whether no space was left; safetensors says so in its own exception's text alone."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "No space left on device" in str(error)
