"""Types of the contract's JSON documents. Generated from contracts/ by
`npm run contract`: change the schemas, not this file. They are TypedDicts, not dataclasses: a
document that is read and written again keeps the entries of a newer minor version."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from oriel.contract.json_value import JsonValue


class ManifestDocument(TypedDict):
    """manifest.json: the contents of a bundle, their origin, and the way to open them."""

    format: Literal["oriel-bundle"]
    manifest_version: str
    contract_version: str
    version: NotRequired[str]
    """The name that it was published under; absent in a bundle on disk."""
    model: ModelRecord
    """The model of all variants, and the checkpoint that it came from."""
    files: list[FileDescriptor]
    """Every file of the bundle but the manifest itself."""
    tokenizer: NotRequired[TokenizerFiles]
    """Absent where the checkpoint has none: the page then takes token ids."""
    first_pass: NotRequired[FirstPassRecord]
    """The activations of one variant for an example, computed in advance: readers show them while
    the weights download. A safetensors file: see ACTIVATIONS_CONTRACT.md."""
    lens_packs: NotRequired[list[LensPackRecord]]
    """Lens packs: lenses with a map for each layer, in addition to the logit lens of each variant's
    taps; see ACTIVATIONS_CONTRACT.md."""
    dictionaries: NotRequired[list[DictionaryRecord]]
    """Sparse autoencoders and transcoders of the model's activations, and the taps that compute
    their features; see ACTIVATIONS_CONTRACT.md. Since contract 2.1."""
    dashboards: NotRequired[DashboardSet]
    variants: list[Variant]
    exporter: ExporterRecord
    """The program that wrote the bundle."""


class ModelRecord(TypedDict):
    """The model of all variants, and the checkpoint that it came from."""

    name: str
    architecture: str
    """model_type of the checkpoint's config."""
    source: ModelSource
    """Origin of the checkpoint."""
    config_digest: NotRequired[str]
    """SHA-256 of the checkpoint's config.json."""
    weights_digest: str
    """SHA-256 over the checkpoint's tensors: see ACTIVATIONS_CONTRACT.md."""
    parameters: int
    shape: ModelShapeRecord
    bos_token_id: NotRequired[int | None]
    eos_token_id: NotRequired[int | None]
    end_token_ids: NotRequired[list[int]]
    """Every token that ends a text, as config.json and generation_config.json name them, each below
    the vocabulary's size; absent in manifests before 1.2, where eos_token_id is all that is
    known."""
    tied_embeddings: NotRequired[bool]
    classifier: NotRequired[ClassifierRecord]
    """What a model's logits say whose sizes have labels: their names, in the order of logits, and
    what a logit is. Since manifest 2.1."""


class ModelSource(TypedDict):
    """Origin of the checkpoint."""

    kind: Literal["hub", "folder", "bundled"]
    id: str
    """The Hub's id, or the folder's name without its path."""
    revision: NotRequired[str | None]
    """The Hub's commit."""
    note: NotRequired[str]
    adapter: NotRequired[str]
    """Name of the folder of the LoRA adapter that was merged into it."""


class ModelShapeRecord(TypedDict):
    """The sizes that the contract's symbolic dimensions stand for."""

    layers: int
    """As many as a manifest can list taps for."""
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    context_length: int
    parallel_residual: bool
    """Attention and MLP read the same stream, so that there is no resid_mid."""
    value_dim: NotRequired[int]
    """Width of one head's values, where it isn't head_dim."""
    gated_mlp: NotRequired[bool]
    """The MLP's nonlinearity is multiplied by a linear branch, so that there are mlp_gate and
    mlp_linear."""
    raw_outputs: NotRequired[bool]
    """Outputs of attention and MLP pass a norm or a multiplier before they are added to the
    residual stream, so that there are attn_output_raw and mlp_output_raw."""
    attention_sinks: NotRequired[bool]
    """Softmax has a term that belongs to no token, so that rows of attn_probs sum to less than
    1."""
    bidirectional: NotRequired[bool]
    """Tokens see those after them too; such a model has no cache."""
    post_norm: NotRequired[bool]
    """The residual stream passes a norm after each sum, so that resid_mid is the norm of resid_pre
    + attn_output and resid_post the norm of resid_mid + mlp_output. Since contract 2.1."""
    token_types: NotRequired[int]
    """Segments that token_type_ids tells apart; 0, as where it is absent, means that there is no
    such input. Since contract 2.1."""
    labels: NotRequired[int]
    """Labels that logits are over, in the place of the vocabulary; 0, as where it is absent, means
    a language model. Since contract 2.1."""
    pooled: NotRequired[bool]
    """Logits are over labels of whole texts, (batch_size, labels), and come from one vector for
    each text, which is pooled. Since contract 2.1."""
    window: NotRequired[int]
    """Last tokens, with itself, that a token sees, and in a bidirectional model as many of the next
    ones; 0, as where it is absent, means all."""
    experts: NotRequired[int]
    """MLPs that a router chooses among; 0, as where it is absent, means none."""
    active_experts: NotRequired[int]
    """Number of experts chosen for each token."""
    layer_sizes: NotRequired[list[LayerSizesRecord]]
    """For each layer the sizes that differ from the model's."""


class LayerSizesRecord(TypedDict):
    """Sizes of one layer, in place of the model's."""

    heads: NotRequired[int]
    kv_heads: NotRequired[int]
    head_dim: NotRequired[int]
    value_dim: NotRequired[int]
    intermediate: NotRequired[int]
    window: NotRequired[int]
    experts: NotRequired[int]
    active_experts: NotRequired[int]


class ClassifierRecord(TypedDict):
    """What a model's logits say whose sizes have labels: their names, in the order of logits, and
    what a logit is. Since manifest 2.1."""

    problem: Literal["single_label", "multi_label", "regression"]
    """single_label: softmax makes probabilities of the logits, of one label each; multi_label: the
    sigmoid of each is that label's own probability; regression: a logit is a number as it is."""
    labels: list[str]
    """As many as the sizes say; texts of the checkpoint's config."""


