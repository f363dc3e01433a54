#!/usr/bin/env bash
# Prints the path of the Deno version that this project requires. Needs Deno or Node.
set -euo pipefail

version=2.9.6

if found=$(command -v deno) && [[ $("$found" --version | head -n 1) == "deno $version "* ]]; then
  printf '%s\n' "$found"
else
  # npm's launcher adds 0.1 s to each start, so use it only to find the program.
  npx -y "deno@$version" eval 'console.log(Deno.execPath())'
fi
