// What may be set when the page is built; read in bundle/model_catalogue.ts.
interface ImportMetaEnv {
  /** A `manifest.json`, or a `model.onnx` with or without `?v=…`. */
  readonly VITE_MODEL_URL?: string;
  /** Origins that models may come from besides: see bundle/allowed_origins.ts. */
  readonly VITE_MODEL_ORIGINS?: string;
}
