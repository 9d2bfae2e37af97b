// Starts one thread of the runtime, and says when it listens: runtime_threads.ts holds back messages until then.
import wasmModule from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import { threadListens } from './thread_listens';

// In a worker of the name that the runtime gives to threads, its module listens as soon as it has been evaluated.
const address = new URL(wasmModule, self.location.href).href;
void import(/* @vite-ignore */ address).then(() => {
  self.postMessage(threadListens);
});
