#!/bin/bash
# The measurements of docs/speed.md on a GPU machine without a network: full-size folders with random weights are made first.
#
#   bash docs/measure_speed.sh folders|speed|again|frames25|memory|memory25|batch|rehearsal [RESULTS]
#
# EXTRA is put behind every command: EXTRA="--height 64 --width 128" with folders of `tests/full_size.py --small` tries it on a CPU.
# One stage a call, each below ten minutes on an H100; they share /tmp/svd-lab-full (MODELS says where else). RESULTS gets the JSON.
set -euo pipefail
stage=$1 results=${2:-.}
export SVD_LAB_MODELS=${MODELS:-/tmp/svd-lab-full} PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
lab="${PYTHON:-python3} -m svd_lab.commands.main" caps="${PYTHON:-python3} -m svd_lab.training.measure.memory_caps"
case $stage in
folders)  # 11.6 GB; models may be named: FULL="svd svd-xt"
  time ${PYTHON:-python3} tests/full_size.py "$SVD_LAB_MODELS" --models ${FULL:-svd svd-xt sd21} ;;
speed)  # the class's call; float16's own distance from float32; what compiling costs the first time
  $lab bench --model svd --reference --json "$results/speed.json" ${EXTRA:-} ;;
again)  # a new process: what the kernels cost from their cache
  $lab bench --model svd --speed fused --repeats 2 --json "$results/again.json" ${EXTRA:-} ;;
frames25)
  $lab bench --model svd-xt --num-frames 25 --num-inference-steps 25 --repeats 1 --speed fused --json "$results/frames25.json" ${EXTRA:-} ;;
memory)  # what fits under a cap as on such a card, then more than it has; then what each placement costs
  $caps --model svd --num-frames 14 --caps 6 8 9 12 16 24 80 --placements whole pieces blocks \
    --json "$results/memory-svd.json" ${EXTRA:-} ;;
memory25)
  $caps --model svd-xt --num-frames 25 --caps 8 12 16 --json "$results/memory-svd-xt.json" ${EXTRA:-} ;;
batch)  # 16 videos by one process and by one a GPU
  pictures=$(mktemp -d)
  for round in 1 2 3 4; do
    for name in ball balloon boat car; do cp "svd_lab/mini/pictures/$name.jpg" "$pictures/$name$round.jpg"; done
  done
  if ! ${PYTHON:-python3} -c 'import imageio_ffmpeg; imageio_ffmpeg.get_ffmpeg_exe()' 2>/dev/null; then
    # No encoder here: one that keeps the raw frames, so that all but the encoding is measured.
    stand_in=$(mktemp -d)
    printf '#!/bin/bash\nout="${!#}"; case $out in file:*) exec cat > "${out#file:}" ;; esac\necho "ffmpeg version 7.0"\n' > "$stand_in/ffmpeg"
    chmod +x "$stand_in/ffmpeg"
    printf 'import os\ndef get_ffmpeg_exe():\n    return os.environ["IMAGEIO_FFMPEG_EXE"]\n' > "$stand_in/imageio_ffmpeg.py"
    export IMAGEIO_FFMPEG_EXE=$stand_in/ffmpeg PYTHONPATH=$stand_in:${PYTHONPATH:-}
  fi
  out=$(mktemp -d)
  time $lab batch "$pictures" "$out/one" --model svd --processes 1 ${EXTRA:-} | tee "$results/batch-1.txt"
  time $lab batch "$pictures" "$out/all" --model svd ${EXTRA:-} | tee "$results/batch-all.txt" ;;
rehearsal)  # what a student does: check, generate, the lessons, the studio's estimate; needs papermill, ipykernel, imageio-ffmpeg
  ${PYTHON:-python3} docs/measure_rehearsal.py "$results" ${REHEARSAL:-} ;;
*) echo "no stage $stage" >&2; exit 2 ;;
esac
