#!/usr/bin/env bash
# Prints the path of the Deno this project is made for, on a machine with Deno or with only Node.
set -euo pipefail

version=2.9.6

if found=$(command -v deno) && [[ $("$found" --version | head -n 1) == "deno $version "* ]]; then
  printf '%s\n' "$found"
else
  # npm's launcher costs a tenth of a second at each start, so it only tells where the program is.
  npx -y "deno@$version" eval 'console.log(Deno.execPath())'
fi
