import type { ProjectName } from "@lib/core/ids.ts";

/** Number of projects whose last turn is remembered. */
const MAX_TURNS = 1_024;

/** The order in which projects last had a turn to start a job. */
export class ProjectTurns {
  readonly #last = new Map<ProjectName, number>();
  #turn = 0;

  /** Records that a project has its turn. */
  note(project: ProjectName): void {
    this.#last.delete(project);
    this.#last.set(project, ++this.#turn);
    // A project without a turn for so long goes first anyway.
    const [oldest] = this.#last.keys();
    if (this.#last.size > MAX_TURNS && oldest !== undefined) this.#last.delete(oldest);
  }

  /** Returns the number of a project's last turn; 0 if it had none. */
  lastOf(project: ProjectName): number {
    return this.#last.get(project) ?? 0;
  }
}
