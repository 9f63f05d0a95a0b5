"""What can go wrong, as exceptions that carry the command's exit code.

Each message is one readable paragraph: what was wrong, where, and what to do.
"""


class HabitueError(Exception):
    """A run that failed for a reason we can name. Exit code 1."""

    exit_code = 1


class UsageError(HabitueError):
    """The command line or the configuration is wrong. Exit code 2."""

    exit_code = 2


class DataRefused(HabitueError):
    """The data failed a quality gate, so nothing but `runs` was written. Exit code 3."""

    exit_code = 3


class NotApplicable(HabitueError):
    """A table that this shop's data cannot give: it is left out, with this message as the reason.

    The run goes on, and tables that need this one are left out as well.
    """
