#!/bin/sh
# For RUSTC_WORKSPACE_WRAPPER: compiles the packages of this workspace, and not their dependencies,
# for the CPU in $TINSMITH_TARGET_CPU. Used by tests/same_bytes.rs.
exec "$@" -C target-cpu="$TINSMITH_TARGET_CPU"
