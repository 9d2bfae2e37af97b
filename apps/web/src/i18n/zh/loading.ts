// Chinese: a model that is being opened.
import type { Dictionary } from '../shape';

export const loading: Dictionary['loading'] = {
  label: '正在打开模型',
  phases: {
    list: '正在查找有哪些模型',
    page: '正在准备页面',
    manifest: '正在查找模型',
    runtime: '正在启动运行时',
    download: '正在下载权重',
    session: '正在准备模型',
  },
  bytes: (received, total) => `${received} / ${total}`,
  kept: (size) => `其中 ${size} 是上次保留的`,
  waiting: {
    again: (seconds) => `连接中断，${seconds}后重试`,
    'other-tab': '另一个标签页正在下载同样的权重，等它完成',
    'one-thread': (time) => `运行时在${time}内没有用多个线程启动，正改用一个线程启动`,
  },
  listMissing: '没有收到模型列表，因此打开了本页面自带的模型。',
  threadsFailed:
    '运行时没有用多个线程启动，因此只用一个线程运行：速度较慢，数字不变。刷新页面可以再试多个线程。',
  abort: '停止',
  retry: '重试',
  otherWays: {
    wasm: '改用 WebAssembly',
    webgpu: '改用 WebGPU',
    'own-choice': '打开适合本设备的变体',
    'exported-activations': '打开已导出的激活',
    'own-model': '打开本页面自己的模型',
  },
  next: (variant, provider, size) => `在 ${provider} 上打开 ${variant}（${size}）`,
  nextKept: (variant, provider) => `在 ${provider} 上打开 ${variant}（已保存在本设备上）`,
  promise: '模型就在本设备的这个标签页里运行，页面上的每个数字都由它算出。',
};