class FileDescriptor(TypedDict):
    """One file of the bundle, by its size and digest."""

    path: str
    media_type: str
    bytes: int
    digest: str
    chunks: NotRequired[list[Chunk]]
    """Parts of a published file, in order: their bytes one after another are the file, and nothing
    lies at its own path."""


class Chunk(TypedDict):
    """A part of a file, or all of it; many files may name the same one."""

    path: str
    bytes: int
    digest: str


class TokenizerFiles(TypedDict):
    """Absent where the checkpoint has none: the page then takes token ids."""

    tokenizer: str
    config: str
    first_tokens: NotRequired[list[int]]
    """The tokens that the checkpoint's own tokenizer puts before every text; empty where it puts
    none, absent in manifests before 1.2, where nobody looked."""
    last_tokens: NotRequired[list[int]]
    """The tokens that the checkpoint's own tokenizer puts after every text; a text that is to be
    continued gets none. Since contract 2.1."""
    mask_token: NotRequired[int]
    """The token that a masked language model replaces. Since contract 2.1."""
    cases: NotRequired[str]
    """Texts with their token ids as transformers gives them: see ACTIVATIONS_CONTRACT.md."""
    origin: NotRequired[TokenizerOrigin]
    agreement: NotRequired[TokenizerAgreement]


TokenizerOrigin = TypedDict(
    "TokenizerOrigin",
    {
        "files": "list[str]",
        "class": "str",
        "library": "str",
    },
)
"""Origin of the tokenizer: the checkpoint's files, opened by a class of a library."""


class TokenizerAgreement(TypedDict):
    """The tokenizer of the bundle compared with the checkpoint's own, as the library opens it: ids
    of the same texts, which are more than `cases` holds."""

    texts: int
    """Number of texts compared."""
    tokens: int
    """Tokens of these texts, by the library."""
    differing: int
    """Texts that gave other ids."""
    note: NotRequired[str]
    """The first of them, with both ids."""


class FirstPassRecord(TypedDict):
    """The activations of one variant for an example, computed in advance: readers show them while
    the weights download. A safetensors file: see ACTIVATIONS_CONTRACT.md."""

    path: str
    variant: str
    """The variant that computed it."""
    prompt: str
    """The example; where there is no tokenizer, its token ids with spaces between."""
    runtime: str
    """The program that ran it, with its version."""


class LensPackRecord(TypedDict):
    """A lens pack in the bundle, and the taps that apply it."""

    name: str
    """Unique among the packs, and not the name of the logit lens."""
    path: str
    """The pack's safetensors file, named by its digest."""
    description: LensDescription
    taps: dict[str, list[TapRecord]]
    """For each variant, by its name, one tap for each layer that the pack maps, in order."""


class LensDescription(TypedDict):
    """Description of a lens pack, identical to the description in its file."""

    kind: Literal["tuned", "jacobian"]
    """tuned: stream + stream @ weight + bias; jacobian: stream @ weight."""
    weights: str
    """weights_digest of the model that it belongs to."""
    fitted: LensFit


class LensFit(TypedDict):
    """Method of fitting the maps of a lens pack, and their measured divergence."""

    text: MeasuredText
    """The text that the maps were fitted to."""
    held_out: MeasuredText
    """The text that `kl` was measured on, which the maps were not fitted to."""
    method: str
    """The optimizer and its settings, or the method of estimation."""
    seed: int
    kl: list[LensDivergence]
    """One row for each layer that the pack maps, in order."""


class MeasuredText(TypedDict):
    """A text that a variant was measured on or fitted to."""

    name: str
    digest: str
    """Digest of the token ids: little-endian int64, passages one after another."""
    passages: int
    tokens: int


class LensDivergence(TypedDict):
    """Mean KL divergence over positions, in nats, of a layer's predictions through a lens from the
    model's own next-token distribution."""

    layer: int
    logit: float
    """Divergence of the logit lens."""
    lens: float
    """Divergence of this lens."""


class TapRecord(TypedDict):
    """Bytes that, appended to the decoder graph or the open graph of this variant, turn inner
    tensors into outputs."""

    outputs: list[TensorSpecRecord]
    bytes: str
    """base64 of a serialized ModelProto that holds only graph.output and, where needed,
    graph.node."""


class TensorSpecRecord(TypedDict):
    """An input or output of a graph."""

    name: str
    dtype: Literal["float32", "int64"]
    shape: list[Dimension]


Dimension = (
    int
    | Literal[
        "batch_size",
        "sequence_length",
        "past_sequence_length",
        "total_sequence_length",
        "num_logits",
        "batch",
        "seq",
        "past",
        "total",
        "delta_batch",
        "delta_seq",
    ]
)
"""A fixed size, or the name of a dynamic dimension; batch, seq, past, total and deltas in contract
1.x."""


class DictionaryRecord(TypedDict):
    """A dictionary in the bundle, and the taps that compute its features."""

    name: str
    """Unique among the dictionaries; its features are the output features_{name}."""
    path: str
    """The dictionary's safetensors file, named by its digest."""
    description: DictionaryDescription
    taps: dict[str, TapRecord]
    """For each variant, by its name, the tap that computes the features."""


class DictionaryDescription(TypedDict):
    """Description of a dictionary, identical to the description in its file."""

    kind: Literal["sae", "transcoder"]
    """sae, a sparse autoencoder: its features are computed from the activation in `reads` and
    rebuild the same, which is in `writes` too; transcoder: they rebuild another activation, that in
    `writes`."""
    weights: str
    """weights_digest of the model that it belongs to."""
    reads: DictionaryActivation
    writes: DictionaryActivation
    features: int
    """Number of features."""
    activation: Literal["relu", "jumprelu", "topk"]
    """The features of pre = x @ encoder_weight + encoder_bias; relu: max(pre, 0); jumprelu: pre
    where it is greater than the feature's threshold, else 0; topk: the k greatest of max(pre, 0),
    others 0."""
    k: NotRequired[int]
    """Number of features that topk keeps at each token; only with topk, and at most `features`."""
    source: str
    """Origin of the weights: the release and its library, or the method of training."""
    seed: NotRequired[int]
    """Seed of the training."""
    trained_on: NotRequired[MeasuredText]
    """The text that it was trained on."""
    measured: NotRequired[DictionaryMeasures]


