// Chinese: direct logit attribution, and the parts of an attention score.
import type { Dictionary } from '../shape';

export const attribution: Dictionary['attribution'] = {
  title: '归因',
  caption:
    '这个预测是模型的哪些部分促成的？最后的归一化和反嵌入把各部分之和变成 logit，所以每一部分的贡献都是一个数，全部加起来就是 logit。',
  formula:
    '直接 logit 归因：某部分 x 的贡献 = (N x) · (u_A − u_B)，其中 N 是除数固定的最后一次归一化，u 是词元在反嵌入矩阵中的列。',
  missing:
    '此变体无法归因：它按 2.1 版之前的规范导出，或只有计算图，或各部分并非直接相加（含专家层，或在注意力、MLP 之后再次归一化）。',
  open: '为这个预测做归因',
  cost: (sessionTime, runTime) =>
    `需要重新准备一次模型（上次用了 ${sessionTime}，不必下载），再把文本运行两遍${runTime === null ? '' : `（每遍约 ${runTime}）`}。`,
  close: '关闭归因',
  working: (done, of) => `正在归因：已完成 ${done} / ${of} 次运行`,
  cancel: '取消',
  retry: '重试',
  position: (token) => `对  ${token}  之后的预测`,
  positionHint: '点上方文本中的词元可以换一个位置。',
  token: '词元 A',
  minus: '减去词元 B',
  likeliest: (token) => `${token}（最可能）`,
  second: '第二可能的词元',
  none: '不减：只看 A 的 logit',
  typed: '其他词元…',
  typeLabel: { answer: '词元 A 的文字', other: '词元 B 的文字' },
  take: '使用',
  typeHint: '单词前的空格属于该词元。',
  notOne: (tokens) =>
    tokens.length === 0
      ? '没有输入文字；需要恰好一个词元。'
      : `得到 ${tokens.length} 个词元：${tokens.map((token) => `“${token}”`).join(' ')}；需要恰好一个词元：请缩短文字，或在前面加一个空格。`,
  notId: (text, most) => `得到“${text}”；需要 0 到 ${most} 之间的词元编号。`,
  logit: (answer, other) =>
    other === null
      ? `运行得到的 ${answer} 的 logit`
      : `运行得到的 ${answer} 与 ${other} 的 logit 之差`,
  sum: '各部分之和',
  difference: '两者之差',
  mapTitle: '按部分',
  mapCaption:
    '每行一层，每列一个注意力头。点一个头，各个视图都会转到它；点一个 MLP，可以看它的神经元。每行的总和在右侧。',
  mapLabel: '所有部分的贡献',
  legend: '贡献（logit）',
  rest: '偏置',
  mlp: 'MLP 层',
  attention: '注意力合计',
  layerSum: '本层合计',
  reading: (part, share) => `${part}：${share} logit`,
  part: ({ kind, layer, head }) => {
    switch (kind) {
      case 'embedding':
        return '嵌入';
      case 'head':
        return `第 ${layer} 层，头 ${head}`;
      case 'attention_rest':
        return `第 ${layer} 层注意力偏置`;
      case 'mlp':
        return `第 ${layer} 层 MLP`;
      case 'bias':
        return '最后归一化的偏置';
    }
  },
  sumOf: (layer, of) =>
    of === 'attention' ? `第 ${layer} 层所有头与偏置` : `第 ${layer} 层所有部分`,
  textTitle: '按位置：注意力头从哪里取来',
  textCaption:
    '词元的颜色表示各个头从它那里取来了多少：注意力权重乘以该词元的值对 A（或 A − B）的作用。嵌入、MLP 和偏置只作用在最后一个词元上。点一个词元，可以看选中的头从它那里得到什么。',
  row: '注意力头',
  rows: {
    all: '所有头',
    layer: (layer) => `第 ${layer} 层的所有头`,
    head: (layer, head) => `第 ${layer} 层，头 ${head}`,
  },
  fromToken: (token, share) => `来自 ${token}：${share} logit`,
  rowSum: (share) => `全文合计：${share} logit`,
  overview: '各层在每个词元上的贡献',
  listTitle: '贡献最大的部分',
  order: '排序',
  orders: {
    strongest: '按大小',
    up: '提高最多的在前',
    down: '降低最多的在前',
    model: '按计算顺序',
  },
  listPart: '部分',
  listShare: '贡献（logit）',
  more: (count) => `显示全部 ${count} 个部分`,
  fewer: '只显示前几个',
  neuronsTitle: '神经元',
  neuronsOf: '查看 MLP 神经元：',
  noLayer: '不查看',
  neuronsCost: '换一层要重新准备模型，并再运行两遍。',
  neuron: (neuron) => `神经元 ${neuron}`,
  neuronsSum: (neurons, mlp) =>
    `所有神经元合计 ${neurons} logit，整个 MLP 为 ${mlp} logit；差额来自它的偏置。`,
  looksTitle: (layer, head) => `第 ${layer} 层，头 ${head}在看哪里？`,
  looksNone: '在图中选一个头，就能看到它在看哪里，以及是什么让它看向那里。',
  looksAt: '词元',
  looksShare: '注意力',
  looksGives: '贡献（logit）',
  why: '是什么让它看向这里？',
  whyCost: (runs, runTime) =>
    `回答一次需要 ${runs} 次带改动的运行${runTime === null ? '' : `，在本设备上约 ${runTime}`}。`,
  whyWorking: (done, of) => `正在拆分分数：已完成 ${done} / ${of} 次运行`,
  scoreTitle: (layer, head, query, key) => `第 ${layer} 层，头 ${head}：从  ${query}  看向  ${key}`,
  scoreFormula:
    'QK 归因：softmax 之前的分数 = 缩放系数 × 查询 · 键，可以拆成前面各部分两两相乘之和。',
  scoreSum: (score, sum, difference) =>
    `运行得到的分数（softmax 之前）：${score}；所有组合之和：${sum}；两者之差：${difference}。`,
  atQuery: '看出去的词元上的部分',
  atKey: '被看的词元上的部分',
  pairs: '贡献最大的组合',
  pair: (query, key) => `${query} × ${key}`,
  scorePart: ({ kind, layer, head }) =>
    kind === 'bias' ? '归一化、查询和键的偏置' : attribution.part({ kind, layer, head }),
};
