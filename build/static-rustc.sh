#!/bin/sh
# Cargo's RUSTC_WORKSPACE_WRAPPER of build/images.sh: links our programs statically. Only the last step differs from a usual
# build, so everything that is compiled for tests serves the images, too. (RUSTFLAGS would compile every dependency again.)
case " $* " in
    *" --crate-type bin "*" podflow_agent "* | *" podflow_agent "*" --crate-type bin "* | \
    *" --crate-type bin "*" podflow_collector "* | *" podflow_collector "*" --crate-type bin "*) exec "$@" -C target-feature=+crt-static ;;
esac
exec "$@"
