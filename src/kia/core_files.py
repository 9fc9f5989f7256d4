"""Core files: a process that crashes leaves its memory in one, with images and reports in it."""


def leave_none() -> None:
    """From now on this process, and those that it starts, leave no core file."""
    try:
        import resource
    except ImportError:  # Windows has none
        return
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
