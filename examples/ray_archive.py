#!/usr/bin/env python3
"""Explains an archive of photos and films on Ray, with an explainer in each worker.

    pip install target/wheels/whycam-*.whl "ray[data]" av
    python examples/ray_archive.py ARCHIVE OUT --workers 2

ARCHIVE is a folder; OUT gets Parquet files with a row for each photo and each frame: input, frame, label, probability, and
the map as bytes, float32 of `rows` times `columns`. Ray starts the work of a worker that dies again.
"""

import argparse
from pathlib import Path

import ray
import whycam

PHOTOS = {".jpg", ".jpeg", ".png", ".webp"}
FILMS = {".mp4", ".mkv", ".webm", ".mov", ".avi"}


def pictures(path):
    """The picture of a photo, or those of a film one after the other."""
    if path.suffix.lower() in PHOTOS:
        yield str(path)
        return
    import av

    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


class Explain:
    def __init__(self, model):
        self.explainer = whycam.Explainer(model, threads=1)

    def __call__(self, batch):
        rows = {name: [] for name in ("input", "frame", "label", "probability", "map", "rows", "columns")}
        for path in batch["path"]:
            for frame, picture in enumerate(pictures(Path(path))):
                explanation = self.explainer.explain(picture)
                height, width = explanation.map.shape
                values = (path, frame, explanation.label, explanation.probability, explanation.map.tobytes(), height, width)
                for column, value in zip(rows.values(), values):
                    column.append(value)
        return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="flowers")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()

    files = sorted(path for path in options.archive.rglob("*") if path.suffix.lower() in PHOTOS | FILMS)
    archive = ray.data.from_items([{"path": str(path)} for path in files])
    explained = archive.map_batches(
        Explain,
        fn_constructor_args=(options.model,),
        batch_size=4,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=options.workers),
    )
    explained.write_parquet(str(options.out.absolute()), mode="overwrite")


if __name__ == "__main__":
    main()
