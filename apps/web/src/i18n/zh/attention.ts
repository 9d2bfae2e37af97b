// Chinese: the attention maps.
import { count, percent } from '../number_format';
import type { Dictionary } from '../shape';

export const attention: Dictionary['attention'] = {
  title: '注意力',
  caption: (theme) =>
    `每张小图是一个注意力头。每一行是一个词元在回看它之前的词元，颜色越${theme === 'light' ? '深' : '亮'}，注意力越多。指向一张图可放大查看，点击可锁定。`,
  layersOpen: (layers) => `已打开第 ${layers.join('、')} 层。`,
  openOthers: (maps) => `打开其余 ${maps} 层`,
  noneOpen: '没有打开任何注意力图。可在下方的激活面板中打开。',
  kindLabel: 'softmax 之前或之后',
  probabilities: '概率',
  scores: '原始分数',
  root: '突出较小的数值',
  gridLabel: '注意力头：纵向为层，横向为头',
  headName: (layer, head) => `第 ${layer} 层，头 ${head}`,
  headLabel: (layer, head, off) => `第 ${layer} 层，头 ${head}${off ? '，已关闭' : ''}`,
  off: '关',
  habits: (habits) =>
    `平均有 ${percent(habits.previous)} 落在前一个词元，${percent(habits.first)} 落在首个词元，${percent(habits.self)} 落在自身${habits.induction === null ? '' : `，${percent(habits.induction)} 落在同一词元上次出现时的后一个词元`}。`,
  mapRole: '注意力图',
  mapLabel: (layer, head) =>
    `第 ${layer} 层头 ${head} 的注意力图。方向键移动，回车锁定一行，加号和减号缩放。`,
  mapHint: '指向一格，或聚焦此图后用方向键，即可读出数值。',
  cell: (from, to, value) => `${from}  看向  ${to}，占 ${value}`,
  future: (from, to) => `${from}  看不到后面的  ${to}`,
  window: {
    label: '显示范围',
    closer: '放大',
    whole: '整张图',
    how: '也可以在图上拖出一个方框、用两指张开或捏合、按住 Ctrl 转动滚轮，或按 + 和 −；按 Esc 返回。',
    move: { left: '左移', up: '上移', down: '下移', right: '右移' },
    all: (tokens) => `全部 ${count(tokens)} 个词元。`,
    part: (rows, columns, tokens) =>
      `第 ${rows.join('–')} 个词元看向第 ${columns.join('–')} 个词元，共 ${count(tokens)} 个。`,
    pooled: (perCell, signed) =>
      `每个色块代表 ${perCell} × ${perCell} 个词元，显示其中${signed ? '绝对值最大的数值' : '最大的数值'}。`,
  },
  hidden: (from, to) => `${from}  被模型的掩码挡住，看不到  ${to}`,
  ownScales: '每张分数图各用自己的刻度，以该图中绝对值最大的分数为界；下方的刻度属于大图。',
  smallPooled: (signed) =>
    `小图的像素少于词元：每个像素显示它所覆盖的数值中${signed ? '绝对值最大的' : '最大的'}一个。`,
  weight: '注意力',
  score: '分数',
  switchOff: (layer, head) => `关闭第 ${layer} 层头 ${head}`,
  switchOn: (layer, head) => `重新打开第 ${layer} 层头 ${head}`,
  arcsTitle: (head) => `${head}，画在文本上`,
  arcsCaption:
    '被框住的词元沿着彩色线回看，线越粗，注意力越多。淡线是其他词元超过 30% 的去向。指向另一个词元即可跟随它。',
  arcsLabel: '文本与一个词元的注意力',
  looksAt: '当前词元：',
};
