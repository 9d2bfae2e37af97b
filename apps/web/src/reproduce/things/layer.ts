// A measure of what a layer predicts, or of the residual stream behind it.
import { OF_STREAM } from '../../analysis/lens_measures';
import type { Place } from '../hooks';
import { readLines } from '../module_paths';
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownLayer } from '../shown_numbers';
import { mapLines } from './lens';

export function layerRecipe(shown: ShownLayer, origin: RunOrigin): Recipe {
  const { measure, pack, layer, position, values } = shown;
  const last = origin.model.shape.layers - 1;
  const isOfStream = OF_STREAM.has(measure);
  // A pack has no map for the last layer, whose stream the model itself reads.
  const mapped = pack !== null && layer < last && !isOfStream ? pack : null;
  const through = pack === null || isOfStream ? '' : `, through lens ${pack.file}`;
  return {
    title: `${titleOf(shown, origin)} at layer ${layer}, token ${position}${through}`,
    notes: [],
    sees: placesOf(shown, last),
    attentions: false,
    file:
      mapped === null
        ? null
        : { variable: 'lens_file', name: mapped.file, what: "the lens pack's file" },
    names: [titleOf(shown, origin)],
    shown: values,
    compute: [
      `stream = seen["resid_post", ${layer}][0, ${position}]`,
      ...(isOfStream
        ? streamLines(shown, last)
        : [
            ...readLines(origin.paths),
            `final = read(seen["resid_post", ${last}][0, ${position}]).log_softmax(-1)`,
            ...(mapped === null ? [] : mapLines(mapped.kind, layer)),
            'logits = read(stream)',
            'logs = logits.log_softmax(-1)',
            ...predictionLines(shown),
          ]),
      'computed = measured.reshape(1).float()',
    ],
  };
}

function titleOf({ measure, token }: ShownLayer, { labelOf }: RunOrigin): string {
  const named = token === null ? '' : ` of ${token} ${labelOf(token)}`;
  switch (measure) {
    case 'top':
    case 'certainty':
      return 'Probability of the likeliest token';
    case 'probability':
      return `Probability${named}`;
    case 'rank':
      return `Rank${named}`;
    case 'divergence':
      return 'KL divergence from the final layer, in nats,';
    case 'entropy':
      return 'Entropy, in nats,';
    case 'norm':
      return 'Norm of resid_post';
    case 'growth':
      return 'Norm of resid_post over that of resid_pre';
    case 'turn':
      return 'Cosine of resid_post and resid_pre';
    case 'final':
      return "Cosine of resid_post and the last layer's";
  }
}

function placesOf({ measure, layer }: ShownLayer, last: number): Place[] {
  const own: Place = { joint: 'resid_post', layer };
  const needsBefore = measure === 'growth' || measure === 'turn';
  const needsLast = measure === 'final' || !OF_STREAM.has(measure);
  return [
    own,
    ...(needsBefore ? [{ joint: 'resid_pre', layer } as const] : []),
    ...(needsLast && layer !== last ? [{ joint: 'resid_post', layer: last } as const] : []),
  ];
}

function streamLines({ measure, layer, position }: ShownLayer, last: number): string[] {
  const before = `seen["resid_pre", ${layer}][0, ${position}]`;
  const cosine = (other: string): string =>
    `measured = torch.nn.functional.cosine_similarity(stream, ${other}, dim=-1)`;
  if (measure === 'growth') return [`measured = stream.norm() / ${before}.norm()`];
  if (measure === 'turn') return [cosine(before)];
  if (measure === 'final') return [cosine(`seen["resid_post", ${last}][0, ${position}]`)];
  return ['measured = stream.norm()'];
}

function predictionLines({ measure, token }: ShownLayer): string[] {
  const id = token ?? 0;
  if (measure === 'rank') return [`measured = 1 + (logits > logits[${id}]).sum()`];
  if (measure === 'probability') return [`measured = logs[${id}].exp()`];
  if (measure === 'divergence') return ['measured = (final.exp() * (final - logs)).sum()'];
  if (measure === 'entropy') return ['measured = -(logs.exp() * logs).sum()'];
  return ['measured = logs.exp().max()'];
}
