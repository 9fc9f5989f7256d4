"""The answers of the API; OpenAPI is written from these."""

from typing import Literal

from pydantic import BaseModel, Field

from kia.studies import ViewSource


class Opinion(BaseModel):
    """What a sentence says of an observation, and what the label task answers."""

    observation: str = Field(description="one of the 14 of CheXpert")
    said: Literal[1, 0, -1] = Field(description="1 present, 0 absent, -1 uncertain")
    present: float = Field(ge=0, le=1, description="probability, by [MASK] of the label report")
    agrees: bool | None = Field(description="null where the sentence leaves it open")


class Sentence(BaseModel):
    """A sentence of the report and what stands behind it."""

    text: str
    raw: str = Field(description="as the decoder wrote it")
    probability: float = Field(ge=0, le=1, description="geometric mean of its word pieces")
    finding_words: list[str] = Field(description="that name an observation or an anatomy")
    attention: list[list[list[float]]] = Field(
        description="for each image read (facts) rows of patches, from the top left; sum 1 over all"
    )
    opinions: list[Opinion]
    agrees: bool | None = Field(description="false if an opinion is another; null without any")


class Candidate(BaseModel):
    """A report that the decoder wrote too."""

    report: str
    raw: str
    match: float | None = Field(ge=0, le=1)
    log_probability: float = Field(description="natural logarithm, of the whole report")
    score: float | None = Field(
        description="by which it was chosen; null if it is the decoder's own"
    )


class Flag(BaseModel):
    """Why the report may not be worth reading."""

    view: int = Field(ge=0, description="which of the images that are read (facts), from 0")
    kind: str
    message: str


class Facts(BaseModel):
    """What an image is, and what says so."""

    file: str = Field(description="image 1 or image 2, as sent")
    view: Literal["frontal", "lateral"] = Field(description="as the model reads it")
    view_source: ViewSource
    study: str | None = Field(description="StudyInstanceUID")
    patient_hash: str | None = Field(description="keyed hash of the PatientID")
    body_part: str | None = Field(description="DICOM's term; OTHER for none of them")


class Findings(BaseModel):
    """Probabilities of the 14 observations."""

    images: list[str] = Field(description="those that are read, as in facts")
    views: list[Literal["frontal", "lateral"]]
    findings: dict[str, float] = Field(description="observation to probability of present")
    facts: list[Facts]
    flags: list[Flag]
    notice: str


class Organ(BaseModel):
    """What a report says of an organ."""

    state: Literal["abnormal", "uncertain", "normal", "not mentioned"]
    sentences: list[str]
    evidence: list[int] = Field(description="numbers of these in sentences")


class Claim(BaseModel):
    """What a report states of an observation."""

    observation: str = Field(description="one of the 14 of CheXpert")
    state: Literal["present", "absent", "uncertain", "not assessed"]
    probability: float = Field(ge=0, le=1)
    sentence: str | None = Field(description="of the report that says so")


class Writer(BaseModel):
    """Which model wrote a report."""

    name: str
    kia: str = Field(description="version")


class Report(BaseModel):
    """A report with its evidence; without, if the picture is probably no chest X-ray."""

    images: list[str] = Field(description="those that are read, as in facts")
    views: list[Literal["frontal", "lateral"]]
    report: str | None = Field(description="for people to read; null if none was written (flags)")
    raw: str | None = Field(description="as the decoder wrote it, for scoring")
    structured: dict[str, Organ] | None = Field(description="organ by organ")
    match: float | None = Field(ge=0, le=1, description="how well it fits the images, by [MATCH]")
    candidates: list[Candidate] = Field(description="the chosen one first; empty if it was alone")
    sentences: list[Sentence]
    findings: dict[str, float] | None = Field(description="observation to probability of present")
    claims: list[Claim] = Field(description="empty of a model without operating points")
    not_assessed: list[str] = Field(description="observations of which nothing is stated")
    facts: list[Facts]
    flags: list[Flag]
    model: Writer
    notice: str


class Health(BaseModel):
    """Whether the server is well."""

    status: Literal["ok", "not ready"]


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str
