from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack

Path = str | PathLike[str]

class Options(TypedDict, total=False):
    """What the options of `whycam explain` are called here."""

    method: str | None
    layer: str | Sequence[str] | None
    fuse: Literal["max", "mean", "product"]
    classes: str | int | Sequence[str | int] | None
    contrast: Sequence[str | int] | None
    signed: bool
    direction: Literal["up", "down"]
    task: Literal["classify", "detect", "segment", "embed", "value"] | None
    output: str | None
    scores: Literal["softmax", "sigmoid"] | None
    background: Literal["first", "last"] | None
    box_order: Literal["xyxy", "yxyx", "xywh", "cxcywh"] | None
    labels: Path | None
    preset: str | None
    input_size: tuple[int, int] | None
    feed: Mapping[str, float | Path] | None
    like: Mapping[str, Path | Sequence[Path]] | None
    words: Sequence[str] | None
    text_model: Path | None
    tokenizer: Path | None
    logit_scale: float | None
    logit_bias: float | None
    threshold: float
    overlap: float
    detections: int
    each: bool
    device: str
    threads: int

__version__: str

class Error(Exception): ...

class Explainer:
    def __new__(cls, model: Path | bytes | None = "flowers", **options: Unpack[Options]) -> Explainer: ...
    def explain(self, picture: Path | NDArray[np.uint8] | Any) -> Explanation: ...
    def explain_tensor(self, tensor: NDArray[np.float32]) -> Explanation: ...
    def layers(self) -> list[str]: ...
    @property
    def labels(self) -> list[str]: ...
    @property
    def task(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def layer(self) -> str: ...
    @property
    def notices(self) -> list[str]: ...

class Explanation:
    @property
    def map(self) -> NDArray[np.float32]: ...
    @property
    def maps(self) -> list[NDArray[np.float32]]: ...
    @property
    def region(self) -> tuple[float, float, float, float]: ...
    @property
    def evidence(self) -> bool: ...
    @property
    def captions(self) -> list[str]: ...
    @property
    def label(self) -> str | None: ...
    @property
    def probability(self) -> float | None: ...
    def over_picture(self, index: int = 0) -> NDArray[np.float32]: ...
    def draw(
        self,
        *,
        blend: Literal["even", "evidence", "contour"] = "even",
        colormap: str | None = None,
        alpha: float | None = None,
        bar: bool = False,
    ) -> NDArray[np.uint8]: ...
    def to_dict(self) -> dict[str, Any]: ...
    def __getitem__(self, field: str) -> Any: ...

def prepare(model: Path | bytes | None = "flowers", *, cam: bool = True, **options: Unpack[Options]) -> bytes: ...
def differentiate(
    model: Path | bytes,
    of: str | Sequence[str],
    by: str | Sequence[str],
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> bytes: ...
def methods() -> list[str]: ...
def models() -> list[str]: ...
def runtime() -> str: ...
