// Chinese: what the page ignored of a link.
import type { Dictionary } from '../shape';

export const link: Dictionary['link'] = {
  unread: '此链接有一部分无法读取，已忽略：',
  absent: '此链接有一部分属于其他模型或文本，这里没有，已忽略：',
  newer: '此链接由更新版本的页面生成，当前版本不认识的内容已忽略。',
  named: (name, field) => `${name}（${field}）`,
  between: '；',
  more: (fields) => `另有 ${fields} 项`,
  close: '关闭',
  fields: {
    model: '模型',
    variant: '变体',
    compared: '用于对比的变体',
    prompt: '文本末尾',
    ids: '词元编号',
    typed: '输入的词元数',
    withoutFirst: '文本之前的词元',
    token: '词元',
    head: '注意力头',
    headsOff: '关闭的头',
    edits: '编辑',
    part: '注意力图的局部',
    comparedPart: '差异图的局部',
    shown: '显示的激活',
    open: '打开的激活',
    sampling: '采样设置',
    language: '语言',
    provider: '运行位置',
    root: '颜色',
  },
};
