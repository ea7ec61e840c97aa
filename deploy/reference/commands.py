"""The command line as a page: every command, with its arguments and options as `--help` tells them."""

from collections.abc import Iterator
from typing import Any

from deploy.reference.markdown import WRITTEN, table

INTRODUCTION = """# The command line

Exit codes, the same for every command: 0 done, 1 failed, 2 usage, 3 not found, 4 refused by a rule, 5 proof failed. Data goes to standard
output, everything else to standard error; where standard output is no terminal, tables are plain and whole.

`--json` gives one JSON document. Where there is no answer (1, 2, 3), standard output stays empty, the exit code tells and standard error
says why. What was looked at and is not well is an answer: the problem with a refusal (4), the faults with a failed proof (5), and what
`status` and `doctor` found wrong (1). `makegood --version` shows the version.

"""


def page() -> str:
    """Every command of `makegood`."""
    from deploy.cli.main import everything  # noqa: PLC0415 - only this page needs it

    sections = [_section(path, command) for path, command in _all(everything(), "makegood")]
    return WRITTEN + INTRODUCTION + "\n".join(sections)


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
