// English: the view of interventions, its list of edits and its patching sweep.

const quoted = (text: string): string => `“${text}”`;

export const interventions = {
  title: 'Interventions',
  caption:
    'Change the model’s computation and see what follows. The edits below act on every view and on generated text, until you switch them off.',
  none: 'No edit yet. The model computes as it was trained.',
  listLabel: 'Edits',
  /** The joints at which an edit can act, as a sentence needs them. */
  places: {
    resid_pre: (layer: number) => `the residual stream before layer ${layer}`,
    resid_mid: (layer: number) => `the residual stream in the middle of layer ${layer}`,
    resid_post: (layer: number) => `the residual stream after layer ${layer}`,
    attn_z: (layer: number) => `every head in layer ${layer}`,
    attn_output: (layer: number) => `the attention of layer ${layer}`,
    mlp_act: (layer: number) => `every neuron in layer ${layer}`,
    mlp_output: (layer: number) => `the MLP of layer ${layer}`,
    heads: (heads: string, layer: number, several: boolean) =>
      `${several ? 'heads' : 'head'} ${heads} in layer ${layer}`,
    neurons: (neurons: string, layer: number, several: boolean) =>
      `${several ? 'neurons' : 'neuron'} ${neurons} in layer ${layer}`,
    other: (joint: string, layer: number) => `${joint} in layer ${layer}`,
  },
  /** Words for the positions of the edited tokens. */
  everywhere: 'at every position',
  at: (positions: string, several: boolean) =>
    several ? `at positions ${positions}` : `at position ${positions}`,
  span: (first: number, last: number) => `${first}–${last}`,
  from: (first: number) => `from position ${first} on`,
  until: (last: number) => `up to position ${last}`,
  off: (place: string, where: string) => `${place} off, ${where}`,
  scaled: (place: string, factor: string, where: string) => `${place} × ${factor}, ${where}`,
  blind: (query: string, key: string, layer: number, heads: string | null) =>
    `Layer ${layer}${heads === null ? '' : `, head ${heads}`}: ${query} can’t look at ${key}`,
  queries: (positions: string | null) =>
    positions === null ? 'every position' : `position ${positions}`,
  steered: (place: string, strength: string, direction: string, where: string) =>
    `Steer ${place} by ${strength} × ${direction}, ${where}`,
  difference: (towards: string, away: string) => `(${quoted(towards)} − ${quoted(away)})`,
  unembedding: (towards: string, away: string | null) =>
    away === null
      ? `the unembedding direction of ${quoted(towards)}`
      : `the unembedding direction of ${quoted(towards)} − ${quoted(away)}`,
  feature: (feature: number, dictionary: string) => `feature ${feature} of ${dictionary}`,
  pasted: (numbers: number) => `a pasted vector of ${numbers} numbers`,
  averaged: (place: string, text: string, where: string) =>
    `${place} at its mean over ${quoted(text)}, ${where}`,
  patched: (place: string, text: string, where: string) =>
    `${place} as in ${quoted(text)}, ${where}`,
  patchedFrom: (
    place: string,
    text: string,
    { at, layer }: { at: number; layer: number },
    where: string,
  ) => `${place} as at position ${at} of ${quoted(text)} after layer ${layer}, ${where}`,
  clamped: (place: string, value: string, where: string) =>
    `A feature of ${place} set to ${value}, ${where}`,
  clampedFeature: (feature: string, place: string, value: string, where: string) =>
    `${feature} set to ${value} in ${place}, ${where}`,
  other: (edit: string, place: string, where: string) => `${edit} of ${place}, ${where}`,
  switchLabel: (edit: string) => `On: ${edit}`,
  edit: 'Edit',
  editNamed: (edit: string) => `Edit: ${edit}`,
  remove: 'Remove',
  removeNamed: (edit: string) => `Remove: ${edit}`,
  strengthOf: (edit: string) => `Strength of: ${edit}`,
  valueOf: (edit: string) => `Value of: ${edit}`,
  notLinked: 'A link to this page doesn’t carry this edit’s numbers, so it leaves the edit out.',
  noNumbers: 'This edit is left out, because its numbers can’t be computed:',
  allOff: 'Switch all off',
  form: {
    title: 'New edit',
    titleOf: 'Change this edit',
    kind: 'What to do',
    kinds: {
      scale: 'Switch off or scale',
      'knock-out': 'Stop a token from looking at another',
      steer: 'Steer the residual stream',
      mean: 'Replace by the mean over a text',
    },
    part: 'Part',
    parts: {
      head: 'a head',
      neuron: 'a neuron of the MLP',
      attention: 'the whole attention',
      mlp: 'the whole MLP',
    },
    layer: 'Layer',
    head: 'Head',
    everyHead: 'all',
    neuron: 'Neuron',
    factor: 'Factor (0 switches off)',
    positions: 'Positions',
    positionsHint: 'Empty for all; 3, 5–8 for some; 4– for all from the fifth token on.',
    selected: (position: number, token: string) => `only ${position}, ${token}`,
    query: 'Token that looks',
    key: 'Token it can’t see',
    token: (position: number, label: string) => `${position}  ${label}`,
    direction: 'Direction',
    directions: {
      texts: 'difference of two prompts',
      tokens: 'a token’s unembedding',
      numbers: 'pasted numbers',
    },
    tokenA: 'Token',
    tokenB: 'minus token (may be empty)',
    tokensHint:
      'A token id or a word. The direction is the token’s column of the unembedding (less the other’s), times the final norm’s weight and centred where that norm centres, scaled to length 1: so the strength is the length that is added to the stream.',
    measure: 'How long is the stream there?',
    measured: (layer: number, length: string) =>
      `After layer ${layer}, without edits: ${length} (median length over this text’s tokens).`,
    towards: 'Towards prompt',
    away: 'Away from prompt',
    directionHint:
      'The stream after the layer at the last token of the first prompt, minus the same of the second.',
    numbers: (count: number) => `${count} numbers`,
    strength: 'Strength',
    reference: 'Reference text',
    add: 'Add',
    save: 'Save',
    cancel: 'Cancel',
  },
  problems: {
    range: (name: string, got: string, most: number) =>
      `${name}: got ${got === '' ? 'nothing' : quoted(got)}, expected a whole number from 0 to ${most}.`,
    number: (name: string, got: string) =>
      `${name}: got ${got === '' ? 'nothing' : quoted(got)}, expected a number.`,
    positions: (got: string, most: number) =>
      `Positions: got ${quoted(got)}, expected numbers from 0 to ${most}, as in 3, 5–8.`,
    text: (name: string) => `${name}: write a text here.`,
    count: (got: number, expected: number) =>
      `Pasted numbers: got ${got}, expected ${expected}, the width of the stream.`,
    notToken: (name: string, got: string) =>
      `${name}: got ${got === '' ? 'nothing' : quoted(got)}, expected one token: its id, or a word.`,
    sameToken: 'Both tokens are the same: nothing is left of their difference.',
    unread: (got: string) => `Pasted numbers: ${quoted(got)} is not a number.`,
    blind:
      'With this edit, a token would have nothing left to look at. Leave it at least one token.',
    other: (detail: string) => `The model has no place for this edit: ${detail}`,
  },
  effect: {
    title: 'Baseline and edited',
    caption: (nats: string) =>
      `The likeliest next tokens, without and with the edits. The two predictions lie ${nats} nats apart: KL(baseline ‖ edited).`,
    unchanged: 'Without an edit that is on, baseline and edited are the same.',
    baseline: 'Baseline',
    edited: 'Edited',
    change: 'Points',
    lens: 'Layer by layer',
    lensCaption: (position: number) =>
      `The likeliest token after each layer at position ${position}, by the logit lens, without and with the edits.`,
    lensClosed: 'Open the logit lens above to compare both layer by layer.',
  },
  badge: {
    label: 'Edits that are on',
    title: (edits: number) => (edits === 1 ? '1 edit is on' : `${edits} edits are on`),
    remove: (edit: string) => `Switch off: ${edit}`,
    show: 'Show',
    edited: 'edited',
    baseline: 'baseline',
    baselineShown: 'All views show the model without the edits.',
  },
  sweep: {
    title: 'Patching sweep',
    caption:
      'Runs this text once for each place in the model, each time with that place’s values taken from a second text. It shows which places carry the difference between the two. The edits above don’t act on it.',
    source: 'Second text, as many tokens as this one',
    over: 'Patch',
    places: {
      stream: 'the residual stream, layer by position',
      mlp: 'MLPs, layer by position',
      attention: 'attention outputs, layer by position',
      heads: 'heads, layer by head',
    },
    metric: 'Measure',
    metrics: {
      'logit-difference': 'logit difference of two tokens',
      divergence: 'KL divergence from the second text’s prediction',
    },
    answer: 'Token',
    other: 'minus token',
    answerHint:
      'A token id or a word. Empty: the likeliest of the second text, minus the likeliest of this one.',
    memory: 'Memory at most',
    run: 'Run the sweep',
    cancel: 'Cancel',
    progress: (done: number, of: number) => `${done} of ${of} runs`,
    running: 'Reading both texts…',
    lengths: (here: number, there: number) =>
      `The second text has ${there} tokens, this one ${here}: expected as many in both, so that positions match.`,
    noText: 'Write a second text.',
    notToken: (got: string) => `${quoted(got)} is not one token of the model.`,
    sameTokens: 'Both texts find the same token likeliest: name the two tokens to measure.',
    unfit: (detail: string) => `This sweep can’t be run: ${detail}`,
    cancelled: 'Cancelled. Nothing was kept.',
    stale: 'This map is of an earlier text.',
    summary: (clean: string, corrupted: string, metric: string) =>
      `${metric}: ${corrupted} for this text, ${clean} for the second.`,
    metricOf: (answer: string, other: string) => `Logit of ${answer} minus ${other}`,
    klMetric: 'KL divergence from the second text’s prediction, in nats',
    legend: 'Share of the difference that the patch brings over',
    legendPlain: 'Change of the measure',
    mapLabel: 'Map of the sweep. Arrow keys move, Enter adds the patch as an edit.',
    cellAt: (layer: number, token: string, value: string, share: string) =>
      `Layer ${layer}, at ${token}: ${value}${share === '' ? '' : `, share ${share}`}`,
    cellHead: (layer: number, head: number, value: string, share: string) =>
      `Layer ${layer}, head ${head}: ${value}${share === '' ? '' : `, share ${share}`}`,
    add: 'Add this patch as an edit',
    added: 'Added to the edits.',
    positionAxis: 'position in the text',
    headAxis: 'head',
  },
};