class DictionaryActivation(TypedDict):
    """An activation with a row for each token; the heads of attn_z are put one after another."""

    kind: Literal[
        "resid_pre", "resid_mid", "resid_post", "attn_output", "mlp_output", "mlp_act", "attn_z"
    ]
    layer: int


class DictionaryMeasures(TypedDict):
    """Measurements of a dictionary on a text that it was not trained on."""

    text: MeasuredText
    explained_variance: float
    """1 minus the squared error of the rebuilt activation, summed over tokens, divided by the sum
    of squared differences of the activation from its mean."""
    l0: float
    """Mean number of features above 0 at a token."""
    dead_features: int
    """Number of features that are 0 at every token of the text."""
    loss: DictionaryLoss
    loss_recovered: float
    """(zeroed - replaced) / (zeroed - model), of the losses in `loss`."""


class DictionaryLoss(TypedDict):
    """Mean cross-entropy of the next token, in nats."""

    model: float
    """Of the unchanged model."""
    replaced: float
    """With the rebuilt activation in the place of the one in writes."""
    zeroed: float
    """With zeros in its place."""


class DashboardSet(TypedDict):
    """What each unit does over a corpus: how it was counted, and where the index of each layer is.
    Since contract 2.1."""

    weights: str
    """weights_digest of the model that it belongs to."""
    variant: str
    """The variant that computed it."""
    corpus: DashboardCorpus
    context_length: int
    """Tokens that the model read at a time."""
    firing_quantile: float
    """A unit fires above this quantile of its values in the first contexts; a dictionary's feature
    fires above 0."""
    firings: int
    """Firings in the sample of each unit, at most."""
    overlap_error: float
    """Bound of the standard error of estimated overlaps."""
    groups: list[DashboardGroup]
    """The units of one kind in one layer each; neighbours name a group by its place here."""


class DashboardCorpus(TypedDict):
    """The text that units were counted on."""

    name: str
    digest: str
    """SHA-256 over the shards' digests, each the SHA-256 of its token ids: little-endian int64,
    contexts one after another."""
    shards: int
    contexts: int
    tokens: int
    counted: int
    """Tokens whose values are counted: all but the first of each context."""
    sampled: int
    """Counted tokens that histograms and moments are made of."""


class DashboardGroup(TypedDict):
    """The units of one kind in one layer."""

    kind: str
    layer: int
    units: int
    path: str
    """The index, which keeps dashboards.schema.json."""
    dictionary: NotRequired[str]
    """Digest of the dictionary's file, where the units are its features."""


class Variant(TypedDict):
    """The model in one precision: its graphs and the files of their weights; manifests 1.x have an
    interactive graph in the place of decoder and open."""

    name: str
    precision: str
    opset: int
    weights: list[str]
    """Files that hold the weights. Without an expansion, each path is also the location written in
    the graphs, relative to the graph; with one, they are what travels, one file."""
    plain: GraphRecord
    decoder: NotRequired[GraphRecord]
    open: NotRequired[GraphRecord]
    static: NotRequired[GraphRecord]
    """The open graph with a cache of fixed length; optional, since contract 2.1."""
    interactive: NotRequired[GraphRecord]
    taps: list[TapRecord]
    attribution: NotRequired[AttributionRecord]
    kernels: NotRequired[Literal["fp32", "fp16", "int8", "int8_static", "int4"]]
    """Precision of the kernels; absent in manifests 1.0, where it is the precision."""
    encoding: NotRequired[Literal["f32", "f16", "q8", "q4"]]
    """Form in which the weights are sent and stored; absent in manifests 1.0, where they are what
    the graphs read."""
    expansion: NotRequired[Expansion]
    largest_weight: NotRequired[int]
    """Bytes of the largest single weight as the kernels read it: a GPU must bind it whole."""
    nodes: NotRequired[dict[str, int]]
    """Number of nodes of each kind that compute on encoded weights, in each graph."""
    recipe: NotRequired[RecipeRecord]
    calibration: NotRequired[CalibrationRecord]
    fidelity: NotRequired[FidelityRecord]
    reference_pass: NotRequired[ReferencePassRecord]
    lossy: NotRequired[bool]
    """True where the variant misses its bounds and was written all the same, by --allow-lossy."""


class GraphRecord(TypedDict):
    """One ONNX graph, with the document that stands in its metadata."""

    path: str
    activations: ActivationsDocument


class ActivationsDocument(TypedDict):
    """Inputs and outputs of one ONNX graph, in the contract's names. The document stands in the
    graph's own metadata under the key oriel.activations, and in the manifest beside the graph's
    digest."""

    contract_version: str
    graph: Literal["plain", "decoder", "open", "static", "interactive"]
    """Static exists since contract 2.1; interactive in contract 1.x only."""
    model: ModelShapeRecord
    inputs: list[TensorSpecRecord]
    outputs: list[TensorSpecRecord]
    cache_length: NotRequired[int]
    """Slots of a static graph's cache, in tokens; past_sequence_length and total_sequence_length
    equal this number, and num_logits is 1."""
    joints: NotRequired[list[TensorSpecRecord]]
    """Tensors that nodes of an open or static graph read but no node computes; a reader appends a
    closing for each."""


