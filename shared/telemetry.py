"""What a process tells of itself: its log, and /healthz, /readyz and /metrics on a loopback port."""

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import stamina
import stamina.instrumentation
import structlog
import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from shared.errors import kind_of, places_of

STOP_SECONDS = 5
"""How long requests may take to end when the process is told to stop."""
CONNECTIONS_MAX = 2_000
"""Connections to a process's port; whoever comes beyond them is turned away with 503."""
FAILED = 75
"""The exit code where the work could not go on."""

Ready = Callable[[], tuple[bool, Mapping[str, Any]]]
"""Whether the process does its work, and what is known of that."""
log = structlog.get_logger()


def log_to_stderr(level: str, service: str) -> None:
    """One line of JSON an event, with the time (UTC) and the service; what libraries log goes the same way."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_words,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer(ensure_ascii=False)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for chatty in ("aiokafka", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)
    stamina.instrumentation.set_on_retry_hooks([_tried_again])


def _without_words(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Of an error, its kind and the way to it, never its words."""
    found = event.pop("exc_info", None)
    error = found if isinstance(found, BaseException) else found[1] if isinstance(found, tuple) else sys.exc_info()[1] if found else None
    if error is not None:
        event["exception"] = places_of(error)
    return event


def _tried_again(details: stamina.instrumentation.RetryDetails) -> None:
    """What passes by itself is tried again. Never with what: it may be an address with a password in it."""
    log = structlog.get_logger()
    log.warning("waits", what=details.name, error=kind_of(details.caused_by), tried=details.retry_num, again_in_seconds=details.wait_for)


def health_routes(registry: CollectorRegistry, ready: Ready) -> list[Route]:
    """/healthz: the process runs. /readyz: it does its work, or why not. /metrics: its figures, for Prometheus."""

    async def healthz(_: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def readyz(_: Request) -> Response:
        fine, known = ready()
        return Response(json.dumps({"ready": fine, **known}) + "\n", 200 if fine else 503, media_type="application/json")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def health_app(registry: CollectorRegistry, ready: Ready) -> Starlette:
    """An application with nothing but the health routes."""
    return Starlette(routes=health_routes(registry, ready))


class _Quiet(uvicorn.Server):
    """A server that leaves signals to whoever runs it, and tells where it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                log.info("listening", address=f"http://{f'[{host}]' if ':' in host else host}:{port}")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _nobody_asked(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Something failed in the background, and nobody waited for it."""
    logging.getLogger(__name__).error("%s", str(context["message"]).partition("\n")[0], exc_info=context.get("exception"))


async def serve(work: Coroutine[Any, Any, None], app: ASGIApp, bind: str, port: int) -> int:
    """Works and answers until told to stop by SIGTERM or SIGINT, or until the work ends: 0, or 75 where that raised.

    Args:
        work: What the process is for. It is cancelled when the process is told to stop.
        app: What is answered on the port.
        bind: The address to listen on.
        port: The port; 0 to listen on none.
    """
    asyncio.get_running_loop().set_exception_handler(_nobody_asked)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    quiet = _Quiet(
        uvicorn.Config(
            app,
            host=bind,
            port=port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=STOP_SECONDS,
            lifespan="off",
            limit_concurrency=CONNECTIONS_MAX,
        )
    )
    answering = [asyncio.create_task(quiet.serve())] if port else []
    working, waiting = asyncio.create_task(work), asyncio.create_task(ended.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    failed = working.done() and working.exception()
    working.cancel()
    waiting.cancel()
    quiet.should_exit = True
    await asyncio.gather(working, waiting, *answering, return_exceptions=True)
    if failed:
        logging.getLogger(__name__).error("the process ends", exc_info=failed)
        return FAILED
    return 0
