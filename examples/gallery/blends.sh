#!/bin/sh
# Makes blends.jpg: drawn flowers with the map drawn evenly, by its evidence, and as contours.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for blend in even evidence contour; do
    ../../target/release/whycam demo --headless --quiet --size 320x240 --frames 361 --blend $blend --record "$work/$blend.mkv"
done
ffmpeg -v error -y -i "$work/even.mkv" -i "$work/evidence.mkv" -i "$work/contour.mkv" -filter_complex \
    '[0][1][2]vstack=inputs=3,select=not(mod(n+60\,100)),tile=4x1' -frames:v 1 -q:v 3 blends.jpg
