// Functions that a script may need, as Python source: each is written only where the script calls it.

export type HelperName =
  | 'at'
  | 'tensor_of'
  | 'of_text'
  | 'on_input'
  | 'on_output'
  | 'on_heads'
  | 'on_middle'
  | 'attention'
  | 'on_products'
  | 'on_router'
  | 'chosen'
  | 'spread'
  | 'unit'
  | 'along'
  | 'mirrored'
  | 'feature'
  | 'scale'
  | 'add'
  | 'replace'
  | 'knock_out'
  | 'project_out'
  | 'cap'
  | 'swap'
  | 'clamp';

interface Helper {
  readonly source: string;
  /** The helpers that it calls. */
  readonly calls?: readonly HelperName[];
}

const AT = `changes = {}  # (joint, layer) -> functions that change what flows there, in their order
seen = {}  # (joint, layer) -> what flowed there, after the changes


def change(joint, layer, function):
    changes.setdefault((joint, layer), []).append(function)


def at(joint, layer, value):
    for function in changes.get((joint, layer), []):
        value = function(value)
    seen[joint, layer] = value
    return value`;

const TENSOR_OF = `def tensor_of(output):
    return output[0] if isinstance(output, tuple) else output


def output_with(value, output):
    return (value, *output[1:]) if isinstance(output, tuple) else value`;

const OF_TEXT = `def of_text(value):
    """Return (1, tokens, width) also of tokens that a block has laid end to end."""
    return value.reshape(1, -1, value.shape[-1])`;

const ON_INPUT = `def on_input(module, joint, layer):
    def hook(_module, args):
        value = at(joint, layer, of_text(args[0])).reshape(args[0].shape)
        return (value, *args[1:])

    model.get_submodule(module).register_forward_pre_hook(hook)`;

const ON_OUTPUT = `def on_output(module, joint, layer, factor=1.0, half=None):
    """Take the module's output, times what its block multiplies it with, or one half of it."""

    def hook(_module, _args, output):
        given = tensor_of(output)
        value = of_text(given)
        if half is not None:
            at(joint, layer, value.chunk(2, dim=-1)[half])
            return output
        value = at(joint, layer, value * factor) / factor
        return output_with(value.reshape(given.shape), output)

    model.get_submodule(module).register_forward_hook(hook)`;

const ON_HEADS = `def on_heads(module, joint, layer, heads):
    """Take the module's input, heads side by side, as (1, heads, tokens, width)."""

    def hook(_module, args):
        value = at(joint, layer, args[0].unflatten(-1, (heads, -1)).transpose(1, 2))
        return (value.transpose(1, 2).flatten(2), *args[1:])

    model.get_submodule(module).register_forward_pre_hook(hook)`;

const ON_MIDDLE = `def on_middle(block, attention, layer, factor=1.0):
    """Take the stream between attention and MLP, which no module returns: its change is added to
    the output of attention."""
    entering = {}

    def before(_module, args):
        entering["stream"] = args[0]

    def after(_module, _args, output):
        middle = entering["stream"] + tensor_of(output) * factor
        change = (at("resid_mid", layer, middle) - middle) / factor
        return output_with(tensor_of(output) + change, output)

    model.get_submodule(block).register_forward_pre_hook(before)
    model.get_submodule(attention).register_forward_hook(after)`;

const ATTENTION = `def attention(
    module, query, key, value, _mask=None, scaling=None, softcap=None, sliding_window=None, **_
):
    """Attend as the model does to one text, and show every step: (1, heads, tokens, width)."""
    layer = module.layer_idx
    query, key, value = (
        at(joint, layer, states) for joint, states in (("q", query), ("k", key), ("v", value))
    )
    group = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(group, dim=1) for states in (key, value))
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    every = torch.ones(scores.shape[-2:], dtype=torch.bool)
    hidden = every.triu(1) if getattr(module, "is_causal", True) else ~every
    if sliding_window is not None:
        hidden |= every.tril(-sliding_window) | every.triu(sliding_window)
    scores = scores.masked_fill(hidden, torch.finfo(torch.float32).min)
    weights = at("attn_probs", layer, at("attn_scores", layer, scores).softmax(-1))
    return (weights @ value).transpose(1, 2), weights


AttentionInterface.register("shown", attention)`;

