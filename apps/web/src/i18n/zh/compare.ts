// Chinese: the comparison of two variants.
import { count } from '../number_format';
import type { Dictionary } from '../shape';

export const compare: Dictionary['compare'] = {
  title: '对比变体',
  caption: '另一个变体在单独的 worker 里读同一段文本。这里的数字都由两者的结果即时算出。',
  with: '对比',
  here: '本页',
  load: (size) => `加载（${size}）`,
  close: '关闭并释放内存',
  reading: '正在读文本…',
  prediction: '接下来是什么',
  predictionLabel: '两个变体的下一词元概率，同一刻度',
  divergences: (a, b, ab, ba) => `KL(${a} ‖ ${b}) 为 ${ab} 奈特，KL(${b} ‖ ${a}) 为 ${ba} 奈特。`,
  sameTop: (token, a, b) => `两者都认为 ${token} 最可能，分别为 ${a} 和 ${b}。`,
  otherTop: (a, tokenA, b, tokenB) =>
    `两者不一致：${a} 认为 ${tokenA} 最可能，${b} 认为 ${tokenB} 最可能。`,
  identical: '没有一个概率不同。',
  token: '词元',
  change: '百分点',
  rest: (tokens) => `其余 ${tokens} 个`,
  attention: '注意力',
  attentionCaption: (a, b) => `同一个头：每个词元在 ${b} 中回看得比在 ${a} 中多多少（或少多少）。`,
  layer: '层',
  head: '头',
  furthest: '差别最大处',
  noMaps: '没有注意力图在两个变体中都已打开。',
  leftOut: (maps) => `内存不够再放一份：有 ${count(maps)} 张注意力图的差异不显示。`,
  mapRole: '差值图',
  mapLabel: (layer, head) => `第 ${layer} 层头 ${head} 的注意力差值。方向键移动，加号和减号缩放。`,
  cell: (from, to, a, b, change) => `${from}  看向  ${to}，分别占 ${a} 和 ${b}：${change} 个百分点`,
  largest: (from, to, a, b, change) =>
    `此图中最大的差别：${from} 看向 ${to}，分别占 ${a} 和 ${b}，相差 ${change} 个百分点。`,
  same: '两张图逐位相同。',
  legend: (a, b) => `${b} − ${a}，百分点`,
  headsOff: '已关闭的头在两者中都已关闭。',
};
