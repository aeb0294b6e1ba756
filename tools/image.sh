#!/usr/bin/env bash
# An image of the program as a file, without any container engine; what it takes is said by --help.
#   tools/image.sh                         target/switchboard-image.tar of target/debug/switchboard
#   ctr -n k8s.io images import FILE, docker load -i FILE, kind load image-archive FILE
set -euo pipefail
exec python3 "$(dirname "$0")/image.py" "${@:-archive}"
