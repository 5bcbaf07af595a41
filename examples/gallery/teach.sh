#!/bin/sh
# Makes examples/gallery/teach.gif: two drawn things are taught by keys, each on a cloth of its own, and the check says that
# the cloths give them away. Needs ffmpeg, Xvfb, openbox and xdotool, as `make setup` installs them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
whycam=${WHYCAM:-$here/../../target/release/whycam}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"

# A yellow square on a red cloth for 6 s, a dark cross on a blue one for 6 s, then the cross on the red cloth.
drift="x='150+24*sin(2*t)':y='95+14*cos(3*t)'"
square="drawbox=$drift:w=80:h=80:color=0xE8B422:t=fill"
cross="drawbox=$drift:w=26:h=80:color=0x202020:t=fill,drawbox=x='123+24*sin(2*t)':y='122+14*cos(3*t)':w=80:h=26:color=0x202020:t=fill"
cloth() {
    echo "color=c=$1:s=360x270:r=15:d=6,noise=alls=18:allf=t"
}
ffmpeg -v error -filter_complex "$(cloth 0x962828),$square[a];$(cloth 0x284896),$cross[b];$(cloth 0x962828),$cross[c];
    [a][b][c]concat=n=3:v=1[v]" -map "[v]" -pix_fmt yuv420p things.mp4

Xvfb -displayfd 3 -screen 0 640x520x24 -nolisten tcp 3>display 2>/dev/null &
while [ ! -s display ]; do sleep 0.1; done
DISPLAY=:$(cat display)
export DISPLAY
openbox 2>/dev/null &
until xdotool get_num_desktops >/dev/null 2>&1; do sleep 0.1; done
"$whycam" teach --live --input things.mp4 --loop --classes square,cross -o mine.onnx --json lines.json --quiet >/dev/null 2>&1 &
until [ "$(wc -l <lines.json 2>/dev/null || echo 0)" -gt 20 ]; do sleep 0.1; done
window=$(xdotool search --name whycam | tail -1)
xdotool windowactivate --sync "$window"
eval "$(xdotool getwindowgeometry --shell "$window")"

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
ffmpeg -v error -f x11grab -framerate 8 -video_size "${WIDTH}x$HEIGHT" -i "$DISPLAY+$X,$Y" -t 34 screen.mkv &
grab=$!
sleep 1.5
hold 1
until_second 7 9
hold 2
until_second 13 15
sleep 1
xdotool key e
wait $grab
ffmpeg -v error -y -i screen.mkv -filter_complex \
    "setpts=PTS/1.6,fps=6,scale=400:-1,split[a][b];[a]palettegen=max_colors=96[p];[b][p]paletteuse=dither=bayer" "$here/teach.gif"
ls -l "$here/teach.gif"
