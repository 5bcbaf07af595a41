"""Tests of the installed Python package, against the program at WHYCAM_PROGRAM; run by tests/package.rs."""

import inspect
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import numpy as np
import onnxruntime
import whycam
from PIL import Image

PROGRAM = os.environ["WHYCAM_PROGRAM"]
REFERENCE = Path(os.environ["WHYCAM_REFERENCE"])
SHADES = np.mgrid[0:70, 0:90].transpose(1, 2, 0) * [7, 5] % 256
PIXELS = np.dstack([SHADES, SHADES.sum(2) % 256]).astype(np.uint8)


class Same(unittest.TestCase):
    """What the package gives is what the program writes, bit for bit."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.picture = self.folder / "picture.png"
        Image.fromarray(PIXELS).save(self.picture)

    def program(self, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], check=True, capture_output=True, text=True).stdout

    def check(self, options, **keywords):
        maps = self.folder / "maps"
        line = self.program("explain", self.picture, "--json", "-", "--maps", maps, "--force", "--quiet", *options)
        expected = json.loads(line)
        explanation = whycam.Explainer(**keywords).explain(self.picture)
        files = [expected.pop("map_file")]
        for entry in expected.get("others", []) + expected.get("detections", []):
            files.append(entry.pop("map_file"))
        self.assertEqual(explanation.to_dict(), expected)
        self.assertEqual(len(explanation.maps), len(files))
        for values, file in zip(explanation.maps, files):
            self.assertEqual(values.tobytes(), np.load(maps / Path(file).name).tobytes())
        return explanation

    def test_the_default(self):
        explanation = self.check([])
        self.assertEqual(explanation.label, explanation["label"])
        self.assertTrue(np.array_equal(explanation.maps[0], explanation.map))

    def test_methods_layers_and_classes(self):
        options = ["--method", "layer-cam", "--layer", "-1,-2", "--fuse", "mean", "--class", "roses,tulips"]
        keywords = dict(method="layer-cam", layer=["-1", "-2"], fuse="mean", classes=["roses", "tulips"])
        self.check(["--model", "flowers-vgg", *options], model="flowers-vgg", **keywords)

    def test_signed_maps_and_contrasts(self):
        explanation = self.check(["--signed"], signed=True)
        self.assertLess(explanation.map.min(), 0)
        self.check(["--contrast", "roses,tulips"], contrast=["roses", "tulips"])

    def test_a_detector(self):
        net = REFERENCE / "detectors" / "yolov8.onnx"
        self.check(["--model", net, "--preset", "unit", "--threshold", "0.1"], model=net, preset="unit", threshold=0.1, each=True)

    def test_arrays_and_pillow_images_are_pictures(self):
        explainer = whycam.Explainer(threads=1)
        expected = explainer.explain(self.picture).map
        for picture in (PIXELS, PIXELS[:, ::-1][:, ::-1], Image.open(self.picture), str(self.picture)):
            self.assertTrue(np.array_equal(explainer.explain(picture).map, expected))

    def test_the_drawn_picture(self):
        out = self.folder / "drawn.png"
        self.program("explain", self.picture, "-o", out, "--quiet")
        drawn = whycam.Explainer().explain(self.picture).draw()
        self.assertTrue(np.array_equal(drawn, np.asarray(Image.open(out))))

    def test_the_map_over_the_picture(self):
        maps = self.folder / "maps"
        self.program("explain", self.picture, "--maps", maps, "--map-size", "picture", "--quiet")
        over = whycam.Explainer().explain(self.picture).over_picture()
        self.assertEqual(over.tobytes(), np.load(maps / "000000.npy").tobytes())

    def test_a_prepared_model(self):
        out = self.folder / "prepared.onnx"
        self.program("prepare", "flowers-vgg", "-o", out, "--cam", "--quiet")
        self.assertEqual(whycam.prepare("flowers-vgg"), out.read_bytes())
        own = whycam.Explainer(out.read_bytes()).explain(PIXELS)
        self.assertTrue(np.array_equal(own.map, whycam.Explainer("flowers-vgg").explain(PIXELS).map))

    def test_a_gradient(self):
        net = REFERENCE / "gradients" / "tabular.onnx"
        out = self.folder / "gradient.onnx"
        self.program("gradient", net, "--of", "y", "--by", "x", "-o", out, "--quiet")
        for model in (net, str(net), net.read_bytes()):
            self.assertEqual(whycam.differentiate(model, of="y", by=["x"]), out.read_bytes())
        with np.load(net.with_suffix(".npz")) as expected:
            session = onnxruntime.InferenceSession(out)
            given = {name: expected[name] for name in ("x", "seed")}
            gradient = session.run(["x.gradient"], given)[0]
            self.assertLess(np.abs(gradient - expected["x.gradient"]).max(), 1e-6)


class Use(unittest.TestCase):
    def test_wrong_input_is_named(self):
        explainer = whycam.Explainer()
        wrong = [
            (lambda: explainer.explain("none.jpg"), whycam.Error, "none.jpg"),
            (lambda: explainer.explain(PIXELS / 255), TypeError, "uint8"),
            (lambda: explainer.explain(PIXELS[..., 0]), TypeError, "70, 90"),
            (lambda: explainer.explain(PIXELS[:0]), ValueError, "no pixels"),
            (lambda: explainer.explain_tensor(np.zeros((1, 3, 8, 8), np.float32)), whycam.Error, "the model takes"),
            (lambda: explainer.explain(PIXELS).over_picture(3), IndexError, "no map 3"),
            (lambda: whycam.Explainer("none.onnx"), whycam.Error, "built in are"),
            (lambda: whycam.Explainer(b"none"), whycam.Error, "not an ONNX model"),
            (lambda: whycam.Explainer(3), TypeError, "model"),
            (lambda: whycam.Explainer(methods="x"), TypeError, "'methods'"),
            (lambda: whycam.Explainer(method="x"), whycam.Error, "grad-cam"),
            (lambda: whycam.Explainer(task="x"), ValueError, "classify"),
            (lambda: whycam.Explainer(threshold="x"), TypeError, "threshold"),
            (lambda: whycam.Explainer(threshold=2), ValueError, "0 to 1"),
            (lambda: whycam.Explainer(input_size=(10**6, 10**6)), ValueError, "8192"),
            (lambda: whycam.Explainer(classes=1, contrast=["roses", "tulips"]), ValueError, "exclude"),
            (lambda: whycam.Explainer(classes=[]), ValueError, "empty"),
            (lambda: explainer.explain(Image.new("I;16", (8, 8))), TypeError, "path"),
            (lambda: whycam.differentiate(REFERENCE / "gradients/tabular.onnx", [], "x"), whycam.Error, "name a tensor"),
            (lambda: whycam.differentiate(REFERENCE / "gradients/tabular.onnx", "y", ["x", "x"]), whycam.Error, "twice"),
            (
                lambda: whycam.differentiate(REFERENCE / "gradients/free/audio.onnx", "y", "x", shapes={"x": (1, 1, 10**12)}),
                whycam.Error,
                "too large; shapes=",
            ),
            (lambda: whycam.differentiate(REFERENCE / "gradients/tabular.onnx", "z", "x"), whycam.Error, "no tensor 'z'"),
        ]
        for call, kind, words in wrong:
            with self.assertRaisesRegex(kind, words):
                call()

    def test_a_missing_runtime_is_named(self):
        code = "import whycam; whycam.Explainer()"
        for library in ["/nowhere/libonnxruntime.so", os.devnull]:
            environment = os.environ | {"ORT_DYLIB_PATH": library}
            run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
            self.assertRegex(run.stderr, "whycam.Error: ONNX Runtime: .*PyPI's onnxruntime has it")

    def test_the_lock_is_released(self):
        # While one thread explains by many runs, another one counts.
        explainer = whycam.Explainer("flowers-vgg", method="ablation-cam", threads=1)
        thread = threading.Thread(target=explainer.explain, args=(PIXELS,))
        thread.start()
        turns = 0
        while thread.is_alive():
            turns += 1
            time.sleep(0.001)
        self.assertGreater(turns, 5)

    def test_several_threads_give_the_same(self):
        expected = whycam.Explainer(threads=1).explain(PIXELS).map
        found = []

        def explain():
            explainer = whycam.Explainer(threads=1)
            found.extend(explainer.explain(PIXELS).map for _ in range(5))

        threads = [threading.Thread(target=explain) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(found), 15)
        self.assertTrue(all(np.array_equal(values, expected) for values in found))

    def test_everything_is_described(self):
        for name in whycam.__all__:
            self.assertTrue(inspect.getdoc(getattr(whycam, name)), name)
        for kind in (whycam.Explainer, whycam.Explanation):
            for name in vars(kind):
                if not name.startswith("_") and name not in ("method",):
                    self.assertTrue(inspect.getdoc(getattr(kind, name)), f"{kind.__name__}.{name}")

    def test_the_stubs_name_what_there_is(self):
        stubs = (Path(whycam.__file__).parent / "_whycam.pyi").read_text()
        for kind in (whycam.Explainer, whycam.Explanation):
            for name in vars(kind):
                if not name.startswith("_"):
                    self.assertIn(f"def {name}(", stubs)
        for name in whycam.__all__:
            self.assertRegex(stubs, rf"(def|class) {name}\b")


if __name__ == "__main__":
    unittest.main()
