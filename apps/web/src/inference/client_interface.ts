// The calls that the page makes to the model's worker, and their results that come from more than one file.
import type { Sweep, SweepRequest } from '../analysis/patching';
import type { ReferencePassRecord } from '../contract/generated';
import type { PassComparison } from './compare_pass';
import type { FeatureReading, FeaturesRequest } from './feature_reading';
import type { Interventions } from './interventions';
import type { LensMeasures, LensRequest } from './lens_reading';
import type {
  BatchRequest,
  BatchResult,
  CachedModels,
  FirstPass,
  OpenRequest,
  OpenedModel,
  Progress,
  RunRequest,
  RunResult,
  Survey,
  TokenPiece,
} from './model_types';
import type { NeuronReading, NeuronsRequest } from './neuron_reading';
import type { ReadUnits, UnitsRequest } from './read_dashboards';
import type { Alternatives, AlternativesRequest } from './token_alternatives';

/** Result of comparing the publisher's reference pass with this device. */
export interface DeviceProof extends PassComparison {
  /** Source of the reference numbers; `runtime` is the library and its version. */
  readonly reference: ReferencePassRecord['reference'];
  readonly runtime: string;
}

export interface PrepareRequest {
  readonly activations: readonly string[];
  readonly interventions: Interventions;
}

/** A session that was created beside the open one. */
export interface PreparedSession {
  readonly model: OpenedModel;
  /**
   * Replace the open session, once that one has answered all its calls. Rejects with kind `aborted` if the open session
   * was closed meanwhile.
   */
  use(): Promise<void>;
}

export interface ModelClient {
  /** Fetch the example that the publisher computed, and the manifest, no more; null where there is no example. */
  firstPass(request: OpenRequest): Promise<FirstPass | null>;
  /** Return the variants that the device can open, and the one that `open` would choose. Fetches the manifest alone. */
  survey(request: OpenRequest, signal?: AbortSignal): Promise<Survey>;
  open(
    request: OpenRequest,
    onProgress: (p: Progress) => void,
    signal?: AbortSignal,
  ): Promise<OpenedModel>;
  /** Resolve where opening the request needs nothing from the network, or its host serves what is missing; reject with
   * the error that opening would end in. The open model stays open. */
  reach(request: OpenRequest): Promise<void>;
  /** Open other activations with the weights already in memory; the key/value cache is cleared. */
  setActivations(names: readonly string[]): Promise<OpenedModel>;
  /** Read the layers through another lens, whose file is downloaded first; clears the key/value cache. */
  setLens(name: string): Promise<OpenedModel>;
  /**
   * Create a session for other activations beside the open one, which keeps answering. Rejects with kind `aborted` if
   * the signal aborts, otherwise as `open` does; the open session stays. Call `hasRoomBeside` first.
   */
  prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedSession>;
  encode(text: string): Promise<TokenPiece[]>;
  /** Return the models that the browser keeps, the last opened first. */
  cachedModels(): Promise<CachedModels>;
  /** Remove the cached files of a model's address, or with null of all; open models stay open. */
  forget(url: string | null): Promise<CachedModels>;
  /** Return the bytes of tokens by id, for labels of predicted tokens. */
  pieces(ids: readonly number[]): Promise<TokenPiece[]>;
  /** Return the open session's graph as one ONNX file, with all that was appended to it; its weights lie beside it. */
  savedGraph(): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Run the publisher's reference text on this device, and compare every activation with the stored ones; null if the
   * bundle has none for the open variant. In a session of its own beside the open one where memory allows; where it
   * doesn't, other calls wait meanwhile. The cache is kept. Rejects with kind `aborted` if `prepare` needs the memory.
   */
  prove(): Promise<DeviceProof | null>;
  /** Run the model. A newer run supersedes an older one that waits; the older rejects with kind `aborted`. */
  run(request: RunRequest): Promise<RunResult>;
  /** Run several texts at once. */
  runBatch(request: BatchRequest): Promise<BatchResult>;
  /** Return what the model expected at every position of a text, which is run whole and leaves the cache as it is. */
  alternatives(request: AlternativesRequest): Promise<Alternatives>;
  /** Run a patching sweep. The signal aborts it between two batches, with kind `aborted`; the model stays open. */
  sweep(
    request: SweepRequest,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<Sweep>;
  /** Measure what each layer predicts, through the open lens. The signal aborts it between two runs, as a sweep. */
  measureLens(
    request: LensRequest,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<LensMeasures>;
  /** Read dashboards of units from the model's bundle, by range. The signal aborts it as above. */
  readUnits(
    request: UnitsRequest,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<ReadUnits>;
  /** Read the neurons of a text. The signal aborts it as above. */
  readNeurons(
    request: NeuronsRequest,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<NeuronReading>;
  /** Download a dictionary, whose features can then be read. Tells bytes; the signal aborts it as above. */
  openDictionary(
    name: string,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Read the features of a text, after its dictionary was downloaded. The signal aborts it as above. */
  readFeatures(
    request: FeaturesRequest,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<FeatureReading>;
  close(): void;
}
