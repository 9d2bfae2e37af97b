// Chinese: features of dictionaries (sparse autoencoders and transcoders).
import type { Dictionary } from '../shape';
import { spaced } from '../spaced';

export const features: Dictionary['features'] = {
  title: '特征',
  caption:
    '字典读取每个词元处的一个激活，给出许多特征，其中大多数为 0。大于 0 的少数特征用各自的数值乘以各自的方向，重建这个激活。一个特征往往对应文本表达的一件事。',
  dictionary: '字典',
  kinds: {
    sae: (place) => `${spaced(place)}的稀疏自编码器`,
    transcoder: (place) => `写出${spaced(place)}的转码器`,
  },
  reads: (place) => `由${spaced(place)}计算`,
  described: (features, activation) => `${features} 个特征，${activation}。`,
  activations: {
    relu: 'ReLU 函数',
    jumprelu: 'JumpReLU 函数',
    topk: (k) => `每个词元处保留最大的 ${k} 个`,
  },
  source: (source) => `来源：${source}`,
  formulas: {
    relu: 'f = max(x · e + b, 0)，其中 e 是该特征在编码器中的那一列',
    jumprelu: 'x · e + b 高于该特征的阈值时 f 等于它，否则为 0',
    topk: '所有特征中最大的几个取 f = max(x · e + b, 0)，其余为 0',
  },
  rebuilds: 'x̂ = Σ f · d + 偏置，其中 d 是该特征在解码器中的那一行',
  measured: (tokens, name) => `在没有用于训练的文本“${name}”的 ${tokens} 个词元上测得：`,
  notMeasured: '这个字典加入时没有附带测量结果。',
  figures: {
    explained: '解释方差',
    l0: '大于 0 的特征数（L0）',
    dead: '死特征',
    recovered: '恢复的损失',
  },
  losses: (model, replaced, zeroed) =>
    `损失（奈特）：模型本身 ${model}，换成重建的激活 ${replaced}，换成零 ${zeroed}。`,
  missing:
    '无法在此变体中读取特征：它没有 2.0 版或更新规范的开放计算图。请重新导出模型，或换一个变体。',
  open: '读取特征',
  cost: (size) => `字典文件有 ${size}。`,
  kept: '它只下载一次；若本浏览器保留模型，也会保留它以备下次使用。',
  memory: (needed, room) =>
    `连同这段文本的特征，它大约需要 ${needed} 内存，而本设备可用的大概只有 ${room}。读取可能失败，之后需要重新打开模型。`,
  loading: (done, of) => `正在下载字典：已完成 ${done} / ${of}`,
  working: (done, of) => `正在读取特征：已完成 ${done} / ${of} 步`,
  cancelled: '已取消，没有读取特征。',
  position: (token) => `位于  ${token}`,
  positionHint: '点文本中的词元可以换一个位置。',
  fitHere: (count, explained) =>
    `此处大于 0 的特征：${count} 个。该词元处的解释方差：${explained}。`,
  fitText: (count, explained) =>
    `与字典自身的数据一样不计第一个词元，这段文本平均每个词元 ${count} 个，解释方差 ${explained}。`,
  strongest: '最强的特征',
  none: '该词元处没有大于 0 的特征。',
  feature: '特征',
  value: '数值 f',
  raises: '推高',
  number: '特征编号',
  name: (dictionary, feature) => `${dictionary} · ${feature}`,
  alongTitle: '沿着文本',
  alongCaption: '这个特征在每个词元处的数值。点一个词元，可以看那里最强的特征。',
  atToken: (token, value) => `位于 ${token}：${value}`,
  legend: '特征的数值',
  contextsTitle: '在这段文本中最强的位置',
  off: '它在这段文本的每个词元处都是 0。',
  tokensTitle: '它推高和压低的词元',
  tokensCaption:
    '特征的方向 d 只经过最后的归一化和反嵌入时每个 logit 的变化：(N d) · u，其中 N 是最后一次归一化，除数固定为该词元处的值。后面各层还可能改变它的作用。',
  behindMatrix: '这里的 d 先乘以该层的输出矩阵，才进入残差流。',
  noTokens:
    '此处不显示特征推高的词元：此变体按 2.1 版之前的规范导出，或各层的输出进入残差流之前还有一次归一化。',
  up: '推高',
  down: '压低',
  perUnit: 'f = 1 时的 logit',
  here: '此处（× f）',
  change: '改变它',
  changeCaption: (place) =>
    `“加入”把该数量乘以特征的方向加进${place}；“设为”把（数量 − f）× d 加进${place}。之后读出的数值可能与该数量不同，因为编码器的方向 e 不是解码器的方向 d。`,
  addCaption: (place) => `“加入”把该数量乘以特征的方向加进${place}。`,
  amount: '数量',
  onlyHere: '仅在该词元处',
  add: '加入',
  clamp: '设为',
  changed: (number, edit) => `干预列表第 ${number} 条：${edit}。可以在那里修改或关闭它。`,
};
