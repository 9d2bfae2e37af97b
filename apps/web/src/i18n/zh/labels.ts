// Chinese: the labels of a classifier.
import type { Dictionary } from '../shape';

export const labels: Dictionary['labels'] = {
  ofText: '这段文本的标签',
  ofTokens: '每个词元的标签',
  captions: {
    single_label: (labels) =>
      `模型对全部 ${labels} 个标签给出的概率，从高到低。只有一个成立，因此总和为 100%。`,
    multi_label: (labels) =>
      `模型对全部 ${labels} 个标签给出的概率，从高到低。可以同时成立多个，因此各自独立。`,
    regression: (labels) =>
      labels === '1'
        ? '模型按训练目标给这段文本的数值，不是概率。'
        : `模型按训练目标给这段文本的 ${labels} 个数值，不是概率。`,
  },
  fromPooled: '由这段文本的汇聚向量读出。',
  pickToken: '选一个词元，查看它的全部标签。',
  show: (token) => `显示 ${token} 的标签`,
  at: (position) => `位置 ${position}`,
  label: '标签',
  likeliest: '最可能的标签',
  probability: '概率',
  number: '数值',
  all: (labels) => `显示全部 ${labels} 个`,
  beforeMark: '深色短线标出未加编辑时的概率。',
  otherLabels: '两个模型区分的内容不同，因此它们的预测无法相减。',
  notLabel: (got) => `“${got}”不是模型的标签。`,
  change: '差值',
  sweep: {
    metric: '两个标签的 logit 之差',
    answer: '标签',
    other: '减去标签',
    answerHint: '写模型的标签名。留空：第二段文本最可能的标签，减去本文最可能的标签。',
    same: '两段文本最可能的标签相同：请写明要度量的两个标签。',
  },
  wholeText: '文本',
  noText: '这个模型给文本打标签，不生成文本。',
};
