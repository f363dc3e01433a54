#!/bin/sh
# What the packages do with a user's units. They enable nothing: who may run jobs is the choice of the
# machine's owner. Jobs are units of their own, and go on whatever happens to the programs.
set -e

each_manager() { # COMMAND...: runs systemctl with it for each user whose manager runs
  [ -d /run/systemd/system ] || return 0
  systemctl list-units --plain --no-legend --state=running 'user@*.service' |
    sed -n 's/^user@\([0-9]*\)\.service .*/\1/p' | while read -r uid; do
    timeout 60 systemctl --user --machine="$uid@.host" "$@" </dev/null || :
  done
}

after_install() {
  each_manager daemon-reload
}

# Restarts what runs.
after_upgrade() {
  each_manager daemon-reload
  each_manager try-restart cicd-runner.service 'cicd-agent@*.service'
}

before_remove() {
  each_manager stop cicd-runner.socket cicd-clean.timer 'cicd-agent@*.socket' cicd-runner.service \
    'cicd-agent@*.service'
}

# Configuration and state are in the users' directories, and stay.
after_remove() {
  each_manager daemon-reload
}
