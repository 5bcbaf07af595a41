#!/bin/sh
# Draws the pictures and films of the trials into the folder $1.
set -e
cd "$1"

draw() {
    ffmpeg -v error -y "$@"
}

# A moving picture of two seconds with a tone.
moving() {
    size=$1
    shift
    draw -f lavfi -i "testsrc2=size=$size:rate=30:duration=2" -f lavfi -i "sine=frequency=440:duration=2" \
        -pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 0 -c:a aac "$@"
}

still() {
    draw -f lavfi -i testsrc2=size=160x120 -frames:v 1 "$@"
}

moving 160x120 plain.mp4
cp plain.mp4 "10:20.mp4"
# Sound that an MP4 of no version of FFmpeg can hold.
draw -i plain.mp4 -c:v copy -c:a adpcm_ms adpcm.avi
# The second track is in a codec that FFmpeg does not know, as phones write it.
draw -i plain.mp4 -map 0:v -map 0:a -map 0:a -c copy two.mp4
perl -0777 -pe 's/(.*)mp4a/$1apac/s; s/(.*)esds/$1free/s' two.mp4 >apac.mp4
draw -i plain.mp4 -map 0:v -map 0:a -c copy -metadata:s:a:0 language=fra french.mkv

draw -i plain.mp4 -c copy part.ts
cat part.ts part.ts part.ts >joined.ts
draw -i plain.mp4 -c copy -output_ts_offset 36000 late.ts
cat part.ts late.ts >jump.ts
draw -i plain.mp4 -an -c copy raw.h264
moving 120x160 -an tall.h264
cat raw.h264 tall.h264 >turns.h264
draw -i plain.mp4 -an -frames:v 20 -c:v mjpeg clip.mjpeg
cp plain.mp4 film.jpg
moving 160x120 -vf scale=161:121 -pix_fmt yuv444p odd.mp4
draw -f lavfi -i color=0x00ff00:size=1280x720:rate=10:duration=0.3 \
    -vf format=gbrp,scale=out_color_matrix=bt709,format=yuv420p -c:v libx264 -bsf:v h264_metadata=matrix_coefficients=2 hd.mp4
draw -f lavfi -i color=red:size=160x120:rate=10:duration=0.3 -vf format=yuv420p -c:v libx264 red.mp4
draw -f lavfi -i testsrc2=size=160x120:rate=10:duration=0.4 -final_delay 200 -loop 2 last.gif
draw -f lavfi -i testsrc2=size=160x120:rate=10:duration=0.4 anim.webp
draw -f lavfi -i testsrc2=size=160x120:rate=10:duration=0.4 -f apng anim.png

still whole.jpg
still whole.png
still a.ppm
still -pix_fmt pal8 palette.tif
still -c:v libaom-av1 a.avif
for colour in red green; do
    draw -f lavfi -i "color=$colour:size=64x64,format=rgba,colorchannelmixer=aa=0" -frames:v 1 "clear-$colour.png"
done
head -c 4000 whole.jpg >half.jpg
printf '\0\0\0\30ftypheic\0\0\0\0mif1heic' >a.heic
for day in 1 2 3 4 5 6 7; do
    printf 'Day %s: water the roses, and cut the tulips that are over.\n' $day
done >notes.txt
: >empty.jpg
mkdir -p folder/below two
cp adpcm.avi folder/1.avi
cp plain.mp4 folder/2.mp4
cp whole.jpg folder/below/3.jpg
cp notes.txt folder
ln -s .. folder/below/up
cp whole.jpg two/p.jpg
cp whole.png two/p.png
