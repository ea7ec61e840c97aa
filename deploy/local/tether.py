"""Runs a program tied to the one that started it: when that one dies, however it dies, this one is told.

Run by its path, with nothing but the standard library, since it stands between the supervisor and each program:

    python -I -S tether.py SIGNAL PARENT UID GID PROGRAM [ARGUMENT ...]

On Linux the kernel sends SIGNAL when PARENT ends (PR_SET_PDEATHSIG; it survives the exec, so the program keeps the process id that was
started). Elsewhere nothing does, and the next start finds and ends what was left by the process ids in the state file.
UID and GID are -1 to stay who we are.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Gives up privileges where told, ties the knot, and becomes the program."""
    sent, parent, uid, gid = (int(word) for word in sys.argv[1:5])
    program = sys.argv[5:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)  # before the knot: a change of identity unties it
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, sent, 0, 0, 0)
        if os.getppid() != parent:  # it died before the knot was tied
            sys.exit(128 + signal.SIGTERM)
    os.execvp(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