class AttributionRecord(TypedDict):
    """Taps that, appended to the open graph, compute each part's share of a logit; their inputs and
    outputs are those of the contract's table. Since contract 2.1."""

    model: str
    """Tap that declares the inputs and computes the shares that belong to no layer."""
    layers: list[str]
    """One tap for each layer, appended after the model's tap."""
    neurons: list[str]
    """One tap for each layer's neurons, appended after the model's tap."""


class Expansion(TypedDict):
    """The float file that the graphs read, and how the weights file is expanded into it while it
    arrives; bytes that no weight covers are 0."""

    path: str
    """The location written in the graphs."""
    bytes: int
    digest: str
    """Digest of the expanded file."""
    dtype: Literal["float32", "float16"]
    weights: list[EncodedWeightRecord]
    """In the order of `values`."""


class EncodedWeightRecord(TypedDict):
    """One weight in the weights file and in the expanded file; scales are float16,
    little-endian."""

    name: str
    shape: list[int]
    """As the graph reads it, row-major."""
    at: int
    """Byte offset in the expanded file."""
    layout: Literal["float32", "float16", "channels", "blocks"]
    """float32, float16: as it is; channels: 8 bits in the graph's own order, a scale for each
    channel; blocks: (channels, blocks, bytes of a block), as MatMulNBits reads them."""
    values: int
    """Byte offset in the weights file."""
    scales: NotRequired[int]
    """Byte offset in the weights file; before `values`."""
    zero_points: NotRequired[int]
    """Byte offset in the weights file, before `values`; absent where the zero point is the middle
    (0 for signed values, 8 or 128 for others)."""
    axis: NotRequired[Literal[0, 1]]
    """Dimension of the shape that is summed over, and along which blocks run."""
    bits: NotRequired[Literal[4, 8]]
    signed: NotRequired[bool]
    """Channels only: int8, else uint8."""
    block: NotRequired[Literal[16, 32, 64, 128, 256]]
    """Blocks only: values that share a scale."""


class RecipeRecord(TypedDict):
    """Rules for encoding the weights: the first that matches a name applies."""

    name: str
    rules: list[dict[str, JsonValue]]


class CalibrationRecord(TypedDict):
    """The text that ranges or rounding were fitted to."""

    text: MeasuredText
    method: NotRequired[Literal["minmax", "entropy", "percentile"]]


class FidelityRecord(TypedDict):
    """Distance of the variant from the float32 model, measured on text that it was not calibrated
    on."""

    reference: Literal["pytorch", "trunk"]
    """pytorch: the checkpoint in PyTorch; trunk: the fp32 graph of this bundle in ONNX Runtime."""
    text: MeasuredText
    kl_mean: float
    """KL divergence of the variant's next-token distribution from the reference's, in nats: mean
    over positions."""
    kl_p99: float
    """Its 99th percentile."""
    top1: float
    """Share of positions whose likeliest token is the reference's."""
    top5: float
    """Mean share of the reference's five likeliest tokens among the variant's five."""
    perplexity: NotRequired[float]
    reference_perplexity: NotRequired[float]
    activations: list[ActivationFidelityRecord]
    bounds: FidelityBoundsRecord
    """The largest kl_mean and the smallest top1 that are accepted."""
    within_bounds: bool


class ActivationFidelityRecord(TypedDict):
    """The error of one kind of activation in one layer."""

    kind: str
    layer: int | None
    relative_error: float
    """Norm of the difference over norm of the reference."""
    cosine: float


class FidelityBoundsRecord(TypedDict):
    """The largest kl_mean and the smallest top1 that are accepted."""

    kl_mean: float
    top1: float


class ReferencePassRecord(TypedDict):
    """The expected activations of a short text, in a safetensors file, and the bound of their
    error; readers run the text on their own device and compare. See ACTIVATIONS_CONTRACT.md."""

    path: str
    reference: Literal["pytorch", "runtime"]
    """pytorch: transformers' own model with the weights that this variant's encoding stands for;
    runtime: this variant in ONNX Runtime on the exporter's machine."""
    runtime: str
    """The program that computed it, with its version."""
    measure: Literal["largest", "norm"]
    """largest: the largest difference over the largest value of the reference; norm: the norm of
    the difference over the reference's."""
    bounds: dict[str, float]
    """The largest allowed error of each kind of activation, on any device."""


class ExporterRecord(TypedDict):
    """The program that wrote the bundle."""

    name: str
    version: str
    libraries: NotRequired[dict[str, str]]


class ModuleMetadata(TypedDict):
    """metadata.json of an exported module: what its files take and give, how they were written, and
    how far they are from the module."""

    format: Literal["oriel-module"]
    """The kind of document: oriel-module."""
    metadata_version: str
    """Version of this form, major.minor."""
    model_type: str
    """module:qualified name of the module's class."""
    method: str
    """The method that was exported."""
    config: dict[str, JsonValue] | None
    """Whatever the spec says of the model."""
    checkpoint: ModuleCheckpoint | None
    tensor_count: int
    """Number of tensors among the inputs."""
    signature: ModuleSignature
    left_out: list[ModuleLeftOut]
    """Parts of the module that are not in the files."""
    notes: list[str]
    """Notes of the export beside: parts left out, sizes that were not verified."""
    export_success: dict[str, bool]
    """For each format that was asked for, whether a file was written, and verified where this
    machine can run it."""
    exports: list[ModuleExport]
    """The way each format was written and verified, or the reasons for its failure."""
    library_files: NotRequired[list[ModuleFile]]
    """Files that transformers.js and Optimum read beside the ONNX files; absent in version 1.0."""
    opset: int | None
    """Opset of the ONNX file, read back from it."""
    versions: dict[str, str]
    """Versions of Oriel, Python and the packages that wrote the files."""


class ModuleCheckpoint(TypedDict):
    """The file that the module's trained tensors are from."""

    file: str
    bytes: int
    sha256: str


