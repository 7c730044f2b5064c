#!/bin/sh
# Install Debian's chromium for the browser tests where there is apt and none yet; say so plainly where that fails.
set -u
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null 2>&1 && exit 0
done
if command -v apt-get >/dev/null 2>&1; then
  sudo=""
  [ "$(id -u)" = 0 ] || sudo="sudo -n"
  echo "Installing chromium for the browser tests ..."
  if $sudo apt-get update -qq >/dev/null 2>&1 && $sudo apt-get install -y -qq chromium >/dev/null 2>&1; then
    exit 0
  fi
fi
echo "SKIPPED: the browser tests, since there is no chromium and it could not be installed."
