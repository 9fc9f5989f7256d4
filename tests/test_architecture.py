"""Who may import whom, and what no file may do; read from the syntax tree, nothing is run."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "kia"
FILES = sorted(PACKAGE.rglob("*.py"))

# A part may import the parts of earlier lines, and itself.
ORDER = [
    {"core_files", "errors", "ids", "installed", "spacing", "studies"},
    {"files", "processes"},
    {"config", "imaging", "tables"},
    {"knowledge"},
    {"models", "phantoms"},
    {"processing"},
    {"hugging_face"},
    {"data"},
    {"tasks"},
    {"evaluation"},
    {"ceilings", "generation", "readable"},
    {"agreement", "matching", "wording"},
    {"candidates"},
    {"predictions", "rexrank"},
    {"explain", "hub", "training"},
    {"ablations", "reporting"},
    {"bench", "serving"},
    {"cli"},
    {"__main__"},
]
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}

# Narrower than the order.
FORBIDDEN = {
    "knowledge": {"torch", "transformers", "accelerate"},
    "evaluation": {
        *("torch", "transformers", "accelerate"),
        *("kia.models", "kia.processing", "kia.tasks"),
    },
    "ablations": {"torch", "transformers", "accelerate"},
    "models": {"kia.knowledge"},
    "ids": {"torch", "transformers"},
    "studies": {"torch", "transformers"},
    "errors": {"torch", "transformers"},
    "files": {"torch", "transformers"},
    "config": {"torch", "transformers"},
    "imaging": {"torch", "transformers"},
    "phantoms": {"torch", "transformers"},
    "tables": {"torch", "transformers"},
}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
NOWHERE = {*PICKLES, "torchvision", "timm", "hydra"}


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name_of(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


def imports(file: Path) -> Iterator[tuple[str, str | None]]:
    """(module, name) of every import of a file, also those inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def part_imported(module: str, name: str | None) -> str | None:
    """The part of kia that an import reaches; None for other packages and `import kia`."""
    top, *rest = module.split(".")
    if top != "kia":
        return None
    if rest:
        return rest[0]
    return name if name in RANK else None


def within(module: str, name: str | None, forbidden: set[str]) -> bool:
    full = f"{module}.{name}" if name else module
    return any(full == f or full.startswith(f"{f}.") for f in forbidden)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_follow_the_order(file: Path) -> None:
    part = part_of(file)
    if part == "__init__":
        return  # lazy names, checked below
    assert part in RANK, f"{part} has no place in ORDER"
    for module, name in imports(file):
        target = part_imported(module, name)
        if target not in (None, part):
            assert RANK[target] < RANK[part], f"{part} may not import {module} ({name})"


