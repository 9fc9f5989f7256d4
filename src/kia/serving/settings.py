"""What a server can be told, by `kia serve` or by the environment."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from kia.errors import ConfigError
from kia.serving.origins import checked_host


class Settings(BaseModel):
    """Of one server process; each is also read from the environment, KIA_MODEL and so on."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: Path | str = Field(
        Path("model"), description="run folder, model folder, or the name of an installed model"
    )
    data: Path | None = Field(None, description="prepared data set, for similar training reports")
    token: str | None = Field(
        None, pattern=r"^[!-~]{8,}$", description="asked of every client; 8 visible letters or more"
    )
    allow_host: tuple[str, ...] = Field(
        (), description="names and addresses that it goes by, beside those of this machine"
    )
    page: bool = Field(True, description="the web page, beside the API")
    max_batch: int = Field(32, gt=0, description="studies that the model reads together")
    wait_ms: float = Field(5.0, ge=0, description="how long the first of a batch waits for others")
    queue: int = Field(64, gt=0, description="requests under way; more are sent away with 429")
    timeout: float = Field(60.0, gt=0, description="seconds that a request may take")
    upload_mb: int = Field(32, gt=0, description="largest request, MiB")
    decoders: int = Field(
        default_factory=lambda: os.cpu_count() or 1, gt=0, description="processes that decode files"
    )

    @field_validator("allow_host", mode="before")
    @classmethod
    def _hosts(cls, given: Any) -> tuple[str, ...]:
        listed = [given] if isinstance(given, str) else given
        return tuple(checked_host(one) for text in listed for one in text.replace(",", " ").split())

    @classmethod
    def of(cls, given: Mapping[str, Any], called: Callable[[str], str]) -> Self:
        """Checks settings.

        Args:
            given: Values by name, also as text.
            called: What the user calls a setting.

        Raises:
            ConfigError: A value is wrong.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            wrong = [
                f"{called(str(one['loc'][0]))}: {one['msg'].removeprefix('Value error, ')}"
                for one in error.errors()
            ]
            raise ConfigError("; ".join(wrong)) from None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Reads KIA_MODEL, KIA_TOKEN and the others that are set.

        Raises:
            ConfigError: KIA_MODEL is missing, or a value is wrong.
        """

        def called(name: str) -> str:
            return f"KIA_{name.upper()}"

        given = {n: environment[called(n)] for n in cls.model_fields if environment.get(called(n))}
        if "model" not in given:
            raise ConfigError("KIA_MODEL is not set: name a run folder or a model folder")
        return cls.of(given, called)
