// Chinese: the runs that the reader keeps.
import { count } from '../number_format';
import type { Dictionary } from '../shape';

export const runs: Dictionary['runs'] = {
  title: '保留的运行',
  caption: '保留的是运行的描述：模型、变体、文本和编辑。每次打开或对比时，数值都会重新计算。',
  keep: '保留这次运行',
  none: '还没有。',
  named: (text, edits) => (edits === 0 ? text || '无文本' : `${text} · ${edits} 条编辑`),
  name: (name) => `运行“${name}”的名称`,
  facts: (model, variant, edits) =>
    `${model} · ${variant}${edits === 0 ? '' : ` · ${edits} 条编辑`}`,
  seed: '采样得到的词元已经是文本的一部分，所以不需要随机种子。',
  open: '打开',
  openNamed: (name) => `打开运行“${name}”`,
  compare: '对比',
  compareNamed: (name) => `与运行“${name}”对比`,
  remove: '移除',
  removeNamed: (name) => `移除运行“${name}”`,
  isCompared: '正在对比',
  cannotOpen: '它的模型无法在这里打开。',
  notInLink: (runs) =>
    `有 ${count(runs)} 次运行没有写进链接：文本太长、编辑里有粘贴的数值、文件在本设备上，或链接已满。重新加载页面会丢失。`,
  leftOutOfLink: (runs) => `打开的链接略去了 ${count(runs)} 次运行。`,
};