const ON_PRODUCTS = `PRODUCTS = (torch.matmul, torch.bmm, torch.Tensor.matmul, torch.Tensor.__matmul__)
SOFTMAX = (torch.softmax, torch.nn.functional.softmax)


class Products(TorchFunctionMode):
    """Show the steps of attention that has no function of its own: queries and keys before their
    product, the softmax, and values before the product with them."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.mixes = False  # True behind the softmax

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function is torch.Tensor.baddbmm:
            kwargs["batch1"], kwargs["batch2"] = self.factors(kwargs["batch1"], kwargs["batch2"])
        elif function in PRODUCTS and args[1].dim() > 2:
            args = self.factors(*args)
        elif function in SOFTMAX:
            lowest = torch.finfo(torch.float32).min
            scores = self.show("attn_scores", args[0].clamp(min=lowest))
            self.mixes = True
            return self.show("attn_probs", function(scores, **kwargs))
        return function(*args, **kwargs)

    def factors(self, left, right):
        if self.mixes:
            return left, self.show("v", right)
        left = self.show("q", left)
        return left, self.show("k", right.transpose(-1, -2)).transpose(-1, -2)

    def show(self, joint, value):
        """Take (heads, tokens, width) as one text, too."""
        whole = value if value.dim() == 4 else value[None]
        return at(joint, self.layer, whole).reshape(value.shape)


def on_products(module, layer):
    owner = model.get_submodule(module)
    forward = owner.forward

    def watched(*args, **kwargs):
        with Products(layer):
            return forward(*args, **kwargs)

    owner.forward = watched`;

const ON_ROUTER = `def on_router(module, layer):
    def hook(_module, _args, output):
        logits, weights, ids = output
        probs = logits.softmax(-1)
        given = {"logits": logits, "probs": probs, "weights": weights, "ids": ids}
        for name, value in given.items():
            part = "router" if name in ("logits", "probs") else "expert"
            at(f"{part}_{name}", layer, of_text(value))

    model.get_submodule(module).register_forward_hook(hook)`;

const CHOSEN = `def chosen(value, heads=None, tokens=None, columns=None):
    """Return True at the places of a value (1, tokens, columns) or (1, heads, tokens, columns)."""
    mask = torch.ones(value.shape, dtype=torch.bool)
    for axis, places in ((-3, heads), (-2, tokens), (-1, columns)):
        if places is not None:
            one = torch.zeros(value.shape[axis], dtype=torch.bool)
            one[places] = True
            mask &= one.reshape([-1] + [1] * (-1 - axis))
    return mask`;

const SPREAD = `def spread(numbers, value):
    """Put numbers over a value. Numbers of further tokens are left out; where there are none, the
    value stays."""
    numbers = numbers.reshape([1] * (value.dim() - numbers.dim()) + list(numbers.shape))
    sizes = [size if have == 1 else min(have, size) for have, size in zip(numbers.shape, value.shape)]
    there = tuple(slice(size) for size in sizes)
    result = value.clone()
    result[there] = numbers[there].expand(sizes)
    return result`;

const SCALE = `def scale(factor, **places):
    return lambda value: torch.where(chosen(value, **places), value * factor, value)`;

const ADD = `def add(vector, **places):
    def function(value):
        return torch.where(chosen(value, **places), value + spread(vector, torch.zeros_like(value)), value)

    return function`;

const REPLACE = `def replace(numbers, **places):
    return lambda value: torch.where(chosen(value, **places), spread(numbers, value), value)`;

const KNOCK_OUT = `def knock_out(**places):
    """Let queries (tokens) see nothing of keys (columns)."""
    lowest = torch.finfo(torch.float32).min
    return lambda value: value.masked_fill(chosen(value, **places), lowest)`;

const UNIT = `def unit(direction):
    return direction / direction.norm()`;

