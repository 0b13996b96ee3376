"""The ``qsim`` command: one verb per stage, each a module of this package, loaded only when it is used.

Results go to standard output, progress and messages to standard error. A user's mistake ends with one line and status 2.
Logging is configured here and nowhere else.
"""

import importlib
import logging
import os
import sys
from typing import NoReturn

import click

from qsim import __version__
from qsim.cli.plain import plain
from qsim.errors import QsimError, nearest

VERBS: dict[str, str] = {
    "demo": "The main job on real data: compress, simulate, price, verify in RTL, report.",
    "train": "Train a workload's float network from its seed.",
    "compress": "Compress a workload by a recipe into a .qsz file.",
    "lvq": "Train a classifier of prototypes (LVQ) and store it in a .qsz file.",
    "import": "Read an ONNX file or a torch.export program: its layers, checked against ONNX Runtime or PyTorch.",
    "inspect": "Show what every byte of a .qsz or .qsn file is.",
    "simulate": "Run .qsz files on machines, cycle by cycle.",
    "estimate": "Run a whole float network (ONNX, PyTorch, .qsn or by name) on machines, without retraining.",
    "compare": "Put simulated runs side by side.",
    "report": "Write the HTML report, figures and data of simulated runs.",
    "verify": "Run real inputs through the RTL and compare bits and cycles.",
    "rtl": "Write a machine as Verilog, with memory images, registers, C header and test bench.",
    "synth": "Synthesise a machine for an FPGA: resources, frequency, critical path.",
    "sweep": "Simulate one file over a grid of machine parameters.",
    "bench-methods": "Compress one network by every method at several rates.",
    "list": "List machines, technologies, recipes, workloads, networks, quantizers.",
}


class LazyGroup(click.Group):
    """A group that imports a verb's module only when the verb is used, so that help stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which one uses them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the verb's command, or None for an unknown one."""
        if name not in VERBS:
            return None
        module = importlib.import_module(f"qsim.cli.{name.replace('-', '_')}_verb")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve the verb; an unknown one is answered with the nearest."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(f"no such verb {args[0]!r}{nearest(args[0], VERBS)}; verbs: {', '.join(VERBS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with their one-line help without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="qsim")
@click.option("-v", "--verbose", is_flag=True, help="Log what is done, to standard error.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(verbose: bool, debug: bool) -> None:
    """Find out what a compressed neural network costs on real hardware, before it is built.

    \b
    Example, from a trained network to a report:
      qsim compress lenet-300-100 --recipe smallest --out lenet.qsz
      qsim inspect lenet.qsz
      qsim simulate lenet.qsz --machine sparse-sram --out run.json
      qsim report run.json --out report/

    Shell completion: eval "$(_QSIM_COMPLETE=bash_source qsim)"   (or zsh_source, fish_source)
    """
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")


def entry() -> NoReturn:
    """Run the installed command: :func:`main`, then leave at once.

    Taking numba and LLVM down piece by piece costs a third of a second and frees nothing that the end of the process does not free.
    """
    # One BLAS thread: a second one spins against the simulation for longer than it helps.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    status = 0
    try:
        main()
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 0
    logging.shutdown()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        pass
    except OSError as error:
        os.write(2, f"qsim: cannot write to standard output: {error.strerror}\n".encode())
        status = status or 2
    os._exit(status)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (a check found a difference), 2 (a user's mistake) or 130 (interrupted)."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        status = cli.main(args=words, prog_name="qsim", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("qsim: interrupted; nothing half-written was left behind", err=True)
        sys.exit(130)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except QsimError as error:
        if "--debug" in words:
            raise
        click.echo(f"qsim: {plain(str(error))}", err=True)
        sys.exit(error.exit_code)
    except MemoryError as error:
        if "--debug" in words:
            raise
        click.echo(f"qsim: not enough memory{f': {error}' if str(error) else ''}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:  # a full disk, a folder that cannot be written: no fault of the program
        if "--debug" in words:
            raise
        click.echo(f"qsim: {plain(str(error))}", err=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)
