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
  temperature: '温度',
  likeliest: '0，取最高',
  all: '全部',
  contextFull: (limit) => `文本已占满模型能读的 ${count(limit)} 个词元。`,
  endToken: (token) => `模型给出了结束词元 ${token}，文本到此为止。`,
};
