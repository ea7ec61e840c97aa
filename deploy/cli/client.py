"""The console, asked over HTTP. What goes wrong becomes a sentence and an exit code."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import httpx

from deploy.cli.exits import Exit, stop
from deploy.cli.ids import unknown
from deploy.cli.place import stack_of
from deploy.local.stack import Stack

ANSWER_SECONDS = 10.0
"""How long the console may take, besides what it was asked to wait."""
FOUND_NOTHING, CONFLICT, INVALID, UNAVAILABLE = 404, 409, 422, 503
OPTIONS = {"Makegood-Actor": "--actor", "Idempotency-Key": "--key"}
"""What the console calls a header is an option here."""


class Client:
    """The console of an installation. Used as a context."""

    def __init__(self, stack: Stack) -> None:
        """`stack`: where the console is. Ends the command where there is none."""
        self.address = stack.console_url
        if not self.address:
            stop("No console is known here: set MAKEGOOD_CONSOLE to its address, as in http://127.0.0.1:8000.")
        self._http = httpx.Client(base_url=self.address, timeout=ANSWER_SECONDS, trust_env=False)

    @classmethod
    def of(cls, home: Path | None) -> "Client":
        """The console of a home. Ends the command where nothing runs."""
        return cls(stack_of(home))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, about: str = "") -> Any:
        """What the console answers to a question. Ends the command where it has no answer. `about`: the complaint, as it was typed."""
        answer = self.ask("GET", path, params={name: value for name, value in (params or {}).items() if value not in (None, [])})
        if not answer.is_success:
            self.refused(answer, about=about)
        return answer.json()

    def ask(self, method: str, path: str, *, seconds: float = 0.0, **what: Any) -> httpx.Response:
        """The console's answer, whatever it is; `seconds`: how long it was asked to wait. Ends the command where there is none."""
        try:
            return self._http.request(method, path, timeout=ANSWER_SECONDS + seconds, **what)
        except httpx.TimeoutException:
            stop(f"The console at {self.address} did not answer in time. `makegood doctor` looks for the reason.")
        except httpx.HTTPError as error:
            stop(f"The console at {self.address} does not answer ({error}). `makegood status` tells what runs.")

    def refused(self, answer: httpx.Response, hint: str = "", *, about: str = "") -> NoReturn:
        """Ends the command with what the console says is wrong. `about`: the complaint that was asked of, as it was typed."""
        said = problem_of(answer)
        if about and answer.status_code == FOUND_NOTHING and said.get("title") == "unknown complaint":
            unknown(about)
        code = {FOUND_NOTHING: Exit.NOT_FOUND, CONFLICT: Exit.CONFLICT, INVALID: Exit.USAGE}.get(answer.status_code, Exit.FAILED)
        if said.get("title") == "key used before":
            code = Exit.CONFLICT
        if answer.status_code == UNAVAILABLE and said.get("title") == "not ready":
            hint = "Try again in a moment; `makegood status` tells what it waits for."
        if key := said.get("key"):
            hint = f"The key was {key}."
        sentence = str(said.get("detail") or f"The console answered {answer.status_code}: its log tells why")
        for header, option in OPTIONS.items():
            sentence = sentence.replace(header, option)
        stop(f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}. {hint}".strip(), code)


def problem_of(answer: httpx.Response) -> Mapping[str, Any]:
    """The problem that an answer is; empty where it is none."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
