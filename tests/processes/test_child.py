"""Children start on a safe path, do what they are told, and are gone when they should be."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from kia.processes.child import Child, end_all
from kia.processes.messages import Message


def ask(child: Child, value) -> Message:
    child.send(Message(value), 20)
    return child.receive(1 << 20, 20)


def said(**environment: str):
    """Path, environment and modules of a child, as (path, environment, modules)."""
    child = Child("jobs_of_a_test:told")
    try:
        return ask(child, None).value
    finally:
        child.end()


@pytest.mark.parametrize("here", ["", ".", "{}", "{}/.", "{}/link"])
def test_the_current_folder_is_not_on_the_path_however_it_is_called(tmp_path, monkeypatch, here):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.syspath_prepend(here.format(folder))
    path, environment, _ = said()
    assert not [entry for entry in path if os.path.realpath(entry) == str(folder)]
    assert str(Path(__file__).parent) in path  # what was put there on purpose stays
    assert environment["PYTHONSAFEPATH"] == "1"
    assert "PYTHONSAFEPATH" not in os.environ  # this process is not ours to change


@pytest.mark.parametrize(
    ("python_path", "kept"),
    [
        ("{}", "{}"),  # named by the user
        ("relative", "relative"),
        (":", ""),
        (":/nowhere:", "/nowhere"),
        ("", ""),
    ],
)
def test_python_path_works_but_an_empty_entry_is_not_the_current_folder(
    tmp_path, monkeypatch, python_path, kept
):
    folder = tmp_path / "folder"
    (folder / "relative").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", python_path.format(folder))
    monkeypatch.syspath_prepend(folder)  # as Python itself does for an empty entry
    path, environment, _ = said()
    assert environment["PYTHONPATH"] == kept.format(folder)
    assert (str(folder) in path) is (python_path == "{}")


def test_nothing_of_the_current_folder_is_imported_while_python_starts(tmp_path, monkeypatch):
    noted = tmp_path / "noted.txt"
    folder = tmp_path / "folder"
    folder.mkdir()
    names = ("encodings", "site", "os", "io", "abc", "types", "json", "socket", "kia", "struct")
    for name in names:
        (folder / f"{name}.py").write_text(f"open({str(noted)!r}, 'a').write({name!r})")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", "")
    for python_path in ("", os.pathsep):
        monkeypatch.setenv("PYTHONPATH", python_path)
        assert "json" in said()[2]
    assert not noted.exists(), noted.read_text()


def test_a_script_is_not_imported_again(tmp_path):
    """As multiprocessing would, so that it needs `if __name__ == "__main__"`."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            print("once")
            from kia.processes.child import Child
            from kia.processes.messages import Message
            child = Child("kia.imaging.decoding:work")
            child.send(Message(None))
            print(child.receive(99).value)
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("once\nNone\n", "")


def test_a_child_hears_no_ctrl_c_and_no_sigterm():
    child = Child("jobs_of_a_test:work")
    try:
        ask(child, "there")
        for number in (signal.SIGINT, signal.SIGTERM):
            child.process.send_signal(number)
        assert ask(child, "still").value[0] == "still"
        assert os.getpgid(child.process.pid) != os.getpgid(0)
    finally:
        assert child.end() == -signal.SIGKILL


@pytest.mark.parametrize("how", ["end", "return", "exit", "raise", "kill", "_exit"])
def test_children_are_gone_when_their_program_is(tmp_path, how):
    """Stopped ones too; a killed program cannot, but its children see its end (once they go on)."""
    script = tmp_path / "script.py"
    ends = {
        "end": "one.end(); two.end()",
        "return": "pass",
        "exit": "sys.exit(3)",
        "raise": "raise KeyError",
        "kill": "two.process.send_signal(signal.SIGCONT); os.kill(os.getpid(), signal.SIGKILL)",
        "_exit": "end_all(); os._exit(0)",
    }
    script.write_text(
        "import os, signal, sys\n"
        "from kia.processes.child import Child, end_all\n"
        "one, two = (Child('kia.imaging.decoding:work') for _ in range(2))\n"
        "two.process.send_signal(signal.SIGSTOP)\n"
        f"print(one.process.pid, two.process.pid, flush=True)\n{ends[how]}\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=30)
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    if how == "kill":
        psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], 10)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_many_threads_start_children_at_once():
    found = []

    def start():
        child = Child("jobs_of_a_test:work")
        found.append(ask(child, 1).value[0])
        child.end()

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 6


def test_no_descriptor_is_left_when_a_child_does_not_start(monkeypatch):
    before = psutil.Process().num_fds()
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    for _ in range(3):
        with pytest.raises(OSError):
            Child("jobs_of_a_test:work")
    assert psutil.Process().num_fds() == before


def test_a_fork_does_not_end_the_children_of_its_parent():
    child = Child("jobs_of_a_test:work")
    try:
        ask(child, "there")
        pid = os.fork()
        if pid == 0:
            end_all()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert ask(child, "still").value[0] == "still"
    finally:
        child.end()


def test_a_stopped_child_ends_at_once():
    child = Child("jobs_of_a_test:work")
    child.send(Message("stop"))
    since = time.monotonic()
    with pytest.raises(TimeoutError):
        child.receive(1 << 10, 0.5)
    child.end()
    assert time.monotonic() - since < 2
