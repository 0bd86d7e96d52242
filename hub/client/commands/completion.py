"""`isaax completion`: what a shell needs to complete the words of a command."""

from typing import Annotated, Final, Literal

import typer

VARIABLE: Final = "_ISAAX_COMPLETE"
"""By it a shell asks this program, instead of running a command."""


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Which one.")],
) -> None:
    """Print what makes a shell complete commands, and names of projects and integrations.

    bash: source <(isaax completion bash), in ~/.bashrc. zsh: the same with zsh, in ~/.zshrc after
    compinit. fish: isaax completion fish > ~/.config/fish/completions/isaax.fish.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    typer.echo(get_completion_script(prog_name="isaax", complete_var=VARIABLE, shell=shell))
