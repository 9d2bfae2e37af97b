// Reads from an address the model that it names and the page's state. The part after # is hash_state.ts;
// page/model_choice.svelte.ts follows links.
import type { CatalogueEntry } from '../bundle/address/model_catalogue';
import { readModelParameter } from '../bundle/address/model_parameter';
import { toModelErrorData } from '../inference/model_error';
import type { ModelErrorData } from '../inference/model_types';
import { readHash, type HashState, type Ignored } from './hash_state';

export interface Link {
  readonly state: HashState;
  /** Fields of the part after # that the page could not read. */
  readonly ignored: readonly Ignored[];
  /** True where a later version of the page may have written the link. */
  readonly isNewer: boolean;
  /** The model that the query names, which the build allows; null where it names none. */
  readonly linked: string | null;
  /** Why the query's model may not be asked for. */
  readonly refused: ModelErrorData | null;
}

/** The models that the page knows besides the link's. */
export interface KnownModels {
  readonly models: readonly CatalogueEntry[];
  /** The error where there is no list although the host may have one. */
  readonly listError: ModelErrorData | null;
  /** The model that the page opens by itself. */
  readonly ownModel: string;
  /** True where the build names that model. */
  readonly isConfigured: boolean;
}

export interface Target {
  /** Empty where the link is refused. */
  readonly url: string;
  /** The name by which the link names a model that the page doesn't know; null where it knows the model. */
  readonly missing: string | null;
  readonly refused: ModelErrorData | null;
}

/** Read a link. Never throws: an error of the query's model is part of the link. */
export function readLink(href: string, baseUrl: string, allowed: () => readonly string[]): Link {
  const read = readHash(new URL(href).hash);
  try {
    return { ...read, linked: readModelParameter(href, baseUrl, allowed()), refused: null };
  } catch (error) {
    return { ...read, linked: null, refused: toModelErrorData(error, 'session') };
  }
}

/** Return whether the link names its model by a name from the list of models. */
export function namesListed({ state, linked, refused }: Link): boolean {
  return refused === null && linked === null && state.model !== null;
}

export function targetOf({ state, linked, refused }: Link, known: KnownModels): Target {
  const named = known.models.find(({ name }) => name === state.model);
  // The page's own model has a fixed address; only the list has another one's.
  // A host without a list serves its one model at the fixed address.
  const hasNoList = known.models.length === 0 && known.listError === null;
  const isOwn = state.model === 'demo' && hasNoList && !known.isConfigured;
  if (linked === null && state.model !== null && named === undefined && !isOwn) {
    const names = known.models.map(({ name }) => name);
    const unknown = { kind: 'unknown-model', got: state.model, known: names } as const;
    return { url: '', missing: state.model, refused: refused ?? known.listError ?? unknown };
  }
  const url = refused === null ? (linked ?? named?.url ?? known.ownModel) : '';
  return { url, missing: null, refused };
}