const PROJECT_OUT = `def project_out(direction, amount, **places):
    def function(value):
        component = (value @ unit(direction)).unsqueeze(-1)
        return torch.where(chosen(value, **places), value - amount * component * unit(direction), value)

    return function`;

const CAP = `def cap(direction, limit, **places):
    def function(value):
        over = ((value @ unit(direction)).unsqueeze(-1) - limit).clamp(min=0)
        return torch.where(chosen(value, **places), value - over * unit(direction), value)

    return function`;

const SWAP = `def swap(first, second, amount, **places):
    """Mirror along the difference of the two unit vectors."""
    normal = unit(unit(first) - unit(second))

    def function(value):
        component = (value @ normal).unsqueeze(-1)
        return torch.where(chosen(value, **places), value - 2 * amount * component * normal, value)

    return function`;

const CLAMP = `def clamp(encoder, bias, threshold, direction, target, heads=None, tokens=None):
    """Set the feature of a token to the target: of one head, or of all of its heads together."""

    def function(value):
        reads, writes = (each.reshape(-1, 1, value.shape[-1]) for each in (encoder, direction))
        reads = reads * chosen(value, heads)
        change = (target - feature(value, reads, bias, threshold)) * writes
        return torch.where(chosen(value, heads, tokens), value + change, value)

    return function`;

const FEATURE = `def feature(value, encoder, bias, threshold):
    """Return one number for each token of (1, tokens, columns) or (1, heads, tokens, columns)."""
    inner = (value * encoder).sum((-1,) if value.dim() == 3 else (-3, -1), keepdim=True) + bias
    return torch.where(inner > threshold, inner, 0)`;

const ALONG = `def along(value, direction):
    return (value * direction).sum(-1, keepdim=True)`;

const MIRRORED = `def mirrored(value, first, second, amount):
    normal = torch.nn.functional.normalize(first - second, dim=-1)
    return value - 2 * amount * along(value, normal) * normal`;

/** In the order in which a script has them. */
const HELPERS: Readonly<Record<HelperName, Helper>> = {
  at: { source: AT },
  tensor_of: { source: TENSOR_OF },
  of_text: { source: OF_TEXT },
  on_input: { source: ON_INPUT, calls: ['at', 'of_text'] },
  on_output: { source: ON_OUTPUT, calls: ['at', 'tensor_of', 'of_text'] },
  on_heads: { source: ON_HEADS, calls: ['at'] },
  on_middle: { source: ON_MIDDLE, calls: ['at', 'tensor_of'] },
  attention: { source: ATTENTION, calls: ['at'] },
  on_products: { source: ON_PRODUCTS, calls: ['at'] },
  on_router: { source: ON_ROUTER, calls: ['at', 'of_text'] },
  chosen: { source: CHOSEN },
  spread: { source: SPREAD },
  unit: { source: UNIT },
  along: { source: ALONG },
  mirrored: { source: MIRRORED, calls: ['along'] },
  feature: { source: FEATURE },
  scale: { source: SCALE, calls: ['chosen'] },
  add: { source: ADD, calls: ['chosen', 'spread'] },
  replace: { source: REPLACE, calls: ['chosen', 'spread'] },
  knock_out: { source: KNOCK_OUT, calls: ['chosen'] },
  project_out: { source: PROJECT_OUT, calls: ['chosen', 'unit'] },
  cap: { source: CAP, calls: ['chosen', 'unit'] },
  swap: { source: SWAP, calls: ['chosen', 'unit'] },
  clamp: { source: CLAMP, calls: ['chosen', 'feature'] },
};

/** Return these helpers and those that they call, as source. */
export function helperSource(names: Iterable<HelperName>): string[] {
  const needed = new Set<HelperName>();
  const need = (name: HelperName): void => {
    needed.add(name);
    for (const called of HELPERS[name].calls ?? []) need(called);
  };
  for (const name of names) need(name);
  return (Object.keys(HELPERS) as HelperName[])
    .filter((name) => needed.has(name))
    .map((name) => HELPERS[name].source);
}
