// Chinese: the next token and how it is drawn.
import type { Dictionary } from '../shape';

export const next: Dictionary['next'] = {
  title: '接下来是什么',
  caption: (vocab) =>
    `模型对它所知的全部 ${vocab} 个词元给出的概率，从高到低。点一个即可接在后面。`,
  masked: {
    title: (position) => `位置 ${position} 上应是什么`,
    caption: (vocab) =>
      `模型对它所知的全部 ${vocab} 个词元给出的概率，取文本中第一个掩码处；没有掩码时取最后一个词元处。模型读入整段文本，不会续写。点一个即可放到那里。`,
    replace: '把这个词元放到那里',
    replaceNamed: (label) => `放入 ${label}`,
  },
  token: '词元',
  truth: '模型概率',
  drawn: '采样概率',
  cut: '已截断',
  cuts: {
    title: '采样保留与截断的部分',
    caption: '所有词元按概率从高到低排列，宽度为它们所占的概率。',
    set: '词元',
    count: '个数',
    mass: '模型概率',
    tempered: (temperature) => `温度 ${temperature} 时`,
    kept: '保留',
    rules: {
      greedy: () => '截断：不是最高的',
      'top-k': (value) => `被 top-k ${value} 截断`,
      'top-p': (value) => `被 top-p ${value} 截断`,
      'min-p': (value) => `被 min-p ${value} 截断`,
    },
    nothing: '没有规则起作用：每个词元都可能被抽到。',
  },
  append: '把这个词元接在文本后面',
  appendNamed: (label) => `接上 ${label}`,
  rest: (tokens, probability) => `其余 ${tokens} 个词元共占 ${probability}。`,
  more: '显示更多',
  fewer: '显示更少',
  entropy: (bits, choices) => `不确定度 ${bits} 比特：相当于在 ${choices} 个等可能的选项中犹豫。`,
  beforeMark: '深色短线标出关闭注意力头之前的概率。',
};
