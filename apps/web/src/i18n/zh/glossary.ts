// Chinese: the glossary.
import type { Dictionary } from '../shape';

export const glossary: Dictionary['glossary'] = {
  title: '术语解释',
  caption: '本页面用到的全部术语：一句解释、公式，以及数值在文件中的名称。',
  find: '查找术语',
  none: (text) => `没有与“${text}”相符的术语。`,
  formula: '公式',
  contract: '在文件和脚本中的名称',
  explain: (term) => `“${term}”是什么？`,
  mark: '？',
  ofView: '这个视图里的术语是什么意思？',
  close: '关闭',
  all: '全部术语',
};
