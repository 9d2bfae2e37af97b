// The line of Python that runs the model on a text.
import { continuesText } from '../contract/whole_text';
import type { RunOrigin } from './recipe';

/** Return the call of the model. `tokens` names a variable, int64 of shape (1, tokens). */
export function forwardPass(
  { model, paths: { firstPosition } }: Pick<RunOrigin, 'model' | 'paths'>,
  tokens: string,
  attentions = false,
): string {
  const named = [
    ...(continuesText(model.shape) ? ['use_cache=False'] : []),
    ...(firstPosition === null
      ? []
      : [`position_ids=torch.arange(${tokens}.shape[1])[None] + ${firstPosition}`]),
    ...(attentions ? ['output_attentions=True'] : []),
  ];
  return `model(${[tokens, ...named].join(', ')})`;
}
