"""`make release`: dist/ with the wheels of kia and its models, tried as a user would try them.

1. What is committed is built: sdist and wheel of kia, and of each package in models/.
2. The wheels go into an empty environment, with the versions of constraints.txt.
3. There the first commands of the README are run, on a real X-ray that kia brings along.
4. What is in that environment becomes a bill of materials (CycloneDX); then all files are hashed.

Stops at the first thing that fails. Times in the archives are those of the commit, so that the same
commit gives the same wheels.
"""

import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

import kia

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
SECTION = "## Use it at once"
EXAMPLE = "kia/serving/assets/examples/pneumocystis-1.jpg"
PORT = 8765
SECONDS = 300


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """What a command prints; ends everything if it fails."""
    words = [str(word) for word in command]
    print("$", shlex.join(words), flush=True)
    done = subprocess.run(words, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"make release: {shlex.join(words)} failed with {done.returncode}\n{done.stdout}")
    return done.stdout


def build(folder: Path) -> list[Path]:
    """The wheels of what is committed, and their sdists beside them in dist/."""
    if changed := run("git", "status", "--porcelain"):
        print(f"not committed, so not in the release:\n{changed}", file=sys.stderr)
    shutil.rmtree(DIST, ignore_errors=True)
    run("git", "archive", "--format=tar", f"--output={folder / 'sources.tar'}", "HEAD")
    sources = folder / "sources"
    shutil.unpack_archive(folder / "sources.tar", sources, filter="data")
    epoch = run("git", "log", "-1", "--format=%ct").strip()
    env = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    for project in (
        sources,
        *sorted(path.parent for path in sources.glob("models/*/pyproject.toml")),
    ):
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST, project, env=env)
    return sorted(DIST.glob("*.whl"))


def install(wheels: list[Path], folder: Path) -> Path:
    """The interpreter of a new environment with the wheels and what they need."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    asked = [
        f"kia[all] @ {wheel.as_uri()}" if wheel.name.startswith("kia-") else str(wheel)
        for wheel in wheels
    ]
    pip = (python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:")
    run(*pip, "-c", ROOT / "constraints.txt", *asked)
    run(python, "-m", "pip", "check")
    for note in folder.glob("lib/*/site-packages/kia*.dist-info/direct_url.json"):
        note.unlink()  # else the bill of materials names folders of this machine
    return python


def first_commands(readme: str) -> list[list[str]]:
    """The commands of kia in the first block of the README that uses it."""
    block = re.search(r"```bash\n(.*?)```", readme.partition(SECTION)[2], re.DOTALL)
    lines = block[1].splitlines() if block else []
    return [shlex.split(line, comments=True) for line in lines if line.startswith("kia ")]


def try_out(python: Path, folder: Path) -> None:
    """Runs the first commands in an empty folder, with nothing of this checkout on the path."""
    folder.mkdir()
    image = next(python.parent.parent.glob(f"lib/*/site-packages/{EXAMPLE}"))
    shutil.copy(image, folder / "image.png")  # a JPEG: files are known by what is in them
    env = {
        name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "KIA"))
    }
    env |= {"PATH": f"{python.parent}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}
    version = run(python.with_name("kia"), "--version", cwd=folder, env=env)
    if version.strip() != f"kia {kia.__version__}":
        sys.exit(f"make release: the wheel says {version.strip()}, not kia {kia.__version__}")
    commands = first_commands((ROOT / "README.md").read_text(encoding="utf-8"))
    if not commands:
        sys.exit(f"make release: README.md has no command of kia under {SECTION!r}")
    for command in commands:
        words = [str(python.with_name("kia")), *command[1:]]
        if command[1] == "serve":
            serve([*words, "--port", str(PORT)], folder, env)
        elif not (printed := run(*words, cwd=folder, env=env)).strip():
            sys.exit(f"make release: {shlex.join(command)} prints nothing")
        else:
            print(printed)


def serve(command: list[str], folder: Path, env: dict[str, str]) -> None:
    """Starts the server, asks for its page, and stops it."""
    print("$", shlex.join(command), flush=True)
    process = subprocess.Popen(command, cwd=folder, env=env)
    try:
        until = time.monotonic() + SECONDS
        while not (answer := get("/readyz")) and process.poll() is None:
            if time.monotonic() > until:
                sys.exit("make release: the server is not ready")
            time.sleep(0.5)
        if not answer or "<html" not in get("/").lower():
            sys.exit("make release: the server ended, or has no page")
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
    print(f"the page was served; the server ended with {code}")


def get(path: str) -> str:
    """What the server answers, "" if it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def list_materials(python: Path) -> None:
    """Writes what the environment holds, kia and all that it needs, as CycloneDX."""
    file = DIST / f"kia-{kia.__version__}.cdx.json"
    command = (sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible")
    run(*command, "--pyproject", ROOT / "pyproject.toml", "-o", file, python)
    if str(Path.home()) in file.read_text() or tempfile.gettempdir() in file.read_text():
        sys.exit(f"make release: {file} names folders of this machine")


def main() -> None:
    """All of it; prints the hashes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheels = build(folder)
        python = install(wheels, folder / "empty")
        try_out(python, folder / "work")
        list_materials(python)
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(DIST.iterdir())
    ]
    (DIST / "SHA256SUMS").write_text("".join(sums))
    print("".join(sums), end="")


if __name__ == "__main__":
    main()
