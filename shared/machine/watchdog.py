"""Ends the process when its loop has stopped turning: a supervisor starts it again, and the head knows where to go on."""

import faulthandler
import os
import sys
import threading
import time

STALLED_SECONDS = 30.0
"""After so long without a turn of the loop the process ends."""
EXIT_CODE = 70


class Watchdog:
    """A thread that expects to hear from the loop."""

    def __init__(self, stalled_seconds: float = STALLED_SECONDS) -> None:
        """`stalled_seconds`: the longest silence that is borne."""
        self._stalled_seconds = stalled_seconds
        self._heard = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begins to listen."""
        self._heard = time.monotonic()
        self._thread.start()

    def alive(self) -> None:
        """The loop turns."""
        self._heard = time.monotonic()

    def stop(self) -> None:
        """The process ends by itself."""
        self._done.set()

    def _watch(self) -> None:
        while not self._done.wait(1.0):
            before, silent = self._heard, time.monotonic() - self._heard
            if silent > self._stalled_seconds and not self._done.wait(1.0) and self._heard == before:  # not merely frozen together with us
                sys.stderr.write(f"the loop has been silent for {silent:.0f} s: the process ends, to be started again\n")
                faulthandler.dump_traceback(sys.stderr)
                sys.stderr.flush()
                os._exit(EXIT_CODE)
