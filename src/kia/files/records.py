"""What the files that kia writes must say: the base of their schemas, and an error in words."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

_LONGEST = 80  # characters of a key in an error line


class Record(BaseModel):
    """Plain values of a file, each of its own type; keys of other versions are left out."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def of(cls, tree: Any) -> Self:
        """The record in what a file was read into.

        Raises:
            ValueError: A key is missing, or a value of another type or beyond its range; one line.
        """
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from None


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, with its dotted path; without the value, which may be long."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ".".join(str(part)[:_LONGEST] for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{path}: {message}" if path else message
