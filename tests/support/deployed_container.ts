/**
 * Containers of the product's image.
 *
 * @module
 */
import { DockerCli, IMAGE } from "./container_image.ts";
import { pause } from "./runner_process.ts";

const OWN = "mode=0700,uid=1000,gid=1000";

/** Options by which a container is as closed as `deploy/compose/compose.yaml` has it. */
export const CLOSED: readonly string[] = [
  ...["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"],
  ...[`--tmpfs=/run/cicd:${OWN}`, `--tmpfs=/var/cache/cicd-toolkit:${OWN}`],
  "--tmpfs=/tmp:mode=1777",
];

/** A container of the image, with a volume of its own for the state. */
export class DeployedContainer implements AsyncDisposable {
  readonly name = `test-${crypto.randomUUID()}`;
  readonly cli: DockerCli;
  readonly #image: string;

  /** @param host The engine, as for `DOCKER_HOST`. */
  constructor(host: string, image: string = IMAGE) {
    this.cli = new DockerCli(host);
    this.#image = image;
  }

  async start(...options: readonly string[]): Promise<void> {
    const volume = `--volume=${this.name}:/var/lib/cicd`;
    const base = ["run", "--detach", `--name=${this.name}`, "--network=none", volume];
    await this.cli.run(...base, ...options, this.#image);
    await this.answers();
  }

  async answers(): Promise<void> {
    for (let tries = 0; tries < 300; tries++) {
      if ((await this.health()).stdout.includes('"status":')) return;
      await pause(100);
    }
    throw new Error(`It does not answer: ${JSON.stringify(await this.cli.try("logs", this.name))}`);
  }

  health() {
    const curl = ["curl", "--silent", "--unix-socket", "/run/cicd/cicd-runner.sock"];
    return this.exec(...curl, "http://localhost/health");
  }

  exec(...argv: readonly string[]) {
    return this.cli.try("exec", this.name, ...argv);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cli.run("rm", "--force", this.name);
    await this.cli.run("volume", "rm", this.name);
  }
}
