// Turns unknown JSON from a graph's metadata into its ActivationsDocument, or says what is wrong. bundle/onnx/onnx_model.ts
// reads the graph; validate_manifest.ts checks a bundle's manifest.
import { validateActivations, validateModelRecord } from 'virtual:oriel/manifest-validator';
import { isSupportedVersion, supportedVersions } from './contract_version';
import type { ActivationsDocument, ModelRecord } from './generated';
import { oneLine } from './one_line';
import { unsoundDocument } from './validate_ports';

/** Keys of the ONNX metadata. */
export const documentKey = 'oriel.activations';
export const modelRecordKey = 'oriel.model';

export type DocumentVerdict =
  | { kind: 'document'; document: ActivationsDocument }
  | { kind: 'contract-version'; got: string; supported: string }
  | { kind: 'not-a-document'; detail: string };

/** Check a document by the schema and by the further rules in validate_ports.ts. */
export function checkDocument(json: unknown): DocumentVerdict {
  const version = (json as { contract_version?: unknown } | null)?.contract_version;
  if (typeof version === 'string' && !isSupportedVersion(version)) {
    return { kind: 'contract-version', got: oneLine(version), supported: supportedVersions };
  }
  if (!isDocument(json)) {
    const [first] = validateActivations.errors ?? [];
    const detail = first ? `${first.instancePath || '/'} ${first.message ?? ''}` : 'not valid';
    return { kind: 'not-a-document', detail: oneLine(detail) };
  }
  const detail = unsoundDocument(json);
  return detail === null
    ? { kind: 'document', document: json }
    : { kind: 'not-a-document', detail };
}

/** Return the model record; null where it is not valid: it is useful but not required. */
export function readModelRecord(json: unknown): ModelRecord | null {
  return isModelRecord(json) ? json : null;
}

function isDocument(json: unknown): json is ActivationsDocument {
  return validateActivations(json);
}

function isModelRecord(json: unknown): json is ModelRecord {
  return validateModelRecord(json);
}
