#!/usr/bin/env bash
# Install the system packages that the tests need, as root on Debian or Ubuntu; elsewhere print them.
#
#   setup/packages.sh               what the tests need
#   setup/packages.sh venv PYTHON   only what PYTHON needs to make a .venv
#
# SETUP=no installs nothing. ENGINE=yes installs a Docker engine even if there is a docker command.
set -euo pipefail

# Each command with its package. Of several packages, the first that this release has is installed.
commands=(
  "chromium chromium"                                     # opens pages in the browser tests
  "chromedriver chromium-driver"                          # drives it
  "curl curl"                                             # sends the README's request
  "docker-registry docker-registry"                       # receives pushed images
  "javac openjdk-17-jdk-headless openjdk-21-jdk-headless" # Spark, and Java's HTTP client
  "mmdebstrap mmdebstrap"                                 # makes a stand-in for the base image
  "node nodejs"                                           # JavaScript clients
  "npm npm"                                               # packages for them
  "wrk wrk"                                               # load on the server
)

main() {
  local names
  names=$(wanted "$@" | paste -sd' ')
  if [ -z "$names" ]; then
    return 0
  elif [ "${SETUP:-}" = no ]; then
    echo "SETUP=no, so not installed: $names" >&2
    [ "${1:-}" != venv ]
  elif [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed: $names; on Debian or Ubuntu, as root: make setup" >&2
    return 1
  else
    install "$@"
  fi
}

wanted() { # print the missing packages, one a line, with alternatives
  if [ "${1:-}" = venv ]; then
    echo "$(basename "$2")-venv"
    return
  fi
  local line
  for line in "${commands[@]}"; do
    command -v "${line%% *}" >/dev/null || echo "${line#* }"
  done | sed 's/ / or /'
  # A docker command may belong to another engine, which Debian's would disturb.
  if [ "${ENGINE:-}" = yes ] || ! command -v docker >/dev/null; then
    command -v dockerd >/dev/null || echo docker.io
  fi
}

install() {
  apt-get update -qq
  local packages=() line
  while read -r line; do
    # shellcheck disable=SC2086 # package names have no spaces
    available ${line// or / } || echo "no package $line: the tests that need it are skipped" >&2
  done < <(wanted "$@")
  [ "${#packages[@]}" = 0 ] && return
  echo "installing: ${packages[*]}" >&2
  DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
}

available() { # add the first of these packages that exists
  local package part
  for package in "$@"; do
    if has "$package"; then
      packages+=("$package")
      if [ "$package" = docker.io ]; then # Debian 13 packages the command and its builder separately
        for part in docker-cli docker-buildx; do has "$part" && packages+=("$part"); done
      fi
      return 0
    fi
  done
  return 1
}

has() { [ -n "$(apt-cache show --no-all-versions "$1" 2>/dev/null)" ]; }

main "$@"
