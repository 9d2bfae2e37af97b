// Lists the bundles that the page was built with, for the picker. apps/web/plugins/models_index.ts writes the list.
import { startLimits } from '../download/retry_policy';
import { StallWatch } from '../download/stall_watch';

export interface CatalogueEntry {
  readonly name: string;
  /** Address of the bundle's manifest. */
  readonly url: string;
  readonly architecture: string;
  readonly parameters: number;
  /** Number of bytes that opening the first variant downloads. */
  readonly bytes: number;
}

interface IndexedModel {
  readonly name: string;
  readonly path: string;
  readonly architecture: string;
  readonly parameters: number;
  readonly bytes: number;
}

/** The model that the page opens unless told otherwise, as set when it was built. */
export const configuredModelUrl: string | null = import.meta.env.VITE_MODEL_URL ?? null;

/** Return the address of the model that this page was built for, beside these listed ones. */
export function ownModelUrl(models: readonly CatalogueEntry[]): string {
  return (
    configuredModelUrl ??
    models.find((model) => model.name === 'demo')?.url ??
    models[0]?.url ??
    new URL(`${import.meta.env.BASE_URL}models/demo/manifest.json`, document.baseURI).href
  );
}

/**
 * List the bundles below `models/`, in order of name; none where there is no list. Rejects with a BundleError of kind
 * `stalled` where the host does not answer.
 */
export async function listModels(): Promise<CatalogueEntry[]> {
  const index = new URL(`${import.meta.env.BASE_URL}models/index.json`, document.baseURI);
  const stall = new StallWatch(index.href, startLimits.list);
  try {
    const response = await fetch(index, { cache: 'no-cache', signal: stall.signal });
    const found: unknown = response.ok ? await response.json() : [];
    return Array.isArray(found)
      ? found.filter(isIndexedModel).map(({ path, ...entry }) => ({
          ...entry,
          url: new URL(path, index).href,
        }))
      : [];
  } catch {
    if (stall.error !== null) throw stall.error;
    // A host without the list still serves a model by its address.
    return [];
  } finally {
    stall.end();
  }
}

function isIndexedModel(value: unknown): value is IndexedModel {
  if (typeof value !== 'object' || value === null) return false;
  const { name, path, architecture, parameters, bytes } = value as Record<string, unknown>;
  return (
    typeof name === 'string' &&
    typeof path === 'string' &&
    typeof architecture === 'string' &&
    typeof parameters === 'number' &&
    typeof bytes === 'number'
  );
}
