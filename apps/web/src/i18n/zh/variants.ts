// Chinese: the variants of a model.
import { inTenThousands } from '../number_format';
import type { Dictionary } from '../shape';

export const variants: Dictionary['variants'] = {
  title: '变体',
  change: '更换变体',
  changeMeaning: '打开同一个模型的另一种精度：权重的传送和计算方式不同',
  hide: '收起变体',
  compare: '对比变体',
  compareMeaning: '并排查看同一个模型的两种精度各给出什么结果',
  nothingOpen: '没有打开的模型',
  automatic: '按本设备自动选择',
  on: (variant, provider) => `${variant} · ${provider}`,
  brief: {
    bundled: (parameters) =>
      `这是专为本页面训练的极小模型，只有 ${inTenThousands(parameters)}个参数，只懂一种人造的简单英语。`,
    other: (name, parameters) =>
      `${name}（${inTenThousands(parameters)}个参数）正在这个标签页里运行。`,
    faithful: {
      exact: '它的数值与原模型一致。',
      reduced: (share) => `这是压缩过的变体：在 ${share} 的位置上，最可能的词元与原模型相同。`,
      unmeasured: '它的数值与原模型有多接近，尚未测量。',
    },
    details: (place) => `运行方式：${place}`,
  },
  sentence: (reasons) => `${reasons.join('，')}。`,
  why: {
    provider: {
      requested: (provider) => `你选择了 ${provider}`,
      'webgpu-available': '本设备支持 WebGPU',
      'no-webgpu': '这里没有 WebGPU',
      'no-adapter': '这里没有可用的图形适配器',
      'software-adapter': '这里的 WebGPU 由处理器模拟',
      'small-model': '模型很小，不经显卡反而更快',
      'no-variant-fits': '没有变体适合这里的显卡',
    },
    variant: {
      requested: '变体由你选择',
      address: '地址指定了这个变体',
      'only-one': '只有这一个变体',
      'small-model': (size) => `只有 ${size}，不必再省`,
      'save-data': '浏览器要求节省流量',
      'expands-here': '边下载边展开为 float32',
      'has-f16': '显卡能用 float16 计算',
      fits: '首选的变体在这里无法运行',
    },
    both: '变体和运行方式都由你选择',
    instead: (size, reference) => `下载 ${size} 而不是 ${reference}`,
  },
  faithful: {
    label: '与原模型的接近程度',
    divergence: (kl) => `KL ${kl}`,
    top1: (share) => `首选词元相同 ${share}`,
    exact: (kl) => `精确：float32，已与 PyTorch 核对，KL ${kl}`,
    unmeasured: '保真度未测量',
    meaning:
      '下一词元分布与 float32 模型的平均 KL 散度（单位：奈特），以及最可能词元相同的位置所占比例。',
  },
  lossy: '超出误差界限',
  lossyMeaning: (kl, top1) =>
    `它的界限是 KL 不超过 ${kl}、首选词元相同不低于 ${top1}；导出时仍被保留。`,
  caption:
    '同一个模型，权重的传送与计算方式不同。保真度说明它的下一词元预测离 float32 模型有多远，在导出时测得。',
  measuredOn: (text, tokens, reference) =>
    `测于“${text}”，共 ${tokens} 个词元，任何变体都没有用它拟合；参照为${reference}。`,
  references: { pytorch: ' PyTorch 中的 float32 模型', trunk: '这个模型自己的 fp32 计算图' },
  columns: {
    variant: '变体',
    bytes: '下载',
    memory: '内存',
    kl: 'KL，奈特',
    top1: '首选词元相同',
    perplexity: '困惑度',
    use: '选用',
    tryAnyway: '仍要尝试',
  },
  weights: { f32: '32 位权重', f16: '16 位权重', q8: '8 位权重', q4: '4 位权重' },
  kernels: {
    fp32: '以 float32 计算',
    fp16: '以 float16 计算',
    int8: '以 8 位整数计算',
    int8_static: '以 8 位整数计算，经校准',
    int4: '直接在 4 位权重上计算',
  },
  notMeasured: '未测量',
  inUse: '使用中',
  opening: '正在打开',
  suits: '适合本设备',
  use: '选用',
  tryAnyway: '仍要尝试',
  stays: (variant) => `${variant} 仍然打开着。`,
  understood: '关闭',
  useNamed: (use, variant, size) => `${use}：${variant}，需下载 ${size}`,
  refused: (provider, why) => `${provider}：${why}`,
  refusals: {
    'no-webgpu': '浏览器不支持 WebGPU',
    'no-adapter': '没有可用的图形适配器',
    'needs-f16': '显卡不能用 float16 计算',
    'no-kernels': (kernels) => `没有 ${kernels} 的内核`,
    'weight-over-binding': (size, limit) => `有一个权重占 ${size}，显卡一次最多读 ${limit}`,
    'weight-over-buffer': (size, limit) => `有一个权重占 ${size}，显卡缓冲区最多容纳 ${limit}`,
    'file-too-large': (size, limit) => `有一个文件展开后为 ${size}，浏览器一块最多容纳 ${limit}`,
    'over-heap': (size, limit) => `需要 ${size}，而 WebAssembly 只能用 ${limit}`,
    memory: (size, limit) => `需要 ${size} 内存，页面可用约 ${limit}`,
  },
  plot: {
    title: '下载量与散度',
    label: (variants) =>
      `${variants} 个变体的散点图：横轴为下载字节，纵轴为 KL 散度。数值与表格相同。`,
    bytes: '下载，MB',
    kl: '平均 KL，奈特',
    worse: '偏离更大',
    below: (limit) => `≤ ${limit}`,
  },
  downloading: (place) => `正在打开 ${place}`,
  meanwhile: '下载期间可以换成另一个变体。',
};
