"""The one exception that reaches a user as a line of text, not as a traceback."""


class UserError(Exception):
    """Something the user can mend.

    The message is one short text that names the file, line or key at fault and the fix.
    Commands print it and leave with exit code 1; ``--debug`` shows the traceback too.
    """


class DivergedError(UserError):
    """The loss is not a number any more; whatever the weights are now is not worth keeping."""


class StoppedError(UserError):
    """Somebody stopped a training; the message says how it goes on."""


class DeadWorkerError(UserError):
    """A process that loads data has died."""


class UnreadableImageError(UserError):
    """An image file that cannot be decoded; the message names it."""
