// Chinese: the heat strip of an activation.
import { count } from '../number_format';
import type { Dictionary } from '../shape';

export const strip: Dictionary['strip'] = {
  role: '数值条带',
  label: (name) => `${name}：每行一个词元。方向键移动，回车锁定一行。`,
  ofHead: (head, index) => `头 ${head} 的 ${index}`,
  value: (token, dimension, value) => `${token}  第 ${dimension} 维：${value}`,
  row: (token, length, above) => `${token}  的长度为 ${length}，${above}% 的数值大于零。`,
  strongest: '绝对值最大',
  legend: '数值',
  clipped: (limit, most) => `超出 ±${limit} 的数值用同一种颜色；绝对值最大的为 ${most}。`,
  pooled: (columns) =>
    `每行有 ${count(columns)} 个数值，多于像素：每个像素显示其中绝对值最大的一个。`,
};
