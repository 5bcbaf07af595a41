"""Explains an archive on Ray while a worker is killed, and compares it with one run; see `make test-ray`."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import whycam

DATA = Path(os.environ["WHYCAM_TEST_DATA"])
EXAMPLE = Path(__file__).parents[2] / "examples" / "ray_archive.py"
sys.path.insert(0, str(EXAMPLE.parent))
from ray_archive import pictures  # noqa: E402


def workers():
    """The processes of Ray's workers that explain."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout.splitlines()
    return [int(line.split()[0]) for line in listed if "ray::" in line and "Explain" in line]


def main():
    with tempfile.TemporaryDirectory() as folder:
        archive, out = Path(folder, "archive"), Path(folder, "out")
        archive.mkdir()
        photos = sorted((DATA / "flowers256" / "test").rglob("*.jpg"))[:60]
        for photo in photos:
            shutil.copy(photo, archive / f"{photo.parent.name}-{photo.name}")
        for film in ("flower.mp4", "friday.mp4"):
            shutil.copy(DATA / "clips" / film, archive)

        run = subprocess.Popen([sys.executable, EXAMPLE, archive, out, "--workers", "2"])
        killed = None
        while run.poll() is None:
            at_work = workers()
            if killed is None and len(at_work) == 2:
                time.sleep(4)
                killed = workers()[0]
                os.kill(killed, signal.SIGKILL)
                print("killed worker", killed)
            time.sleep(0.1)
        assert run.returncode == 0 and killed is not None

        rows = pyarrow.parquet.read_table(out).to_pylist()
        found = {(row["input"], row["frame"]): row for row in rows}
        assert len(found) == len(rows), "a picture was explained twice"
        explainer = whycam.Explainer("flowers", threads=1)
        count = 0
        for path in sorted(archive.iterdir()):
            for frame, picture in enumerate(pictures(path)):
                expected, row = explainer.explain(picture), found[str(path), frame]
                assert row["label"] == expected.label and row["probability"] == expected.probability, row["input"]
                values = np.frombuffer(row["map"], np.float32).reshape(row["rows"], row["columns"])
                assert np.array_equal(values, expected.map), row["input"]
                count += 1
        assert count == len(found)
        print(f"{count} pictures by two workers, of which one was killed: the same as one run")


if __name__ == "__main__":
    main()