class ModuleSignature(TypedDict):
    """The inputs and outputs, flat and nested; every file carries this inside."""

    parameters: list[ModuleParameter]
    """Parameters of the method, in order."""
    inputs: list[ModuleTensor]
    outputs: list[ModuleTensor]
    output_map: dict[str, str]
    """The flat name for each path of an output."""
    input_structure: StructureNode
    output_structure: StructureNode
    constants: list[ModuleConstant]
    """Whatever of the inputs is no tensor: the same in every call."""


class ModuleParameter(TypedDict):
    """One parameter of the method."""

    name: str
    kind: Literal[
        "positional_only", "positional_or_keyword", "var_positional", "keyword_only", "var_keyword"
    ]


class ModuleTensor(TypedDict):
    """One tensor of the flat signature."""

    path: str
    name: str
    shape: list[int]
    """Sizes in the example."""
    dtype: str
    dynamic_axes: dict[str, str]
    """Name of the dynamic size by axis."""
    range: NotRequired[list[float]]
    """Least and largest value of an input in the example; absent for truth values."""


class StructureNode(TypedDict):
    """One value of a nested structure."""

    kind: Literal[
        "tensor", "constant", "dict", "list", "tuple", "namedtuple", "dataclass", "model_output"
    ]
    name: NotRequired[str]
    """The flat name of a tensor."""
    type: NotRequired[str]
    """module:qualified name of the class of a constant or a container."""
    text: NotRequired[str]
    """The part of a constant that is compared in each call."""
    keys: NotRequired[list[str | int]]
    """Keys of a container, in the order in which they were first given."""
    children: NotRequired[list[StructureNode]]


class ModuleConstant(TypedDict):
    """A part of the inputs that is no tensor."""

    path: str
    type: str
    text: str
    """Empty for an object that is compared by its class alone."""


class ModuleLeftOut(TypedDict):
    """A part of the module that no file has."""

    name: str
    tensors: int
    bytes: int


class ModuleExport(TypedDict):
    """One format, written or failed."""

    format: str
    success: bool
    file: str | None
    """Relative to the folder of metadata.json."""
    bytes: int | None
    sha256: str | None
    """Digest of the file, or of the lines that `sha256sum` prints for the files of a folder, in the
    order of their paths."""
    way: str | None
    """The way in which the file was written."""
    left_ways: list[ModuleLeftWay]
    """Ways tried before, each with the reason for leaving it."""
    error: str | None
    fixed_branches: list[str]
    """Limits of the file: branches of the module's code that it takes as the example did, sizes
    beyond a bound."""
    fixed_sizes: NotRequired[bool]
    """True where the file takes the example's sizes alone; false where absent."""
    opset: int | None
    files: NotRequired[list[ModuleFile]]
    """Every file of this export: of a folder, those in it."""
    not_verified: NotRequired[str | None]
    """The reason for not having run the file: this machine can't; null where it was run, or holds
    tensors alone."""
    checks: NotRequired[list[str]]
    """The comparisons made without running the file."""
    verification: list[ModuleCase]
    simplification: NotRequired[ModuleSimplification]
    variants: NotRequired[list[ModuleVariant]]
    """int8 forms of the file; absent where none was asked for."""


class ModuleLeftWay(TypedDict):
    """A way of writing a file that was given up."""

    way: str
    reason: str


class ModuleFile(TypedDict):
    """One file of an export."""

    file: str
    """Path below the folder of metadata.json."""
    bytes: int
    sha256: str


class ModuleCase(TypedDict):
    """One input on which a file was compared with the module, in a fresh process."""

    case: str
    input_shapes: list[list[int]]
    passed: bool
    outputs: list[ModuleOutputError]
    top1: NotRequired[float]
    """Share of the positions whose likeliest token or class is the module's; absent where none is
    counted."""


class ModuleOutputError(TypedDict):
    """The distance of one output of a file from the module's."""

    name: str
    absolute: float | None
    """Max |a - b|."""
    relative: float | None
    """Max |a - b| over max |b| of this output."""
    bound: float
    """Largest relative error allowed."""
    passed: bool
    problem: str | None
    norm_ratio: NotRequired[float | None]
    """Norm of the file's output over the module's: 1 for the same output."""


class ModuleSimplification(TypedDict):
    """The outcome of simplifying a file; absent where that was not asked for."""

    success: bool
    """True where it took the file's place."""
    reason: str | None
    """Why the file was kept as it was."""
    nodes_before: int | None
    nodes_after: int | None
    bytes_before: int | None
    bytes_after: int | None


class ModuleVariant(TypedDict):
    """An int8 form of a file, with how far it is from the module."""

    precision: Literal["int8", "int8_static"]
    success: bool
    file: str | None
    files: NotRequired[list[ModuleFile]]
    """The file and those beside it; absent where it is one alone."""
    bytes: int | None
    sha256: str | None
    error: str | None
    recipe: str | None
    """Name of the bundled recipe, or the tool and what it did."""
    calibration: NotRequired[ModuleCalibration]
    nodes: dict[str, int]
    """Nodes of each operator that compute on encoded weights."""
    verification: list[ModuleCase]


class ModuleCalibration(TypedDict):
    """The text that ranges or rounding were fitted to."""

    text: ModuleText
    method: NotRequired[Literal["minmax"]]
    """The way in which ranges were chosen."""


class ModuleText(TypedDict):
    """A text as token ids."""

    name: str
    digest: str
    passages: int
    tokens: int


class ProofRecord(TypedDict):
    """A comparison of two artifacts of one model, such as a checkpoint and a file: on which inputs,
    how far apart each output is, and with what they were run. It can be repeated from this
    record."""

    format: Literal["oriel-proof"]
    """The kind of document: oriel-proof."""
    proof_version: str
    """Version of this form, major.minor."""
    reference: ProofArtifact
    candidate: ProofArtifact
    max_relative: float | None
    """Largest relative error allowed, where one was given; null for that of each output's
    precision."""
    cases: list[ProofCase]
    first_apart: ProofApart | None
    """The first output, in the order of computation, that is farther apart than its bound."""
    not_compared: list[ProofNotCompared]
    """Outputs that one of the two lacks, or that have no one right value."""
    verdict: Literal["same", "apart", "measured"]
    """same: every output within its bound; apart: one is not; measured: an output has no bound, and
    none of the others is apart."""
    versions: dict[str, str]
    """Versions of Oriel and Python."""


