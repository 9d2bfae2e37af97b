// Chinese: generating.
import { count } from '../number_format';
import type { Dictionary } from '../shape';

export const generate: Dictionary['generate'] = {
  label: '生成',
  settings: '如何抽取词元',
  play: '生成',
  stop: '停止',
  step: '生成一个词元',
  back: '删除最后一个',
  whole: '该模型不生成文本：它给出整段文本中每个位置上应是哪个词元。',
  mask: (token) => `加入 ${token}`,
  temperature: '温度',
  likeliest: '0，取最高',
  all: '全部',
  off: '关闭',
  seed: '种子',
  seedHint: '同一个种子在同样的文本后面抽到同样的词元。留空：每次重新抽取。',
  newSeed: '换一个种子',
  noSeed: '每次重新抽取',
  contextFull: (limit) => `文本已占满模型能读的 ${count(limit)} 个词元。`,
  endToken: (token) => `模型给出了结束词元 ${token}，文本到此为止。`,
};