def module_of(file: Path) -> str:
    return ".".join(("kia", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    )


MODULES = {module_of(file): file for file in FILES}


def reached(file: Path) -> set[str]:
    """The modules of kia that a file names in its imports, also in those inside functions."""
    found = set()
    for module, name in imports(file):
        for candidate in (f"{module}.{name}", module):
            if candidate in MODULES:
                found.add(candidate)
                break
    return found - {"kia"}  # `import kia` is for its version


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other in a circle (Tarjan's components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in sorted(edges.get(module, ())):
            if other not in order:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == order[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1 or module in edges.get(module, ()):
                found.append(sorted(group))

    for module in sorted(edges):
        if module not in order:
            visit(module)
    return found


def test_no_file_imports_in_a_circle() -> None:
    assert circles({module: reached(file) for module, file in MODULES.items()}) == []


def test_circles_are_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a"}}
    assert circles(edges) == [["b", "c"]]


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_forbidden_imports(file: Path) -> None:
    part = part_of(file)
    forbidden = NOWHERE | FORBIDDEN.get(part, set())
    if part != "training":
        forbidden = forbidden | {"accelerate"}
    for module, name in imports(file):
        assert not within(module, name, forbidden), f"{name_of(file)} imports {module} ({name})"


def test_processes_start_in_one_place_only() -> None:
    """What starts a process by itself may start it on the folder's modules."""
    starters = {"multiprocessing", "subprocess", "concurrent.futures.process", "pty"}
    names = {("concurrent.futures", "ProcessPoolExecutor"), ("os", "fork"), ("os", "system")}
    found = {
        name_of(file)
        for file in FILES
        for module, name in imports(file)
        if within(module, None, starters) or (module, name) in names
    }
    waits = "processes/crew.py"  # multiprocessing.connection.wait
    assert found == {"processes/child.py", waits}


def test_tasks_take_only_the_batch_from_data() -> None:
    for file in FILES:
        if part_of(file) == "tasks":
            taken = {name for module, name in imports(file) if module.startswith("kia.data")}
            assert taken <= {"Batch"}, f"{name_of(file)} takes {taken} from kia.data"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_no_unsafe_calls(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            problem = unsafe(node)
            assert not problem, f"{name_of(file)}:{node.lineno}: {problem}"


def unsafe(call: ast.Call) -> str | None:
    function = call.func
    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
    if isinstance(function, ast.Name):
        return f"{function.id}()" if function.id in ("eval", "exec") else None
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
        return None
    owner, method = function.value.id, function.attr

    def is_constant(name: str, value: object) -> bool:
        node = arguments.get(name)
        return isinstance(node, ast.Constant) and node.value is value

    if (owner, method) == ("torch", "load") and not is_constant("weights_only", True):
        return "torch.load without weights_only=True"
    if owner in ("np", "numpy") and method == "load" and "allow_pickle" in arguments:
        return None if is_constant("allow_pickle", False) else "np.load with allow_pickle"
    unsafe_yaml = ("load", "load_all", "unsafe_load", "full_load")
    return f"yaml.{method}" if owner == "yaml" and method in unsafe_yaml else None


# Read their own package's text, or what they wrote a moment ago.
READ_THEMSELVES = {
    *("knowledge/atlas/landmarks.py", "knowledge/phrases.py", "data/deidentify/vocabulary.py"),
    *("models/ranks.py", "processes/messages.py", "data/store/atomic_folder.py"),
}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_json_and_yaml_of_others_are_read_in_one_place(file: Path) -> None:
    """`kia.files.plain` has the bounds: size, depth, digits, keys that come twice, pipes."""
    if part_of(file) == "files" or name_of(file) in READ_THEMSELVES:
        return
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            assert called not in ("json.load", "json.loads", "yaml.safe_load"), (
                f"{name_of(file)}:{node.lineno}: {called}; use kia.files.plain"
            )


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("torch.load(f)", True),
        ("torch.load(f, weights_only=False)", True),
        ("torch.load(f, weights_only=True)", False),
        ("eval(text)", True),
        ("model.eval()", False),
        ("np.load(f, allow_pickle=True)", True),
        ("np.load(f, mmap_mode='r')", False),
        ("yaml.load(f)", True),
        ("yaml.safe_load(f)", False),
    ],
)
def test_the_rules_catch_what_they_should(code: str, refused: bool) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert bool(unsafe(call)) is refused


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_every_public_name_has_a_docstring(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{name_of(file)} does not say what it is"
    for node in public(tree):
        assert ast.get_docstring(node), f"{name_of(file)}: {node.name} has no docstring"


def public(
    tree: ast.Module | ast.ClassDef,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_"):
                continue
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def test_lazy_public_names_are_complete() -> None:
    import kia

    assert set(kia.__all__) == {*kia._HOME, "__version__"}
    for name in kia.__all__:
        assert getattr(kia, name) is not None


@pytest.mark.parametrize(
    "module",
    ["kia", "kia.studies", "kia.config", "kia.knowledge", "kia.evaluation", "kia.cli.main"],
)
def test_imports_without_torch(module: str) -> None:
    code = (
        f"import sys, {module}; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
