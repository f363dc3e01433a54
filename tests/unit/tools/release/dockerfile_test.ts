import assert from "node:assert/strict";
import { parseDockerfile } from "../../../../tools/release/dockerfile.ts";

const TEXT = `# A comment.
ARG BASE=debian
FROM \${BASE}
ARG PACKAGES="a b"
# Another.
RUN set -eu; \\
    for each in $PACKAGES; do \\
      echo "$each"; \\
    done
COPY bin/ /opt/x/bin/
ENV PATH=/opt/x/bin:/bin \\
    STATE=/var/lib
USER cicd
WORKDIR /home/cicd
VOLUME /var/lib/cicd
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \\
  CMD ["curl", "--fail"]
ENTRYPOINT ["/opt/x/start"]
CMD ["daemon"]
`;

Deno.test("parseDockerfile() reads what an image needs", () => {
  const { args, script, copies, config } = parseDockerfile(TEXT);
  assert.deepEqual([...args], [["BASE", "debian"], ["PACKAGES", "a b"]]);
  assert.equal(script, 'set -eu; for each in $PACKAGES; do echo "$each"; done');
  assert.deepEqual(copies, [["bin/", "/opt/x/bin/"]]);
  assert.deepEqual(config, {
    Env: ["PATH=/opt/x/bin:/bin", "STATE=/var/lib"],
    User: "cicd",
    WorkingDir: "/home/cicd",
    Volumes: { "/var/lib/cicd": {} },
    StopSignal: "SIGTERM",
    Healthcheck: {
      Test: ["CMD", "curl", "--fail"],
      Interval: 30e9,
      Timeout: 5e9,
      StartPeriod: 30e9,
      Retries: 3,
    },
    Entrypoint: ["/opt/x/start"],
    Cmd: ["daemon"],
  });
});

for (const line of ["ADD x y", "COPY --from=a x y", "COPY a b c", "CMD daemon"]) {
  Deno.test(`parseDockerfile() refuses ${line}`, () => {
    assert.throws(() => parseDockerfile(`FROM x\n${line}\n`), SyntaxError);
  });
}
