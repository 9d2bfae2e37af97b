// English: neurons of the MLPs.
export const neurons = {
  title: 'Neurons',
  caption:
    'Each neuron of an MLP has one number at each token, its activation, and writes that multiple of its own row of the output matrix to the residual stream.',
  formula:
    'Activation a = mlp_act, with its sign. Row w: the neuron’s row of the MLP’s output matrix. Write size = |a| × ‖w‖, the length of what the neuron adds to the stream.',
  missing:
    'The neurons of this variant can’t be read: it has no open graph of contract 2.0 or later, or gives no mlp_act, as with experts. Export the model again, or choose another variant.',
  noTokens:
    'The tokens that a neuron raises are not shown here: this variant was exported before contract 2.1, or its MLP is followed by another norm, so that the row is not what reaches the stream.',
  open: 'Read the neurons',
  cost: (runs: string, time: string | null) =>
    `The rows of all neurons are measured once for each model, in ${runs} runs with one neuron of each layer on at each token${time === null ? '' : `; your text’s run took ${time}`}.`,
  working: (done: number, of: number) => `Reading the neurons: ${done} of ${of} runs`,
  cancelled: 'Cancelled: the neurons were not read.',
  position: (token: string) => `At  ${token}`,
  positionHint: 'Choose another position by a token of the text.',
  strongest: 'Strongest neurons',
  layer: 'Layer',
  allLayers: 'all layers',
  order: 'Order',
  orders: {
    write: 'by write size',
    activation: 'by size of activation',
    up: 'most positive first',
    down: 'most negative first',
  },
  neuron: 'Neuron',
  activation: 'Activation a',
  row: 'Row ‖w‖',
  write: 'Write size',
  name: (layer: number, neuron: number) => `L${layer} · ${neuron}`,
  alongTitle: 'Along the text',
  alongCaption:
    'The activation of this neuron at each token. Click a token to look at the strongest neurons there.',
  atToken: (token: string, value: string) => `At ${token}: ${value}`,
  legend: 'Activation',
  contextsTitle: 'Where it is strongest in this text',
  tokensTitle: 'Tokens that it raises and lowers',
  tokensCaption:
    'Change of each logit through the final norm and the unembedding alone, (N w) · u, where N is the final norm with its divisor held at this token’s. Later layers may change what the neuron does.',
  up: 'Raises',
  down: 'Lowers',
  perUnit: 'Logits for a = 1',
  here: 'Here, × a',
  switchOff: 'Switch it off',
  switchOn: 'Switch it on again',
};
