#!/usr/bin/env bash
# Install the system packages that the tests need: as root on Debian and Ubuntu; elsewhere name them.
#
#   setup/packages.sh               what the tests need
#   setup/packages.sh venv PYTHON   what PYTHON needs to make a .venv, no more
#
# SETUP=no installs nothing. ENGINE=yes installs a Docker engine also where a docker command is.
set -euo pipefail

# A command, and its package; of several, the first that this release has is taken.
commands=(
  "chromium chromium"                                     # opens the pages
  "chromedriver chromium-driver"                          # drives it
  "curl curl"                                             # sends README's requests
  "docker-registry docker-registry"                       # images are pushed to it
  "javac openjdk-17-jdk-headless openjdk-21-jdk-headless" # Spark, and Java's HTTP client
  "mmdebstrap mmdebstrap"                                 # makes the stand-in for the base image
  "node nodejs"                                           # JavaScript clients
  "npm npm"                                               # their packages
  "wrk wrk"                                               # puts load on the server
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

wanted() { # the packages that are missing, one a line with what may take its place
  if [ "${1:-}" = venv ]; then
    echo "$(basename "$2")-venv"
    return
  fi
  local line
  for line in "${commands[@]}"; do
    command -v "${line%% *}" >/dev/null || echo "${line#* }"
  done | sed 's/ / or /'
  # Where a docker is, an engine of another kind may be, which Debian's would get in the way of.
  if [ "${ENGINE:-}" = yes ] || ! command -v docker >/dev/null; then
    command -v dockerd >/dev/null || echo docker.io
  fi
}

install() {
  apt-get update -qq
  local packages=() line
  while read -r line; do
    # shellcheck disable=SC2086 # names of packages have no blanks
    available ${line// or / } || echo "no package $line: the tests that need it are skipped" >&2
  done < <(wanted "$@")
  [ "${#packages[@]}" = 0 ] && return
  echo "installing: ${packages[*]}" >&2
  DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
}

available() { # add the first of these packages that there is
  local package part
  for package in "$@"; do
    if has "$package"; then
      packages+=("$package")
      if [ "$package" = docker.io ]; then # Debian 13 has the command and its builder apart
        for part in docker-cli docker-buildx; do has "$part" && packages+=("$part"); done
      fi
      return 0
    fi
  done
  return 1
}

has() { [ -n "$(apt-cache show --no-all-versions "$1" 2>/dev/null)" ]; }

main "$@"
