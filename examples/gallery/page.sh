#!/bin/sh
# Makes page.jpg: the page of live view in a browser. Needs chromium, ffmpeg and Xvfb.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
started=
trap 'kill $started 2>/dev/null; sleep 1; rm -rf "$work"' EXIT
export DISPLAY=:77
Xvfb $DISPLAY -screen 0 1280x820x24 -nolisten tcp >/dev/null 2>&1 &
started="$started $!"
../../target/release/whycam demo --headless --size 960x540 --serve 127.0.0.1:8099 --seconds 60 >/dev/null 2>&1 &
started="$started $!"
sleep 20
# Headless Chromium takes its screenshot before the stream shows anything.
chromium --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --user-data-dir="$work/profile" --kiosk \
    --window-position=0,0 --window-size=1280,820 http://127.0.0.1:8099/ >/dev/null 2>&1 &
started="$started $!"
sleep 25
ffmpeg -v error -y -f x11grab -draw_mouse 0 -video_size 1280x820 -i $DISPLAY -vf crop=1278:818:0:0 -frames:v 1 -q:v 3 page.jpg
