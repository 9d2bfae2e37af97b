// Chinese: the panel of activations.
import type { Dictionary } from '../shape';

export const panel: Dictionary['panel'] = {
  title: '内部激活',
  caption:
    '模型一路上算出的全部内容，按层和种类排列。没有导出的也能在这里打开：无需下载，权重不变。点方块查看数值，点列名则在所有层打开这一种。',
  states: {
    exported: '随模型导出',
    tapped: '临时打开',
    closed: '可以打开',
    absent: '模型文件里没有',
  },
  cell: (name, state) =>
    `${name}：${{ exported: '已导出，已打开', tapped: '临时打开', closed: '未打开，点击打开', absent: '模型文件里没有' }[state]}`,
  wholeColumn: '点击可在所有层打开，再点则关闭临时打开的部分',
  opened: (time) => `上一次更改用了 ${time}。`,
  preparing: (time, isBeside) =>
    `正在按这些激活重新准备模型，上一次用了 ${time}。${isBeside ? '准备好之前，模型照常回答。' : '准备好之后，模型继续回答。'}`,
  keepOpen: '保持原样',
  lengths: (kind, token) => `各层 ${kind} 的向量长度，每列一个词元。数值对应：${token}`,
  close: '关闭',
  waiting: '正在打开…',
  leftOut: '没有打开：对这段文本来说，内存不够。',
  rotary: '，旋转位置编码的模型中为 ',
  elsewhere: '它有专门的视图，前往查看。',
};
