"""A program on a leash: when the process that started it dies, even by kill -9, the kernel ends it too.

Run as ``python -I -S leash.py PARENT_PID SIGNAL USER -- PROGRAM ARGUMENTS``: it gives up root for USER ("-" keeps
the user), asks the kernel for SIGNAL at the parent's death (Linux, PR_SET_PDEATHSIG) and becomes PROGRAM, so the
process number stays the same and nothing of this file remains in memory.

Two things to know.  The kernel watches the *thread* that forked: start children from the main thread, never from a
worker thread that ends earlier.  And the wish is lost at a change of user, so it is made after it; that is why
this is a program of its own and not an argument of ``subprocess``.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1
LOST_PARENT = 75  # EX_TEMPFAIL: the parent was gone before the leash was tied


def become(user: str) -> None:
    """Drop root for good: no group of root stays."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def tie(parent: int, signal_number: int) -> None:
    """Ask for ``signal_number`` at the parent's death; leave at once when it has died already."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(LOST_PARENT)


def main(arguments: list[str]) -> None:
    """Tie the leash and become the program."""
    parent, signal_number, user, _, *argv = arguments
    if user != "-":
        become(user)
    tie(int(parent), int(signal_number))
    os.execv(argv[0], argv)  # noqa: S606  the program is the caller's own argument list, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