class ProofArtifact(TypedDict):
    """One of the two, and what ran it."""

    place: str
    """As it was named."""
    kind: Literal["bundle", "checkpoint", "file", "module", "tensors"]
    format: str | None
    """The format of a file, such as pt2."""
    variant: str | None
    """The variant of a bundle, such as f16."""
    precision: str | None
    """Null where nothing says."""
    graph: NotRequired[Literal["plain", "decoder", "open", "interactive"]]
    """The one of a bundle's graphs that was run; absent: the one with a cache."""
    files: list[ProofFile]
    runtime: str
    provider: str | None
    """Such as CPUExecutionProvider."""
    device: str
    versions: dict[str, str]
    """Versions of the packages that ran it."""


class ProofFile(TypedDict):
    """A file that was read."""

    path: str
    bytes: int
    sha256: str


class ProofCase(TypedDict):
    """One input, and the outputs that it gave."""

    name: str
    inputs: list[ProofInput]
    outputs: list[ProofOutput]


class ProofInput(TypedDict):
    """One tensor that both were given."""

    name: str
    dtype: str
    shape: list[int]
    sha256: str
    """Digest of the values' bytes, little-endian, row by row."""
    source: ProofSource


class ProofSource(TypedDict):
    """The source of the values, so that they can be made again."""

    kind: Literal["values", "random", "output", "file", "reference"]
    """values: they stand here; random: drawn from a seed; output: what the reference gave for a
    case before; file: a file of tensors; reference: the example of the reference's own code."""
    values: NotRequired[list[float]]
    seed: NotRequired[int]
    range: NotRequired[list[float]]
    case: NotRequired[str]
    output: NotRequired[str]
    file: NotRequired[str]


class ProofOutput(TypedDict):
    """The distance of the candidate's output from the reference's."""

    name: str
    shape: list[int]
    dtypes: list[str]
    """The reference's and the candidate's."""
    absolute: float | None
    """Max |a - b|."""
    relative: float | None
    """Max |a - b| over max |b|, b the reference; of a lens' ids, how much less likely than the
    token that belongs there the named one is, by the reference, over the former's probability."""
    norm_ratio: float | None
    """Norm of the candidate's over the reference's."""
    bound: float | None
    """Largest error allowed, of the measure; the ratio of norms may be off by ten times a relative
    one; null where the precision has none."""
    measure: NotRequired[Literal["relative", "absolute", "norm"]]
    """The error that the bound is of; relative where absent."""
    norm: NotRequired[float | None]
    """Norm of a - b over the norm of b; absent where it was not measured."""
    passed: bool | None
    """Null where there is no bound."""
    problem: str | None


class ProofApart(TypedDict):
    """The place where the two part."""

    case: str
    output: str


class ProofNotCompared(TypedDict):
    """An output that was left out."""

    name: str
    reason: str


class VerificationRecord(TypedDict):
    """verification.json beside a bundle's manifest: its files held to the checkpoint, and each
    graph's activations as records of a comparison."""

    format: Literal["oriel-verification"]
    """The kind of document: oriel-verification."""
    verification_version: str
    """Version of this form, major.minor."""
    verdict: Literal["passed", "failed"]
    failures: list[str]
    """Names of what failed, behind the variant's where it belongs to one."""
    model: str
    weights_digest: str | None
    """Digest of the checkpoint that PyTorch ran; null where none was opened."""
    checks: list[VerificationCheck]
    """Checks of the whole bundle."""
    variants: list[VerifiedVariant]
    versions: dict[str, str]
    """Versions of Oriel, Python and the packages that computed."""
    seed: int
    seconds: float


class VerificationCheck(TypedDict):
    """One statement about the files, and whether it holds."""

    name: str
    verdict: Literal["passed", "failed", "not run", "not applicable"]
    """Not run: something kept it from running, which is a failure."""
    error: NotRequired[float | None]
    """Null where it is infinite; absent where nothing is measured."""
    bound: NotRequired[float]
    detail: NotRequired[str]


class VerifiedVariant(TypedDict):
    """One variant: checks of its files, and its graphs' activations against PyTorch's."""

    name: str
    precision: str
    reference_weights: Literal["checkpoint", "variant"]
    """variant: PyTorch computed with what its encoded weights stand for."""
    checks: list[VerificationCheck]
    proofs: list[ProofRecord]
    """One for each graph that ran: checkpoint and variant, on the same texts."""


class PipelineResults(TypedDict):
    """pipeline.json: one model in many formats, each file with its proof and its times."""

    format: Literal["oriel-pipeline"]
    """The kind of document: oriel-pipeline."""
    pipeline_version: str
    """Version of this form, major.minor."""
    rows: list[PipelineRowRecord]


class PipelineRowRecord(TypedDict):
    """One file of the model, or the module itself, whose format is pytorch."""

    format: str
    precision: str
    way: str | None
    """The way in which the file was written."""
    file: str | None
    """Below the pipeline's folder; null where there is none."""
    bytes: int | None
    verdict: Literal["reference", "verified", "measured", "not verified", "failed"]
    reason: str | None
    """The reason of a failure, or of not having been verified."""
    fixed_sizes: bool
    """True where the file takes the example's sizes alone."""
    proof: PipelineProof | None
    """Null where the file wasn't run."""
    nodes: int | None
    """Nodes of an ONNX graph, as written."""
    optimized_nodes: int | None
    """The same after ONNX Runtime's optimisation."""
    fused: dict[str, int]
    """Nodes of each operator that the optimisation made."""
    measured: MeasuredRecord | None
    """Null where it wasn't timed."""
    untimed: str | None
    """The reason for having no times."""


