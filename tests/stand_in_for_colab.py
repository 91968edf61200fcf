"""A stand-in for `colab` of google-colab-cli 0.7.5, as far as the workflow asks for it.

Options, exit codes and what travels are those of the real one: `run` sends a script as the text of one cell to a new
machine, and gives the machine back unless it is told `--keep`; `download` fetches one file. A machine is a folder of
`$COLAB_MACHINES` that is named by its session, and /content is in there.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

CONTENT = "/content"
Session = Annotated[str, typer.Option("-s", "--session")]

app = typer.Typer()


@app.callback()
def colab(auth: Annotated[Literal["oauth2", "adc"], typer.Option()] = "oauth2") -> None:
    if auth != "adc":
        raise typer.BadParameter("oauth2 asks for a code that a person copies from a browser.")
    if not Path(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")).is_file():
        raise typer.BadParameter("No valid default credentials found.")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    script: Path,
    script_args: Annotated[list[str] | None, typer.Argument()] = None,
    session: Session = "run",
    tpu: Annotated[str | None, typer.Option()] = None,
    gpu: Annotated[str | None, typer.Option()] = None,
    high_mem: Annotated[bool, typer.Option("--high-mem")] = False,
    keep: Annotated[bool, typer.Option("--keep")] = False,
    timeout: Annotated[float, typer.Option("--timeout")] = 30.0,
    env: Annotated[list[str] | None, typer.Option("--env")] = None,
) -> None:
    content = machine(session) / "content"
    content.mkdir(parents=True)
    arguments = [argument.replace(CONTENT, str(content)) for argument in script_args or []]
    variables = dict(pair.split("=", 1) for pair in env or [])
    prelude = f"import os, sys\nsys.argv = {[script.name, *arguments]!r}\n__name__ = '__main__'\n"
    prelude += "".join(f"os.environ[{name!r}] = {value!r}\n" for name, value in variables.items())
    code = execute(prelude + script.read_text("utf-8"), content, timeout)
    if not keep:
        shutil.rmtree(machine(session))
    raise typer.Exit(code)


@app.command()
def download(remote: str, local: Path, session: Session) -> None:
    path = Path(remote.replace(CONTENT, str(machine(session) / "content")))
    if not path.is_file():
        typer.echo(f"[colab] Download failed: File or directory not found: {remote}")
        raise typer.Exit(1)
    shutil.copy(path, local)


@app.command()
def stop(session: Session) -> None:
    shutil.rmtree(machine(session))


def machine(session: str) -> Path:
    return Path(os.environ["COLAB_MACHINES"]) / session


def execute(code: str, folder: Path, timeout: float) -> int:
    """Run code as one cell, print its streams, and tell how it ended as `python` would; SystemExit goes unsaid."""
    from jupyter_client.manager import start_new_kernel

    errors = []

    def show(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream":
            print(content["text"], end="", file=getattr(sys, content["name"]), flush=True)
        elif message["msg_type"] == "error":
            errors.append(content)

    manager, client = start_new_kernel(cwd=str(folder))
    try:
        client.execute_interactive(code, output_hook=show, timeout=timeout, allow_stdin=False)
    finally:
        manager.shutdown_kernel(now=True)
    return max(map(exit_code, errors), default=0)


def exit_code(error: dict[str, Any]) -> int:
    if error["ename"] == "SystemExit" and error["evalue"].isdecimal():
        return int(error["evalue"])
    print("\n".join(error["traceback"]), file=sys.stderr)
    return 1


if __name__ == "__main__":
    app()
