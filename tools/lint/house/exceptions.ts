/**
 * Exports that only tests import, by file, each with the reason why the test does not go through
 * what the product uses.
 */
export const EXPORTED_FOR_TESTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "lib/core/exec_limits.ts": {
    EXEC_STRING_MAX_BYTES: "a bound that a test tries around",
    EXEC_TOTAL_MAX_BYTES: "a bound that a test tries around",
  },
  "lib/core/nearest.ts": { editDistance: "a metric whose laws are properties" },
  "cmd/runner/commands/cli.ts": {
    makeGrammar: "the grammar is tried without running a command",
  },
  "lib/features/checkout/credentials.ts": { splitSecret: "parses handwritten input" },
  "lib/features/checkout/git_command.ts": { gitEnvironment: "decides what git may do" },
  "lib/features/checkout/obtain_commit.ts": { parseLsRemote: "parses what a server sends" },
  "lib/features/checkout/place_objects.ts": { shallowCommits: "parses a file of git" },
  "lib/features/checkout/submodules.ts": { parseGitmodules: "parses a file of a repository" },
  "lib/features/gryt/envrc.ts": { parseEnvrc: "parses handwritten input" },
  "lib/features/gryt/settings.ts": {
    GRYT_DEFAULT_IMAGE: "a fake needs the same default",
    grytListenAddress: "a table of its own",
  },
  "lib/features/install/command_doctor.ts": { askEngine: "asks a real engine" },
  "lib/foundations/docker/find_engine.ts": { parseEngineHost: "parses handwritten input" },
  "lib/foundations/http/web_socket.ts": { HIGH_WATER_BYTES: "the bound that a test measures" },
  "lib/foundations/secrets/seal.ts": {
    seal: "cryptography is tested piece by piece",
    sealingKey: "a key without a file of its own",
    unseal: "cryptography is tested piece by piece",
  },
  "lib/foundations/secrets/secret_forms.ts": {
    PATTERNS_MAX_BYTES: "a bound that a property is tried around",
    PATTERN_MAX_BYTES: "a bound that a property is tried around",
  },
  "lib/foundations/systemd/journal.ts": {
    encodeJournalEntry: "a wire format, byte by byte",
    journalFieldName: "accepts any input",
  },
  "lib/features/containers/container_config.ts": {
    containerUser: "decides which user a job runs as",
  },
  "lib/spine/executors/runtime_files.ts": {
    formatEnvironmentFile: "a format that systemd's reader must take",
  },
  "lib/spine/jobs/state_machine.ts": { retryDelay: "a table of its own" },
  "lib/spine/logs/log_output.ts": { LineStamper: "a property over any chunking" },
  "lib/spine/logs/log_source.ts": {
    parseCapped: "parses a file that may be damaged",
  },
  "lib/spine/logs/setup_log.ts": { SETUP_LINE_MAX_BYTES: "a bound that a test tries around" },
};
