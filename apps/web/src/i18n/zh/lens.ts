// Chinese: the logit lens.
import type { Dictionary } from '../shape';

export const lens: Dictionary['lens'] = {
  title: 'Logit lens：逐层预测',
  titles: {
    logit: 'Logit lens：逐层预测',
    tuned: 'Tuned lens：逐层预测',
    jacobian: 'Jacobian lens：逐层预测',
  },
  captions: {
    logit: '如果模型在某一层就停下，它会接上什么。',
    tuned: '从每一层能预测出什么。读取时经过一个线性映射，它是按模型自己的预测拟合的。',
    jacobian: '每一层会让模型接上什么。读取时经过最后一层对该层的平均导数。',
  },
  caption:
    '每一列是文本中的一个位置，每一行是一层；最底下一行是真正的预测。颜色越浓，模型越有把握。',
  through: '读取方式',
  lenses: {
    logit: '只经过最后的归一化（logit lens）',
    tuned: '调谐透镜（tuned lens）',
    jacobian: '平均雅可比矩阵',
  },
  named: (kind, name) => `${kind}，${name}`,
  fetching: '正在打开透镜…',
  nearer: (logit, lens) =>
    `在其他文本上，它与模型最终预测的 KL 散度为 ${lens} 奈特（各层平均），logit lens 为 ${logit}。`,
  closed: '逐层预测没有导出，但就在模型里。',
  partly: (open, all) => `已在 ${all} 层中的 ${open} 层打开。`,
  open: (layers) => `在全部 ${layers} 层打开`,
  cell: (layer, input, guess, probability, right) =>
    `第 ${layer} 层，${input} 之后：${guess}，${probability}${right ? '，与原文一致' : ''}`,
  reading: (layer, input) => `第 ${layer} 层之后，位于  ${input}`,
  legend: '最可能词元的概率',
  right: '与原文的下一个词元一致',
};
