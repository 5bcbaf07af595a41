#!/usr/bin/env python3
"""How many frames a second live view explains in a window, by the size of the film.

    cargo build --release
    python3 tests/bench/live.py FILM

Needs ffmpeg, Xvfb and openbox. Each size is a film of 30 frames a second, played for ten seconds in a window on a screen of
1920x1080; the sizes take turns, and the script prints medians.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WHYCAM = ROOT / "target/release/whycam"
SIZES = ["640x360", "1920x1080", "3840x2160"]
TURNS = 3
SECONDS = "10"
DISPLAY = ":77"

with tempfile.TemporaryDirectory() as folder:
    films = {size: f"{folder}/{size}.mp4" for size in SIZES}
    for size, film in films.items():
        scale = ["-vf", f"scale={size.replace('x', ':')}", "-r", "30", "-an", "-pix_fmt", "yuv420p"]
        encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23"]
        subprocess.run(["ffmpeg", "-v", "error", "-i", sys.argv[1], *scale, *encode, film], check=True)
    servers = [subprocess.Popen(["Xvfb", DISPLAY, "-screen", "0", "1920x1080x24"], stderr=subprocess.DEVNULL)]
    time.sleep(1)
    servers.append(subprocess.Popen(["openbox"], env={"DISPLAY": DISPLAY, "PATH": "/usr/bin"}, stderr=subprocess.DEVNULL))
    rates, ages = {size: [] for size in SIZES}, {size: [] for size in SIZES}
    for _ in range(TURNS):
        for size, film in films.items():
            command = [WHYCAM, "live", "--input", film, "--loop", "--seconds", SECONDS]
            run = subprocess.run(command, env={"DISPLAY": DISPLAY, "HOME": str(Path.home())}, capture_output=True, text=True)
            rates[size].append(float(re.search(r"\(([\d.]+) a second\)", run.stderr)[1]))
            ages[size].append(int(re.search(r"(\d+) ms old", run.stderr)[1]))
    for server in servers:
        server.terminate()
for size in SIZES:
    print(f"{size:>10}  {statistics.median(rates[size]):5.1f} explained a second, {statistics.median(ages[size])} ms old")