class PipelineProof(TypedDict):
    """The output of the file that is farthest from the module's."""

    record: str
    """Path of the whole comparison below the pipeline's folder."""
    case: str
    output: ProofOutput


class MeasuredRecord(TypedDict):
    """Times and memory of the file, each in a process of its own."""

    load_s: SpreadRecord
    memory_mb: SpreadRecord
    """Highest memory of the process, above what it was before the file was opened."""
    seconds: dict[str, SpreadRecord]
    """Times of a call, by case."""


class SpreadRecord(TypedDict):
    """The median of several rounds, with the least and the largest."""

    median: float
    least: float
    largest: float


class EditsDocument(TypedDict):
    """Changes to a forward pass, those of one joint in this order: one form for Python and the
    page."""

    edits_version: str
    """Version of this form, major.minor."""
    edits: list[EditRecord]


class ScaleEdit(TypedDict):
    """Multiplies by a factor; 0, the default, switches off."""

    edit: Literal["scale"]
    joint: str
    """A kind of activation that is a joint, such as attn_z."""
    layer: int
    head: NotRequired[Places]
    """heads; key heads of k and v."""
    neuron: NotRequired[Places]
    """Numbers of the last dimension."""
    position: NotRequired[Positions]
    """tokens; of attn_scores and attn_probs those that look."""
    key: NotRequired[Positions]
    """Tokens that are looked at: of attn_scores and attn_probs alone."""
    row: NotRequired[Places]
    """Texts of the batch."""
    factor: NotRequired[float]
    """0 where it is not given."""


Places = int | list[int]
"""One index, or several."""


class Stretch(TypedDict):
    """From start up to stop, which is left out; from the first or to the last where they are not
    given, generated tokens too."""

    start: NotRequired[int]
    stop: NotRequired[int]


Positions = int | list[int] | Stretch
"""One token, several, or a stretch of them; counted from the text's first, those in a cache too;
negative ones from its end."""


class AddEdit(TypedDict):
    """Adds numbers, times a strength."""

    edit: Literal["add"]
    joint: str
    """A kind of activation that is a joint, such as attn_z."""
    layer: int
    head: NotRequired[Places]
    """heads; key heads of k and v."""
    neuron: NotRequired[Places]
    """Numbers of the last dimension."""
    position: NotRequired[Positions]
    """tokens; of attn_scores and attn_probs those that look."""
    key: NotRequired[Positions]
    """Tokens that are looked at: of attn_scores and attn_probs alone."""
    row: NotRequired[Places]
    """Texts of the batch."""
    vector: Numbers
    strength: NotRequired[float]
    """1 where it is not given."""


class EditTensor(TypedDict):
    """Numbers of several dimensions, the last one's next to each other."""

    shape: list[int]
    values: list[float]


Numbers = float | list[float] | EditTensor
"""A number, one for each of the joint's last dimension, or what broadcasts to the whole joint."""


class ReplaceEdit(TypedDict):
    """Puts in other values."""

    edit: Literal["replace"]
    joint: str
    """A kind of activation that is a joint, such as attn_z."""
    layer: int
    head: NotRequired[Places]
    """heads; key heads of k and v."""
    neuron: NotRequired[Places]
    """Numbers of the last dimension."""
    position: NotRequired[Positions]
    """tokens; of attn_scores and attn_probs those that look."""
    key: NotRequired[Positions]
    """Tokens that are looked at: of attn_scores and attn_probs alone."""
    row: NotRequired[Places]
    """Texts of the batch."""
    value: Numbers
    """For each token: counted from the text's first."""


class KnockOutEdit(TypedDict):
    """Lets queries see nothing of keys."""

    edit: Literal["knock-out"]
    layer: int
    head: NotRequired[Places]
    """heads; key heads of k and v."""
    query: NotRequired[Positions]
    """Tokens that look."""
    key: NotRequired[Positions]
    """Tokens that are looked at: of attn_scores and attn_probs alone."""
    row: NotRequired[Places]
    """Texts of the batch."""


class ProjectOutEdit(TypedDict):
    """Takes away the component along a direction."""

    edit: Literal["project-out"]
    joint: str
    """A kind of activation that is a joint, such as attn_z."""
    layer: int
    head: NotRequired[Places]
    """heads; key heads of k and v."""
    position: NotRequired[Positions]
    """tokens; of attn_scores and attn_probs those that look."""
    row: NotRequired[Places]
    """Texts of the batch."""
    direction: list[float]
    amount: NotRequired[float]
    """1 where it is not given; 2 mirrors."""


class CapEdit(TypedDict):
    """Lowers the component along a direction to a limit where it is above."""

    edit: Literal["cap"]
    joint: str
    """A kind of activation that is a joint, such as attn_z."""
    layer: int
    head: NotRequired[Places]
    """heads; key heads of k and v."""
    position: NotRequired[Positions]
    """tokens; of attn_scores and attn_probs those that look."""
    row: NotRequired[Places]
    """Texts of the batch."""
    direction: list[float]
    limit: float


class SwapEdit(TypedDict):
    """Exchanges two directions by mirroring along the difference of their unit vectors."""

    edit: Literal["swap"]
    joint: str
    """A kind of activation that is a joint, such as attn_z."""
    layer: int
    head: NotRequired[Places]
    """heads; key heads of k and v."""
    position: NotRequired[Positions]
    """tokens; of attn_scores and attn_probs those that look."""
    row: NotRequired[Places]
    """Texts of the batch."""
    first: list[float]
    second: list[float]
    amount: NotRequired[float]
    """1 where it is not given."""


