"""The command line as a page: every command, with its arguments and options as `--help` tells them."""

from collections.abc import Iterator
from typing import Any

from deploy.reference.markdown import WRITTEN, table


def page() -> str:
    """Every command of `makegood`."""
    from deploy.cli.main import everything  # noqa: PLC0415 - only this page needs it

    sections = [_section(path, command) for path, command in _all(everything(), "makegood")]
    return WRITTEN + "# The command line\n\n" + "\n".join(sections)


def _all(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name in sorted(command.commands):
            yield from _all(command.commands[name], f"{path} {name}")
    elif not command.hidden:
        yield path, command


def _section(path: str, command: Any) -> str:
    context = command.context_class(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    text = f"## {path}\n\n`{path} {usage}`\n\n{(command.help or '').strip()}\n"
    rows = []
    for one in command.params:
        record = one.get_help_record(context) or (one.human_readable_name, getattr(one, "help", None) or "")
        rows.append((f"`{record[0]}`", record[1]))
    return text + ("\n" + table(("argument or option", "meaning"), rows) if rows else "")
