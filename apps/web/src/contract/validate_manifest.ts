// Turns unknown JSON into a Manifest, or says what is wrong. bundle/read_manifest.ts fetches it.
import { validateManifest } from 'virtual:oriel/manifest-validator';
import { isSupportedVersion, supportedVersions } from './contract_version';
import type { Manifest } from './generated';
import { oneLine } from './one_line';
import { unsoundChunks } from './validate_chunks';
import { unsoundExpansion } from './validate_expansion';
import { unsoundDashboards } from './validate_dashboards';
import { unsoundDictionaries } from './validate_dictionaries';
import { unsoundLensPacks } from './validate_lens_packs';
import { unsoundVariants } from './validate_ports';
import { unsoundTapBytes } from './validate_tap_bytes';
import { unsoundTotals } from './validate_totals';
import { graphsOf } from './variant_graphs';

export type ManifestVerdict =
  | { kind: 'manifest'; manifest: Manifest }
  | { kind: 'contract-version'; got: string; supported: string }
  | { kind: 'not-a-manifest'; detail: string };

export function checkManifest(json: unknown): ManifestVerdict {
  // Versions first: a valid file of another major version may break every other rule.
  for (const version of declaredVersions(json)) {
    if (!isSupportedVersion(version)) {
      return { kind: 'contract-version', got: oneLine(version), supported: supportedVersions };
    }
  }
  if (!isManifest(json)) {
    const [first] = validateManifest.errors ?? [];
    return {
      kind: 'not-a-manifest',
      detail: first
        ? oneLine(`${first.instancePath || '/'} ${first.message ?? 'is not valid'}`)
        : 'not valid',
    };
  }
  const missing = unlistedFile(json);
  if (missing !== null) {
    return { kind: 'not-a-manifest', detail: `${missing} is used but not listed in files` };
  }
  const unsound =
    unsoundExpansion(json) ??
    unsoundChunks(json) ??
    unsoundVariants(json) ??
    unsoundFirstPass(json) ??
    unsoundTokens(json) ??
    unsoundLabels(json) ??
    unsoundTotals(json) ??
    unsoundTapBytes(json) ??
    unsoundLensPacks(json) ??
    unsoundDictionaries(json) ??
    unsoundDashboards(json);
  if (unsound !== null) return { kind: 'not-a-manifest', detail: oneLine(unsound) };
  return { kind: 'manifest', manifest: json };
}

function isManifest(json: unknown): json is Manifest {
  return validateManifest(json);
}

function declaredVersions(json: unknown): string[] {
  if (typeof json !== 'object' || json === null) return [];
  const { contract_version, manifest_version } = json as Record<string, unknown>;
  return [contract_version, manifest_version].filter((version) => typeof version === 'string');
}

/** Return a file that is used but not listed, or null. The schema cannot express this rule. */
function unlistedFile({ files, tokenizer, first_pass, variants }: Manifest): string | null {
  const listed = new Set(files.map(({ path }) => path));
  const used = [
    ...(tokenizer ? [tokenizer.tokenizer, tokenizer.config] : []),
    ...(tokenizer?.cases === undefined ? [] : [tokenizer.cases]),
    ...(first_pass ? [first_pass.path] : []),
    ...variants.flatMap((variant) => [
      ...variant.weights,
      ...(variant.reference_pass ? [variant.reference_pass.path] : []),
      ...graphsOf(variant).map(([, { path }]) => path),
    ]),
  ];
  return used.find((path) => !listed.has(path)) ?? null;
}

/** Return an error if the variant that computed the first pass does not exist, or null. */
function unsoundFirstPass({ first_pass, variants }: Manifest): string | null {
  return first_pass === undefined || variants.some(({ name }) => name === first_pass.variant)
    ? null
    : `first_pass is of ${first_pass.variant}, which is no variant`;
}

/** Return an error unless each logit of a classifier has a name, and no language model's has. */
function unsoundLabels({ model: { classifier, shape } }: Manifest): string | null {
  const named = classifier?.labels.length ?? 0;
  const labels = shape.labels ?? 0;
  return named === labels ? null : `${named} labels are named, and the model has ${labels}`;
}

/**
 * Return an error if a token that the page feeds around a text or as a mask, or at which it stops, is not in the vocabulary.
 */
function unsoundTokens({ model, tokenizer }: Manifest): string | null {
  const { vocab } = model.shape;
  const named = [
    ...(tokenizer?.first_tokens ?? []),
    ...(tokenizer?.last_tokens ?? []),
    ...(tokenizer?.mask_token === undefined ? [] : [tokenizer.mask_token]),
    ...(model.end_token_ids ?? []),
  ];
  const unknown = named.find((token) => token >= vocab);
  return unknown === undefined
    ? null
    : `token ${String(unknown)} is named, and the model has only ${String(vocab)}`;
}
