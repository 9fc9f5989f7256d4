"""A tiny random model behind an application, and pictures to send."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from kia.config import validate
from kia.serving.app import api
from kia.serving.service import Service
from kia.serving.settings import Settings
from kia.training.build import build_model, build_processor

REPORTS = [
    "the heart is enlarged. there is no pleural effusion.",
    "the lungs are clear. the heart is normal in size.",
    "there is a left pleural effusion. no pneumothorax is seen.",
]
CONFIG: dict[str, Any] = {
    "model": {
        "image_size": 64,
        "image_encoder": {"width": 32, "depth": 1, "heads": 2, "ffn_width": 64, "stem": "conv"},
        "text_encoder": {
            **{"width": 32, "depth": 1, "heads": 2, "ffn_width": 64},
            **{"max_positions": 128, "vocab_size": 200},
        },
        "projection_width": 16,
    },
    "generation": {"beams": 1, "max_tokens": 12},
}


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory):
    """Random weights, large enough to tell images apart."""
    folder = tmp_path_factory.mktemp("serving") / "model"
    config = validate(CONFIG, "test")
    torch.manual_seed(0)
    processor = build_processor(config, REPORTS, folder)
    model = build_model(config, processor)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "text_tower" in name and parameter.ndim == 2:
                parameter.add_(torch.randn_like(parameter) * 2 / parameter.shape[1] ** 0.5)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def loaded(model_folder):
    """(model, processor)"""
    from kia.generation import load_model

    return load_model(model_folder)


@pytest.fixture(scope="session")
def make_service(loaded) -> Callable[..., Service]:
    """`make_service(timeout=1, …)`: not started yet, with one decoder and no page."""
    usual = {"page": False, "decoders": 1, "allow_host": ["testserver", "x"]}  # of the clients

    def make(**settings: Any) -> Service:
        return Service(*loaded, Settings(**(usual | settings)))

    return make


@pytest.fixture(scope="module")
def service(make_service) -> Iterator[Service]:
    """Started."""
    service = make_service()
    service.start()
    yield service
    service.close()


@pytest.fixture
def make_client(make_service) -> Iterator[Callable[..., TestClient]]:
    """`make_client(token=…, …)`: a client of an application with these settings."""
    clients = []

    def make(**settings: Any) -> TestClient:
        client = TestClient(api(make_service(**settings)), raise_server_exceptions=False)
        clients.append(client.__enter__())
        return clients[-1]

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def client(make_service) -> Iterator[TestClient]:
    with TestClient(api(make_service()), raise_server_exceptions=False) as client:
        yield client


def png(seed: int = 0, side: int = 80, kind: str = "PNG") -> bytes:
    """Different blobs for different seeds."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6), np.uint8)
    picture = Image.fromarray(small).resize((side, side))
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="session", name="png")
def png_fixture() -> Callable[..., bytes]:
    return png
