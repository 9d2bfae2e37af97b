// Chinese: scripts that compute the numbers on the screen again.
import type { Dictionary } from '../shape';

export const program: Dictionary['program'] = {
  copy: '复制为 Python',
  notebook: '下载笔记本',
  about: '只用 PyTorch 和 transformers 重新算出这些数值，包括已做的修改',
};
