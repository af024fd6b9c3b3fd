"""Options of the stages: one frozen dataclass a stage, whose fields are also its command line."""

import argparse
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

Options = TypeVar("Options")


def option(default: Any, text: str) -> Any:
    """Return a dataclass field with a default, whose type is the option's, and a help text."""
    return field(default=default, metadata={"help": text})


def required(text: str) -> Any:
    """Return a dataclass field without a default: a path or a name that must be given."""
    return field(metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What every stage takes. A long schedule can be trained in several runs, each a share `begin` .. `end` of it."""

    seconds: float = option(60.0, "duration of this run")
    begin: float = option(0.0, "where in the schedule this run begins, 0 to 1")
    end: float = option(1.0, "where in the schedule this run ends, 0 to 1")
    steps: int = option(10**9, "end after so many steps at the latest; 3 makes a dry run")
    seed: int = option(0, "of data and noise")
    out: str = option(".", "folder for the checkpoint")
    state: str = option("/tmp/state", "file for weights and optimiser, which --resume reads")
    resume: str = option("", "go on from the --state file of an earlier run")


@dataclass(frozen=True, kw_only=True)
class StageOptions(RunOptions):
    """What the stages take that train whole networks."""

    muon: float = option(0.01, "peak learning rate of weight matrices")


def check_shares(options: Any, *names: str) -> None:
    """Raise ValueError unless each of these options is a share, from 0 to 1."""
    for name in names:
        if not 0 <= (value := getattr(options, name)) <= 1:
            raise ValueError(f"{flag(name)} is a share, from 0 to 1, not {value:g}")


def flag(name: str) -> str:
    """Return the command-line flag of an option."""
    return "--" + name.replace("_", "-")


def add_options(parser: argparse.ArgumentParser, kind: type) -> None:
    """Add a flag for each field of the dataclass `kind`; True and False become --name and --no-name."""
    for f in fields(kind):
        text = f.metadata["help"]
        if isinstance(f.default, bool):
            parser.add_argument(flag(f.name), action=argparse.BooleanOptionalAction, default=f.default, help=text)
        elif isinstance(f.default, int | float | str):
            shown = text if f.default == "" else f"{text} (default: {f.default})"
            parser.add_argument(flag(f.name), type=type(f.default), default=f.default, help=shown)
        else:
            parser.add_argument(flag(f.name), required=True, help=text)


def read_options(parser: argparse.ArgumentParser, kind: type[Options], args: argparse.Namespace) -> Options:
    """Make a `kind` of parsed arguments; a ValueError ends the program like any other wrong argument."""
    try:
        return kind(**{f.name: getattr(args, f.name) for f in fields(kind)})
    except ValueError as error:
        parser.error(str(error))
