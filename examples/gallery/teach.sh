#!/bin/sh
# Makes examples/gallery/teach.gif: two drawn cups that look the same are taught by keys, each on a cloth of its own, and the
# check says that the cloths give them away. Needs ffmpeg, Xvfb, openbox and xdotool, as `make setup` installs them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
whycam=${WHYCAM:-$here/../../target/release/whycam}
work=$(mktemp -d)
started=
trap 'kill $started 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"

# A cup on a red cloth for 6 s, on a blue one for 6 s, and on the red one again.
cup() {
    ffmpeg -v error -filter_complex "color=c=$1:s=480x360:r=15:d=6,noise=alls=6[cloth];color=c=0xE8E0D0:s=84x104:r=15[cup];
        color=c=0xE8E0D0:s=30x56:r=15,drawbox=x=0:y=12:w=18:h=32:color=$1:t=fill[handle];
        [cloth][cup]overlay=x='198+24*sin(2*t)':y='128+14*cos(3*t)':shortest=1[a];
        [a][handle]overlay=x='282+24*sin(2*t)':y='148+14*cos(3*t)':shortest=1[v]" -map "[v]" -pix_fmt yuv420p "$2"
}
cup 0x962828 red.mp4
cup 0x284896 blue.mp4
printf "file red.mp4\nfile blue.mp4\nfile red.mp4\n" >list
ffmpeg -v error -f concat -i list -c copy things.mp4

Xvfb -displayfd 3 -screen 0 640x520x24 -nolisten tcp 3>display 2>/dev/null &
started=$!
while [ ! -s display ]; do sleep 0.1; done
DISPLAY=:$(cat display)
export DISPLAY
openbox >/dev/null 2>&1 &
started="$started $!"
until xdotool get_num_desktops >/dev/null 2>&1; do sleep 0.1; done
"$whycam" teach --live --input things.mp4 --loop --classes tea,coffee -o mine.onnx --json lines.json --quiet >/dev/null 2>&1 &
started="$! $started"
until [ -e lines.json ] && [ "$(wc -l <lines.json)" -gt 20 ]; do sleep 0.1; done
window=$(xdotool search --name whycam | tail -1)
xdotool windowactivate --sync "$window"

# Waits until the film is at a second between $1 and $2.
until_second() {
    while at=$(tail -1 lines.json | sed -n 's/.*"pts_us":\([0-9]*\).*/\1/p'); [ -z "$at" ] ||
        [ $((at / 1000 % 18000)) -lt $(($1 * 1000)) ] || [ $((at / 1000 % 18000)) -ge $(($2 * 1000)) ]; do
        sleep 0.05
    done
}
hold() {
    xdotool keydown "$1"
    sleep 2
    xdotool keyup "$1"
}
until_second 0 1
ffmpeg -v error -f x11grab -framerate 8 -draw_mouse 0 -window_id "$window" -i "$DISPLAY" -t 30 screen.mkv &
grab=$!
sleep 1.5
hold 1
until_second 7 9
hold 2
sleep 2
xdotool key e
wait $grab
ffmpeg -v error -y -i screen.mkv -filter_complex \
    "setpts=PTS/1.8,fps=5,scale=360:-1,split[a][b];[a]palettegen=max_colors=64[p];[b][p]paletteuse=dither=none" "$here/teach.gif"
ls -l "$here/teach.gif"
