// Which model an address names, with all else that it says. What stands after the # is hash_state.ts; following a link is
// App.svelte's.
import type { CatalogueEntry } from '../bundle/model_catalogue';
import { readModelParameter } from '../bundle/model_parameter';
import { toModelErrorData } from '../inference/model_error';
import type { ModelErrorData } from '../inference/model_types';
import { parseHash, type HashState } from './hash_state';

export interface Link {
  readonly state: HashState;
  /** The model that the query names, which the build allows; null where it names none. */
  readonly linked: string | null;
  /** Why the query's model may not be asked for. */
  readonly refused: ModelErrorData | null;
}

/** What the page knows of models besides the link. */
export interface KnownModels {
  readonly models: readonly CatalogueEntry[];
  /** Why there is no list although the host may have one. */
  readonly listError: ModelErrorData | null;
  /** The model that the page opens by itself. */
  readonly ownModel: string;
  /** The build names that model. */
  readonly isConfigured: boolean;
}

export interface Target {
  /** Empty where the link is refused. */
  readonly url: string;
  /** The name that the link gives to a model that is not there. */
  readonly missing: string | null;
  readonly refused: ModelErrorData | null;
}

/** Never throws: what is wrong with the query's model stands in the link. */
export function readLink(href: string, baseUrl: string, allowed: () => readonly string[]): Link {
  const state = parseHash(new URL(href).hash);
  try {
    return { state, linked: readModelParameter(href, baseUrl, allowed()), refused: null };
  } catch (error) {
    return { state, linked: null, refused: toModelErrorData(error, 'session') };
  }
}

/** Whether the link names its model by a name that only the list of models explains. */
export function namesListed({ state, linked, refused }: Link): boolean {
  return refused === null && linked === null && state.model !== undefined;
}

export function targetOf({ state, linked, refused }: Link, known: KnownModels): Target {
  const named = known.models.find(({ name }) => name === state.model);
  // The page's own model is where it always is; another one's address stands in the list alone.
  // A host without a list serves its one model where it always is.
  const hasNoList = known.models.length === 0 && known.listError === null;
  const isOwn = state.model === 'demo' && hasNoList && !known.isConfigured;
  if (linked === null && state.model !== undefined && named === undefined && !isOwn) {
    const names = known.models.map(({ name }) => name);
    const unknown = { kind: 'unknown-model', got: state.model, known: names } as const;
    return { url: '', missing: state.model, refused: refused ?? known.listError ?? unknown };
  }
  const url = refused === null ? (linked ?? named?.url ?? known.ownModel) : '';
  return { url, missing: null, refused };
}
