"""The command ``mobilevision``: one small function a subcommand, each importing its work only when it is called."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mobilevision.runs.console import errors_as_lines

app = typer.Typer(
    name="mobilevision",
    help="Train, evaluate and use MobileNets. `mobilevision COMMAND --help` shows an example of each command.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
plugins_app = typer.Typer(help="Plugins: what is installed, and whether it works.", rich_markup_mode=None)
app.add_typer(plugins_app, name="plugins")


def main() -> None:
    """Run the command line of the process; exit code 0, or 1 with one line that says why."""
    arguments = sys.argv[1:] or ["--help"]
    if arguments[:1] == ["train"]:  # Hydra's own command line, not typer's
        from mobilevision.runs.main import main as train

        train(arguments[1:])
        return
    with errors_as_lines(arguments):
        code = app(args=arguments, prog_name="mobilevision", standalone_mode=False)
        if code:
            sys.exit(1)


@app.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def train() -> None:
    """Train a model.

    Example: mobilevision train data=auto data.root=PICTURES backbone.width=0.5
    """


@plugins_app.callback(invoke_without_command=True)
def plugins(context: typer.Context) -> None:
    """List the plugins that are installed and what each adds.

    Example: mobilevision plugins
    """
    if context.invoked_subcommand is None:
        from mobilevision.runs.plugin_commands import show

        show()


@plugins_app.command("check")
def plugins_check(
    name: Annotated[str, typer.Argument(help="The plugin's name, as `mobilevision plugins` lists it.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes, such as backbone.width=0.25.")] = None,
) -> None:
    """Run the conformance test on everything a plugin adds: compose, train a step, overfit, checkpoint, predict.

    Example: mobilevision plugins check my_plugin backbone.width=0.25
    """
    from mobilevision.runs.plugin_commands import check

    check(name, overrides or [])