class ClampEdit(TypedDict):
    """Sets a feature of a dictionary to a value: adds (value - f) * direction, where f is x .
    encoder + bias if that is above threshold, else 0. From 1.1 on."""

    edit: Literal["clamp"]
    joint: str
    """A kind of activation that is a joint, such as attn_z."""
    layer: int
    head: NotRequired[int]
    """The head that the feature reads and writes; all of a token's heads where it is not given."""
    position: NotRequired[Positions]
    """Tokens."""
    row: NotRequired[Places]
    """Texts of the batch."""
    encoder: list[float]
    bias: NotRequired[float]
    """0 where it is not given."""
    threshold: NotRequired[float]
    """0 where it is not given."""
    direction: list[float]
    value: float


EditRecord = (
    ScaleEdit
    | AddEdit
    | ReplaceEdit
    | KnockOutEdit
    | ProjectOutEdit
    | CapEdit
    | SwapEdit
    | ClampEdit
)
"""One change at one joint; without head, neuron, position, key or row, at all of them. No field may
be unknown: a reader that left one out would change more than is meant."""


class LessonDocument(TypedDict):
    """A lesson: steps that each put the page into a state, say what to look at, and claim what is
    seen there. Written by teachers, read by the page and by `oriel lesson check`; may come from
    anyone."""

    lesson_version: str
    """Version of this form, major.minor."""
    model: NotRequired[str]
    """Name of the model that the claims hold for, as the page's list of models has it; without it
    the lesson takes whichever is open."""
    title: LessonText
    introduction: LessonText
    steps: list[LessonStep]


class TwoLanguages(TypedDict):
    """A text in both of the page's languages."""

    en: str
    zh: str


LessonText = str | TwoLanguages
"""Plain text in one language for all readers, or in both of the page's: empty lines part
paragraphs, lines that begin with - are a list, *emphasis*, `a token`, [[id of a glossary term]]."""


class LessonStep(TypedDict):
    """A state of the page, what to look at there, and what is seen."""

    title: LessonText
    text: LessonText
    state: str
    """The page's state when the step begins."""
    done: NotRequired[str]
    """The page's state once the reader has done what the step asks for, which the page does for
    them on request; the claims hold there, else at state."""
    view: NotRequired[str]
    """Id of the view to look at."""
    expect: NotRequired[Expectation]
    question: NotRequired[LessonQuestion]


class Expectation(TypedDict):
    """What the reader sees: in words, and as claims that are checked."""

    text: LessonText
    claims: list[ClaimRecord]


class ProbabilityClaim(TypedDict):
    """The next token's probability, softmax of the logits."""

    claim: Literal["probability"]
    token: str
    least: float
    most: float


class LikeliestClaim(TypedDict):
    """The token that the model expects most."""

    claim: Literal["likeliest"]
    token: str


class DifferenceClaim(TypedDict):
    """Logit of a token minus another's."""

    claim: Literal["difference"]
    token: str
    other: str
    least: float
    most: float


class LensClaim(TypedDict):
    """The likeliest token after a layer, read through the state's lens."""

    claim: Literal["lens"]
    layer: int
    token: str


AttentionClaim = TypedDict(
    "AttentionClaim",
    {
        "claim": "Literal['attention']",
        "head": "str",
        "from": "int",
        "to": "int",
        "least": "float",
        "most": "float",
    },
)
"""The share of a head's attention that goes from one token to another, by their places in the text,
the first being 0."""


class AttributionClaim(TypedDict):
    """The heads with the largest shares in a token's logit, or in its difference from another's,
    the largest first."""

    claim: Literal["attribution"]
    token: str
    other: NotRequired[str]
    heads: list[str]


class DrawnClaim(TypedDict):
    """The probability that sampling, set as the state has it, draws the token; 0 where it is
    cut."""

    claim: Literal["drawn"]
    token: str
    least: float
    most: float


class KeptClaim(TypedDict):
    """The number of tokens that sampling, set as the state has it, may draw."""

    claim: Literal["kept"]
    least: float
    most: float


ClaimRecord = (
    ProbabilityClaim
    | LikeliestClaim
    | DifferenceClaim
    | LensClaim
    | AttentionClaim
    | AttributionClaim
    | DrawnClaim
    | KeptClaim
)
"""One thing that must be so, of the run with the state's edits; at the text's last token unless it
says otherwise. No field may be unknown: a reader that left one out would check something else."""


class ChoiceQuestion(TypedDict):
    """A question with choices, each with a reply."""

    text: LessonText
    choices: list[LessonChoice]


class LessonChoice(TypedDict):
    """A choice, and what is said of it."""

    text: LessonText
    right: bool
    reply: LessonText
    """Said once it is chosen."""


class WrittenQuestion(TypedDict):
    """A question whose answer the reader writes."""

    text: LessonText
    answers: list[str]
    """What counts as right, however it is spaced and capitalised."""
    reply: LessonText
    """Said of a right answer."""


LessonQuestion = ChoiceQuestion | WrittenQuestion
"""A question with choices, or with an answer that the reader writes."""


class DashboardIndex(TypedDict):
    """The dashboards of one kind of unit in one layer: the Parquet files that hold them, and the
    range and the digest of each part that a reader takes. A reader takes this index, the footer of
    one file, and one group of its rows. May come from anyone."""

    dashboards_version: str
    """Version of this form and of the tables' columns, major.minor."""
    weights: str
    """weights_digest of the model that the units are of."""
    kind: str
    layer: int
    units: int
    files: list[DashboardFile]
    """In the order of their units, which follow one another from 0 on."""


class DashboardFile(TypedDict):
    """A Parquet file, sorted by unit."""

    path: str
    """Beside the index."""
    bytes: int
    digest: str
    units: int
    footer: DashboardRange
    row_groups: list[DashboardRows]


class DashboardRange(TypedDict):
    """Bytes of a file: the page index and the footer, up to the file's end."""

    begin: int
    """Byte offset in the file."""
    bytes: int
    digest: str


class DashboardRows(TypedDict):
    """A group of rows, and the bytes of all its columns."""

    units: int
    """Rows of the group, a unit each."""
    begin: int
    """Byte offset in the file."""
    bytes: int
    digest: str
