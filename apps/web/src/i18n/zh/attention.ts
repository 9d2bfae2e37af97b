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
  kindLabel: '哪种注意力',
  kinds: { attn_probs: '概率', attn_scores: '原始分数', weighted: '按值加权' },
  kindTitles: {
    attn_probs: 'softmax 之后：每行之和为 1',
    attn_scores: 'softmax 之前',
    weighted: '概率乘以所取值向量的范数',
  },
  overLabel: '单个头或多个头',
  overs: { head: '单个头', mean: '平均', max: '最大' },
  overTitles: {
    head: '所指或所选的头',
    mean: '多个头的平均',
    max: '多个头中的最大值',
  },
  set: '头',
  setOpen: '所有已打开的',
  ofHeads: (over, heads) => `${count(heads)} 个头的${over === 'mean' ? '平均' : '最大值'}`,
  log: '对数刻度',
  logTitle: '颜色按对数变化，便于看清极小的数值',
  logMeans: '颜色从 0.01% 到 100% 按对数变化；更小的数值与 0.01% 同色。',
  weightedMeans:
    '按值加权：p‖v‖ / Σ p‖v‖，即注意力 p 乘以该头值向量 v 的范数（不含输出矩阵），再使每行之和为 1。被看到但值向量很小的词元，所占很少。',
  togetherMeans: '大图的每一格是所选各头的平均值或最大值。',
  root: '突出较小的数值',
  gridLabel: '注意力头：纵向为层，横向为头',
  headName: (layer, head) => `第 ${layer} 层，头 ${head}`,
  headLabel: (layer, head, off) => `第 ${layer} 层，头 ${head}${off ? '，已关闭' : ''}`,
  off: '关',
  habits: (habits) =>
    `平均有 ${percent(habits.previous)} 落在前一个词元，${percent(habits.first)} 落在首个词元，${percent(habits.self)} 落在自身${habits.induction === null ? '' : `，${percent(habits.induction)} 落在同一词元上次出现时的后一个词元`}。`,
  mapRole: '注意力图',
  mapLabel: (head) => `注意力图：${head}。方向键移动，回车锁定一行，加号和减号缩放。`,
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
  legends: { attn_probs: '注意力', attn_scores: '分数', weighted: 'p‖v‖ 的占比' },
  switchOff: (layer, head) => `关闭第 ${layer} 层头 ${head}`,
  switchOn: (layer, head) => `重新打开第 ${layer} 层头 ${head}`,
  arcsTitle: (head) => `${head}，画在文本上`,
  arcsCaption:
    '被框住的词元沿着彩色线回看，线越粗，注意力越多。淡线是其他词元超过 30% 的去向。指向另一个词元即可跟随它。',
  arcsLabel: '文本与一个词元的注意力',
  looksAt: '当前词元：',
};
