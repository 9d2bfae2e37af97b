// The graph that the reader may save: its name, the files of its weights, and its bytes on demand.
import { weightFiles } from '../../bundle/download/download';
import { sessionGraph } from '../../contract/variant_graphs';
import type { ModelClient } from '../../inference/client_interface';
import type { OpenedModel } from '../../inference/model_types';

export interface SavedGraph {
  readonly fileName: string;
  /** Files that the graph reads its weights from; none where it holds them itself. */
  readonly weights: readonly string[];
  readonly read: () => Promise<Uint8Array<ArrayBuffer>>;
}

/** Describe the graph of the open model; null where none is open. */
export function savedGraphOf(
  model: OpenedModel | null,
  client: Pick<ModelClient, 'savedGraph'> | null,
): SavedGraph | null {
  if (model === null || client === null) return null;
  const { manifest, variant } = model;
  const { path } = sessionGraph(variant);
  // The name may come from anyone: only what every file system takes stays in it.
  const name = manifest.model.name.replace(/[^A-Za-z0-9._-]+/g, '_').replace(/^[.]+/, '');
  const ending = manifest.variants.length > 1 ? `_${variant.name}` : '';
  return {
    fileName: `${name || 'model'}${ending}.onnx`,
    weights: weightFiles(variant).filter((file) => file !== path),
    read: () => client.savedGraph(),
  };
}
