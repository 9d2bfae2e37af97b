// The runs that the reader keeps beside the present one, each under a name. Which of them a link carries:
// inference/kept_runs.ts; opening one again: page/model_choice.svelte.ts.
import {
  formatRuns,
  MAX_NAME,
  runsForLink,
  type KeptRun,
  type LinkedRuns,
} from '../inference/kept_runs';

/** A kept run with a number that stays its own while the page is open. */
export interface ListedRun {
  readonly id: number;
  readonly run: KeptRun;
}

export class KeptRuns {
  entries = $state.raw<readonly ListedRun[]>([]);
  /** Number of runs that the link which the page followed had left out. */
  leftOutOfLink = $state(0);
  #ids = 0;

  /** Keep a run behind the others. */
  keep(run: KeptRun): ListedRun {
    const entry = { id: this.#ids++, run: { ...run, name: run.name.slice(0, MAX_NAME) } };
    this.entries = [...this.entries, entry];
    return entry;
  }

  /** Give a run another name; an empty one leaves it as it is. */
  rename(id: number, name: string): void {
    const said = name.trim().slice(0, MAX_NAME);
    if (said === '') return;
    this.entries = this.entries.map((entry) =>
      entry.id === id ? { ...entry, run: { ...entry.run, name: said } } : entry,
    );
  }

  remove(id: number): void {
    this.entries = this.entries.filter((entry) => entry.id !== id);
  }

  byId(id: number): ListedRun | null {
    return this.entries.find((entry) => entry.id === id) ?? null;
  }

  /** The runs that a link carries, and those that it leaves out. */
  get forLink(): ReturnType<typeof runsForLink> {
    return runsForLink(this.entries.map(({ run }) => run));
  }

  /** Take over the runs of a link, unless they are those that are here. */
  take({ runs, leftOut }: LinkedRuns): void {
    this.leftOutOfLink = leftOut;
    const here = formatRuns({ runs: this.forLink.runs, leftOut: 0 });
    if (formatRuns({ runs, leftOut: 0 }) === here) return;
    this.entries = [];
    for (const run of runs) this.keep(run);
  }
}
