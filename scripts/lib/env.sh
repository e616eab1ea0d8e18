# shellcheck shell=bash
# The environment of every build. The scripts source it; so do you, in bash, before you use cargo by hand:
#
#   scripts/setup && source scripts/lib/env.sh && cargo build --release
#
# It points the build at the RocksDB that scripts/setup compiled. Without it, cargo compiles RocksDB anew for each
# profile and target directory, a quarter of an hour each.

statesync_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
statesync_cache=${STATESYNC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/statesync}

# Where rustup puts cargo, for shells that were started before.
command -v cargo >/dev/null || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH

# The directory of the RocksDB archive: named after its version and after everything that changes what the compiler
# makes of it, so that an old archive is never linked.
statesync_rocksdb_dir() {
  local version inputs
  version=$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = "\(.*\)"$/\1/p;}' "$statesync_root/Cargo.lock")
  inputs=$(
    grep '^rocksdb = ' "$statesync_root/Cargo.toml"
    grep -v '^ *#' "$statesync_root/.cargo/config.toml"
    "${CXX:-c++}" --version 2>/dev/null
    uname -sm
    echo "${CXXFLAGS-} ${RUSTFLAGS-}"
  )
  echo "$statesync_cache/rocksdb-$version-$(cksum <<<"$inputs" | cut -d ' ' -f 1)"
}

# One that was set by hand is used as it is.
if [[ -z ${ROCKSDB_LIB_DIR:-} || $ROCKSDB_LIB_DIR == "$statesync_cache"/* ]]; then
  ROCKSDB_LIB_DIR=$(statesync_rocksdb_dir)
  ROCKSDB_STATIC=1
  # The scripts see to it themselves.
  if [[ $- == *i* && ! -s $ROCKSDB_LIB_DIR/librocksdb.a ]]; then
    echo "statesync: RocksDB is not compiled yet for this version and compiler: run scripts/setup" >&2
  fi
fi
export PATH ROCKSDB_LIB_DIR ROCKSDB_STATIC

# CI has a new checkout every time; what it compiled for the last one is worth keeping.
if [[ ${CI:-} == true && -z ${CARGO_TARGET_DIR:-} ]]; then
  export CARGO_TARGET_DIR=$statesync_cache/target
fi
