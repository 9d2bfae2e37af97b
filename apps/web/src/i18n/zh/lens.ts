// Chinese: the logit lens.
import type { Dictionary } from '../shape';

export const lens: Dictionary['lens'] = {
  title: 'Logit lens：逐层预测',
  caption:
    '如果模型在某一层就停下，它会接上什么。每一列是文本中的一个位置，每一行是一层；最底下一行是真正的预测。颜色越浓，模型越有把握。',
  closed: '逐层预测没有导出，但就在模型里。',
  partly: (open, all) => `已在 ${all} 层中的 ${open} 层打开。`,
  open: (layers) => `在全部 ${layers} 层打开`,
  cell: (layer, input, guess, probability, right) =>
    `第 ${layer} 层，${input} 之后：${guess}，${probability}${right ? '，与原文一致' : ''}`,
  reading: (layer, input) => `第 ${layer} 层之后，位于  ${input}`,
  legend: '最可能词元的概率',
  right: '与原文的下一个词元一致',
};
