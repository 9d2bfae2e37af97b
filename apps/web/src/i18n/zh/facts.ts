// Chinese: what ran.
import { count, inTenThousands } from '../number_format';
import type { Dictionary } from '../shape';

export const facts: Dictionary['facts'] = {
  title: '运行情况',
  caption: '上面的数字由哪个模型算出，它在本设备上有多快。',
  model: '模型',
  shape: (parameters, layers, heads, hidden, vocab, context) =>
    `${inTenThousands(parameters)}个参数，${layers} 层 × ${heads} 头，宽度 ${hidden}，${vocab} 个词元，上下文 ${context}`,
  source: '来源',
  sources: { hub: 'Hugging Face Hub', folder: '本地文件夹', bundled: 'Oriel 自带' },
  digest: '权重（SHA-256）',
  digestMeaning: '由导出器对检查点计算',
  variant: '变体',
  opset: (opset) => `ONNX opset ${opset}`,
  fidelity: '保真度',
  fidelityDetail: (p99, top5, perplexity, reference) =>
    `第 99 百分位 ${p99} 奈特，前五名重合 ${top5}，困惑度 ${perplexity}，原模型为 ${reference}`,
  provider: '运行于',
  reasons: {
    requested: '因为你选择了它',
    'no-variant-fits': '因为没有变体适合这块显卡',
    'webgpu-available': '因为浏览器支持 WebGPU',
    'no-webgpu': '因为浏览器不支持 WebGPU',
    'no-adapter': '因为没有可用的图形适配器',
    'software-adapter': '因为此处的 WebGPU 也由处理器模拟，反而更慢',
    'small-model': '因为模型很小，不经显卡反而更快',
  },
  threads: '线程',
  threadCount: (threads) => String(threads),
  isolated: '页面已跨源隔离',
  threadsFailed: '只有一个：运行时没有用多个线程启动',
  notIsolated: '只有一个：页面未跨源隔离',
  download: '下载',
  fetched: (size) => `已下载 ${size}`,
  keptBefore: (size) => `此前已保留 ${size}`,
  session: '加载耗时',
  prompt: '最近一次计算整段文本',
  promptTime: (tokens, time) => `${count(tokens)} 个词元，${time}`,
  step: '最近一次单步（用缓存）',
  stepTime: (total, time) => `第 ${count(total)} 个词元，${time}`,
  first: '首次预测',
  none: '尚无',
  exporter: '导出工具',
  contract: (version) => `规范版本 ${version}`,
};
