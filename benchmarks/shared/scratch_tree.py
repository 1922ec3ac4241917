"""A copy of the checkout to plant faults in, with an environment whose every interpreter imports the copy."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ended", "ScratchTree"]

ROOT = Path(__file__).resolve().parents[2]
TRACER = Path(__file__).with_name("reached_lines.py")
COPIED = ("emoprune", "problems", "operators", "tests", "benchmarks", "docs")
# Ways in which tests import the package: in process or as a module, isolated, and in a folder that is not the checkout.
IMPORTS = (
    ("-c", "import emoprune.{module}"),
    ("-I", "-c", "import emoprune.{module}"),
    ("-P", "-c", "import emoprune.{module}"),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code, None past its time, and what it printed."""

    code: int | None
    printed: str


class ScratchTree:
    """A copy below `folder`; the installed package is found there, in child processes and isolated ones too."""

    def __init__(self, folder: Path, tests: Path) -> None:
        self.root = folder / "tree"
        self._environment = folder / "environment"
        self._clock = 1_000_000_000  # modification times of planted files, each its own: bytecode is kept by them
        self._copy(tests)
        self._install()

    def _copy(self, tests: Path) -> None:
        ignored = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
        for name in COPIED:
            shutil.copytree(tests if name == "tests" else ROOT / name, self.root / name, ignore=ignored)
        for path in ROOT.iterdir():
            if path.is_file() and path.name != ".git":
                shutil.copy2(path, self.root / path.name)

    def _install(self) -> None:
        """Make an environment that sees this one's packages, and the copy in place of the checkout."""
        venv.create(self._environment, symlinks=True, with_pip=False)
        here = Path(sysconfig.get_path("purelib"))
        there = self._environment / here.relative_to(sys.prefix)
        for path in [*here.glob("__editable__*emoprune*"), *here.glob("emoprune-*.dist-info")]:
            if path.is_dir():
                shutil.copytree(path, there / path.name)
            else:
                (there / path.name).write_text(path.read_text("utf-8").replace(str(ROOT), str(self.root)), "utf-8")
        shutil.copy2(TRACER, there)
        (there / "aa_reached_lines.pth").write_text("import reached_lines\n", "utf-8")
        for place in (Path(path) for path in sys.path if Path(path).name == "site-packages"):
            for (
                path
            ) in place.iterdir():  # linked one by one: what is installed lies in the environment, as in any other
                if path.suffix != ".pth" and not (there / path.name).exists() and path.name != "__pycache__":
                    (there / path.name).symlink_to(path)
        command = self._environment / "bin" / "emoprune"
        command.write_text(f"#!{self.python}\nfrom emoprune.__main__ import main\nmain()\n", "utf-8")
        command.chmod(0o755)

    @property
    def python(self) -> Path:
        """The interpreter that imports the copy."""
        return self._environment / "bin" / "python"

    def plant(self, path: str, source: bytes) -> None:
        """Put the source in place of a file's."""
        (self.root / path).write_bytes(source)
        self._clock += 10
        os.utime(self.root / path, (self._clock, self._clock))

    def run(self, words: Sequence[str], limit: float, more: dict[str, str] | None = None) -> Ended:
        """Run the interpreter; whatever it started ends with it.

        Args:
            words: What follows the interpreter.
            limit: Seconds.
            more: Variables on top of this process's.
        """
        shutil.rmtree(self.root / ".hypothesis", ignore_errors=True)  # examples of one fault are none of another's
        path = f"{self._environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
            process = subprocess.Popen(
                [str(self.python), *words],
                cwd=self.root,
                env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **(more or {})},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code: int | None = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            printed.seek(0)
            return Ended(code, printed.read())

    def prove(self) -> None:
        """Check that a fault in the copy is met, however the package is imported.

        Raises:
            RuntimeError: An interpreter of this environment imports something else.
        """
        path = "emoprune/space.py"
        source = (self.root / path).read_bytes()
        for planted, expected in ((b"raise SystemExit(77)\n", 77), (source, 0)):
            self.plant(path, planted)
            for words in IMPORTS:
                ended = self.run([word.format(module="space") for word in words], 60)
                if ended.code != expected:
                    raise RuntimeError(
                        f"{words}: expected exit code {expected}, found {ended}; the copy is not imported"
                    )
