#!/bin/sh
# Makes page.jpg: the page of live view in a browser. Needs chromium and ffmpeg.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
../../target/release/whycam demo --headless --size 960x540 --serve 127.0.0.1:8099 --seconds 60 2>"$work/said" &
whycam=$!
trap 'kill $whycam 2>/dev/null; rm -rf "$work"' EXIT
sleep 40
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" \
    --screenshot="$work/page.png" --timeout=15000 --window-size=1280,820 http://127.0.0.1:8099/ >/dev/null 2>&1
ffmpeg -v error -y -i "$work/page.png" -q:v 3 page.jpg
