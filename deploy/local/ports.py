"""Loopback ports, chosen once and kept: whoever noted an address yesterday finds the same thing there today."""

import json
import random
import socket
import threading
from pathlib import Path

LOOPBACK = "127.0.0.1"
LOWEST, HIGHEST = 20_000, 31_999
"""Below the range from which systems take the ports of outgoing connections (Linux from 32768, others from 49152).

A port of that range could be taken by somebody's outgoing connection while its server restarts, even by a client's that tries to reach it.
"""
TRIES = 500
"""So many ports are tried until one is free."""


class Ports:
    """The ports of one home, by the name of who listens. Kept in `ports.json`."""

    def __init__(self, file: Path) -> None:
        self.moved: list[str] = []
        """In sentences: whose port another program has taken since, and where they are now."""
        self._file = file
        self._kept = _read(file)
        self._one_at_a_time = threading.Lock()

    def keep(self, name: str) -> int:
        """The port of `name`: the one it had, or a new one if it had none or another program took it.

        Raises:
            OSError: when no free port was found.
        """
        with self._one_at_a_time:
            before = self._kept.get(name)
            if before is not None and is_free(before):
                return before
            port = self._kept[name] = free_port(frozenset(self._kept.values()))
            self._write()
            if before is not None:
                self.moved.append(f"another program has port {before}, so {name} moves to {port}")
            return port

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self._kept, indent=1, sort_keys=True))
        new.replace(self._file)


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now; connections that linger after a close do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((LOOPBACK, port))
            trial.listen(1)
        except OSError:
            return False
    return True


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """A free loopback port, none of `taken`.

    Raises:
        OSError: when none was found in many tries.
    """
    source = random.SystemRandom()
    for _ in range(TRIES):
        port = source.randint(LOWEST, HIGHEST)
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port between {LOWEST} and {HIGHEST} in {TRIES} tries")


def _read(file: Path) -> dict[str, int]:
    try:
        return {str(name): int(port) for name, port in json.loads(file.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):  # not there, or not what was written: ports are chosen anew
        return {}
