"""Where the time of a step goes: the profiler's events, told apart by the module they belong to."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

MARK = "part: "
BACKWARD = "autograd::engine::evaluate_function"
OPTIMISER = "Optimizer.step"


def where(step: Callable[[], Any], parts: Mapping[str, Sequence[nn.Module]]) -> dict[str, float]:
    """Share of the time of one step on the CPU by part; a backward pass counts with its forward.

    Args:
        step: Runs forward, backward and optimiser.
        parts: Modules by part; the innermost counts where one holds another.

    Returns:
        Shares with sum 1 of the parts, of "optimiser" and of the "rest".
    """
    open_marks: list[Any] = []

    def enter(name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            mark = record_function(MARK + name)
            mark.__enter__()
            open_marks.append(mark)

        return hook

    def leave(*_: Any) -> None:
        open_marks.pop().__exit__(None, None, None)

    with ExitStack() as hooks:
        for name, modules in parts.items():
            for module in modules:
                hooks.enter_context(module.register_forward_pre_hook(enter(name)))
                hooks.enter_context(module.register_forward_hook(leave))
        with profile(activities=[ProfilerActivity.CPU]) as found:
            step()
    return _shares(list(found.events() or []))


def _shares(events: Sequence[Any]) -> dict[str, float]:
    made_by: dict[int, str] = {}  # number of an operation in the graph → part of its forward pass
    for event in events:
        if event.sequence_nr >= 0 and _above(event, BACKWARD) is None:
            mark = _above(event, MARK)
            if mark is not None:
                made_by[event.sequence_nr] = mark.name.removeprefix(MARK)
    times: dict[str, float] = defaultdict(float)
    for event in events:
        times[_part(event, made_by)] += event.self_cpu_time_total
    total = sum(times.values())
    return {name: spent / total for name, spent in sorted(times.items(), key=lambda i: -i[1])}


def _part(event: Any, made_by: Mapping[int, str]) -> str:
    mark = _above(event, MARK)
    if mark is not None:
        return str(mark.name.removeprefix(MARK))
    backward = _above(event, BACKWARD)
    if backward is not None:
        return made_by.get(backward.sequence_nr, "rest")
    return "optimiser" if _above(event, OPTIMISER) is not None else "rest"


def _above(event: Any, name: str) -> Any | None:
    """The event itself or the nearest one around it whose name starts so."""
    while event is not None and not event.name.startswith(name):
        event = event.cpu_parent
    return event
