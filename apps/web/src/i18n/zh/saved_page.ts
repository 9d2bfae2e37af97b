// Chinese: one analysis as a page of its own, in a file or in a notebook.
import type { Dictionary } from '../shape';

export const savedPage: Dictionary['savedPage'] = {
  save: '保存为网页',
  about: (size) => `一个 HTML 文件，不需要服务器和网络就能打开，所有数值都在其中（压缩前 ${size}）`,
  saving: '正在保存…',
  failed: '网页没有保存成功：没有取到它的模板。请检查网络后重试。',
  other: '网页没有保存成功：本页刚刚更新过。请重新加载后再试。',
  label: '已保存的分析',
  computed: (variant, runtime) => `${variant}，由 ${runtime} 计算`,
  open: '连同模型一起打开',
  fixed: '这些是已保存的结果，这里没有模型在运行',
  inside: '模型一路上算出的全部内容，按层和种类排列。这里只有保存时已打开的部分。',
  next: (tokens) => `模型对它所知的全部 ${tokens} 个词元给出的概率，从高到低。`,
  text: '文本',
  edits: '计算时做了这些修改：',
  damaged: (detail) =>
    `本页无法显示其中的分析，数据有误（${detail}）。文件可能不完整，请重新保存。`,
  python: 'Python 可以应答：输入另一段文本，或选择一个注意力头并关闭它。',
  run: '运行',
  running: 'Python 正在计算…',
  refused: (reason) => `Python 没有应答：${reason}`,
};
