"""`kia serve`: a model as a web page and a REST API."""

from pathlib import Path
from typing import Annotated

import typer

from kia.cli import console
from kia.cli.trained import Model
from kia.errors import require


def serve(
    model: Model,
    data: Annotated[
        Path | None, typer.Option(help="prepared data set, to show similar training reports")
    ] = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any free one")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="KIA_TOKEN", help="secret of every client; needed beyond this machine"),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar="KIA_ALLOW_HOST",
            metavar="NAME",
            help="another name of it, *.NAME, an address or a network; repeatable",
        ),
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="web page, or API alone")] = True,
    max_batch: Annotated[int, typer.Option(min=1, help="studies decoded together")] = 32,
    queue: Annotated[int, typer.Option(min=1, help="requests under way; more get 429")] = 64,
    timeout: Annotated[float, typer.Option(min=1, help="seconds that a request may take")] = 60,
    upload_mb: Annotated[int, typer.Option(min=1, help="largest request, MiB")] = 32,
) -> None:
    """Serve a model: a web page and a REST API. Research only; not for clinical use."""
    for package in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        require(package, "serving", "kia serve")
    from kia.serving.origins import listening_names
    from kia.serving.server import address, is_loopback, listen, run
    from kia.serving.settings import Settings

    given = {
        **{"model": model, "data": data, "token": token, "page": page, "max_batch": max_batch},
        **{"queue": queue, "timeout": timeout, "upload_mb": upload_mb},
        "allow_host": [*(allow_host or []), *listening_names(host)],
    }
    settings = Settings.of(given, lambda name: f"--{name.replace('_', '-')}")
    with listen(host, port, settings) as listening:
        if not (allow_host or is_loopback(host)):
            known = " or ".join(["localhost", *listening_names(host)])
            console.show_warning(
                f"asked for under another name than {known}, it refuses: see --allow-host"
            )
        console.quiet_libraries()
        from kia.readable import NOTICE
        from kia.serving.app import create_app

        app = create_app(settings)

        def ready() -> None:
            where = address(listening)
            what = f"page {where}   API {where}/docs" if page else f"API {where}/docs"
            console.out.print(f"{what}\n{NOTICE} Ctrl-C stops it.", soft_wrap=True)

        run(app, listening, settings, ready)
