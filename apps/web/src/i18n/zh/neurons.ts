// Chinese: neurons of the MLPs.
import type { Dictionary } from '../shape';

export const neurons: Dictionary['neurons'] = {
  title: '神经元',
  caption:
    'MLP 的每个神经元在每个词元处有一个数，即激活值；它把输出矩阵中属于自己的那一行乘以激活值，写入残差流。',
  formula:
    '激活值 a = mlp_act，带正负号。行 w：该神经元在 MLP 输出矩阵中的那一行。写入量 = |a| × ‖w‖，即它加进残差流的向量的长度。',
  missing:
    '无法读取此变体的神经元：它没有 2.0 版或更新规范的开放计算图，或不给出 mlp_act（例如含专家层）。请重新导出模型，或换一个变体。',
  noTokens:
    '此处不显示神经元推高的词元：此变体按 2.1 版之前的规范导出，或 MLP 之后还有一次归一化，进入残差流的不是这一行本身。',
  open: '读取神经元',
  cost: (runs, time) =>
    `每个模型需要测量一次所有神经元的行，共 ${runs} 次运行，每个词元处每层只开一个神经元${time === null ? '' : `（运行你的文本用了 ${time}）`}。`,
  working: (done, of) => `正在读取神经元：已完成 ${done} / ${of} 次运行`,
  cancelled: '已取消，没有读取神经元。',
  position: (token) => `位于  ${token}`,
  positionHint: '点文本中的词元可以换一个位置。',
  strongest: '最强的神经元',
  layer: '层',
  allLayers: '所有层',
  order: '排序',
  orders: {
    write: '按写入量',
    activation: '按激活值的绝对值',
    up: '正激活最大的在前',
    down: '负激活最大的在前',
  },
  neuron: '神经元',
  activation: '激活值 a',
  row: '行 ‖w‖',
  write: '写入量',
  name: (layer, neuron) => `L${layer} · ${neuron}`,
  alongTitle: '沿着文本',
  alongCaption: '这个神经元在每个词元处的激活值。点一个词元，可以看那里最强的神经元。',
  atToken: (token, value) => `位于 ${token}：${value}`,
  legend: '激活值',
  contextsTitle: '在这段文本中最强的位置',
  tokensTitle: '它推高和压低的词元',
  tokensCaption:
    '只经过最后的归一化和反嵌入时每个 logit 的变化：(N w) · u，其中 N 是最后一次归一化，除数固定为该词元处的值。后面各层还可能改变它的作用。',
  up: '推高',
  down: '压低',
  perUnit: 'a = 1 时的 logit',
  here: '此处（× a）',
  switchOff: '关闭它',
  switchOn: '重新打开',
};
