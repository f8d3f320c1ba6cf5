"""How commands end early: errors that a user can mend, and requests to stop."""


class CommandError(Exception):
    """Something the user can mend; its message says how."""


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """A signal asked for it; nothing was lost.

    Args:
      message: what was done until then.
      status: exit status of a process that the signal ended.
    """

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status
