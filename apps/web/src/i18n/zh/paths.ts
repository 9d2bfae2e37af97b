// Chinese: the tree of the likeliest continuations.
import type { Dictionary } from '../shape';

export const paths: Dictionary['paths'] = {
  title: '最可能的走向',
  caption:
    '文本最可能怎样继续：每一步保留联合概率最高的几条续写并接着展开（束搜索）。选一个词元，就把到它为止的路径接到文本后面。',
  formula:
    '一条路径的联合概率 = 其中各词元概率之积，每个词元的概率都以文本和路径的前面部分为条件。与温度和截断无关。',
  whole: '该模型一次读入整段文本，不会续写，因此没有走向可看。',
  depth: '向前的词元数',
  width: '保留的路径数',
  open: '开始搜索',
  close: '关闭这棵树',
  cost: (runs, tokens, stepTime) =>
    `至多 ${runs} 次运行，每次在已缓存的文本后面接至多 ${tokens} 个词元${stepTime === null ? '' : `；在本设备上接一个词元约 ${stepTime}`}。`,
  working: (done, of) => `正在搜索：已完成 ${done} 次运行，至多 ${of} 次`,
  full: '文本已占满模型能读的长度，后面接不下了。',
  treeLabel: '最可能路径的树。方向键移动，回车把到该词元为止的路径接到文本后面。',
  node: (token, own, joint) => `${token} ${joint}：到此为止的路径；在前文之后的概率 ${own}`,
  ends: '文本到此结束',
  reading: (path, joint, nats, own) =>
    `${path} ：整条路径 ${joint}（ln p = ${nats}），最后一个词元 ${own}。`,
  legendOwn: '横条：词元在前文之后的概率，0 到 100%',
  legendJoint: '连线：路径的联合概率，越粗越可能',
  legendDropped: '虚线：没有保留下来的路径',
  best: '保留下来的路径',
  path: '路径',
  joint: '联合概率',
  nats: '对数概率',
  take: '接上',
  takeNamed: (path) => `接上：${path}`,
  together: (probability) => `它们合计占同样长度的全部续写的 ${probability}。`,
  stale: '这棵树属于先前的文本。',
};
