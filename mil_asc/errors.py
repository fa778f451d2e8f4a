"""Errors that a user can fix: the command line prints their message as one line and exits with 1."""


class UserError(Exception):
    """Something outside the program is wrong: a path, a value, a file.

    The message is one line that says what is wrong, where, and what is allowed.
    """


class AudioError(UserError):
    """An audio file cannot be used: missing, corrupt, empty, silent, too short, or not finite."""


class ArgumentError(ValueError):
    """The value of an argument is not legal; the message is one line that names it and the legal values."""
