// Chinese: the effect of a head that is off.
import type { Dictionary } from '../shape';

export const effect: Dictionary['effect'] = {
  title: (heads) => `已关闭 ${heads} 个头`,
  restore: '全部打开',
  remove: (head) => `打开${head}`,
  before: '之前',
  after: '之后',
  change: '百分点',
  caption: (nats, rank) =>
    `对下一个词元的影响。前后两次预测相差 ${nats} 奈特（KL 散度）；原先最可能的词元${rank === 1 ? '仍排第一' : `现在排第 ${rank}`}。`,
  afterGeneration: '生成停止后，会给出与原模型的对比。',
};
