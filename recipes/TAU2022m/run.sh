#!/usr/bin/env bash
# The stages of this recipe: ./run.sh --stage 1 --stop_stage 6 [--data_folder DIR] [--seeds "1 2 3"]; --help says more
exec "$(dirname "$0")/../../tools/stages.sh" TAU2022m "$@"
