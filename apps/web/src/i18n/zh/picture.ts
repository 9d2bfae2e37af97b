// Chinese: captions of saved pictures.
import { count } from '../number_format';
import type { Dictionary } from '../shape';

export const picture: Dictionary['picture'] = {
  text: (tokens) => `文本（${count(tokens)} 个词元）`,
  edits: '修改',
  lens: (name) => (name === 'logit' ? 'Logit lens' : `${name} 透镜`),
  pooled: (rows, columns) =>
    `每格取 ${count(rows)} × ${count(columns)}（词元 × 分量）个值中离 0 最远的一个`,
};
