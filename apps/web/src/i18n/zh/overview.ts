// Chinese: the overview of heads.
import { count } from '../number_format';
import type { Dictionary } from '../shape';

export const overview: Dictionary['overview'] = {
  title: '注意力头总览',
  caption: (theme) =>
    `每张小图是一个注意力头在你的文本上的注意力：每一行是一个词元在回看前文，颜色越${theme === 'light' ? '深' : '亮'}，注意力越多。标签由实测分数得出，说明这个头主要在做什么。点按一个头，所有视图都会显示它。`,
  role: '头在做什么',
  threshold: '计入门槛',
  whichHeads: '符合的头（层.头）',
  thresholdOf: (role) => `“${role}”的门槛`,
  onlyRole: (role) => `只显示这类头：${role}`,
  nats: '奈特',
  andMore: (more) => `另有 ${count(more)} 个`,
  noneReaches: '没有；最接近的是',
  noRepeats: '这段文本里没有重复的词元。',
  roles: {
    previous_token: {
      name: '前一个词元',
      short: '前一',
      mark: '前',
      meaning: '看紧挨着的前一个词元。分数：落在它上面的平均注意力。',
    },
    first_token: {
      name: '首个词元',
      short: '首个',
      mark: '首',
      meaning: '停在首个词元上，常见于无处可看的时候。分数：落在它上面的平均注意力。',
    },
    duplicate_token: {
      name: '先前的相同词元',
      short: '相同',
      mark: '同',
      meaning:
        '寻找同一词元（例如同一个名字）先前出现的位置。分数：重复出现的词元落在这些位置上的平均注意力。',
    },
    induction: {
      name: '归纳',
      short: '归纳',
      mark: '归',
      meaning:
        '看同一词元先前出现时后面跟着的词元，以便接着重复。分数：重复出现的词元落在那里的平均注意力。',
    },
    entropy: {
      name: '专注',
      short: '专注',
      mark: '专',
      meaning: '只看少数词元。分数：各行的平均熵 −Σ p ln p；只看一个词元时为 0，越低越专注。',
    },
  },
  measuredOn: '分数测自',
  repeats: '重复两遍的随机词元',
  text: '你的文本',
  onRepeats: (tokens, seed) =>
    `测自 ${count(tokens)} 个随机词元及其原样重复（随机种子 ${seed}），不含改动：头在这里的行为与语言知识无关。`,
  ofRepeats: (tokens, seed) => `${count(tokens)} 个随机词元重复两遍的分数（种子 ${seed}）`,
  onText: (tokens) =>
    `测自你的文本，共 ${count(tokens)} 个词元。短文本只是弱证据：词元太少，头看向那里也可能另有原因。`,
  notMeasured: '尚未测量。',
  measuring: '正在测量……',
  measure: '用重复两遍的随机词元测量',
  measureCost: (session) => `这会多运行一段文本，可能需要重新准备模型（上次用了 ${session}）。`,
  seed: '随机种子',
  sort: '排列',
  byModel: '按模型顺序',
  by: (role) => `按“${role}”`,
  only: '只显示这些头',
  onlyHint: '例如 0-3, 5.2：第 0 至 3 层，以及第 5 层的头 2。留空则显示全部。',
  unread: (got, layers, heads) =>
    `无法识别“${got}”；层应在 0 到 ${layers - 1} 之间，写作 2 或 0-3；头写作 5.2，编号 0 到 ${heads - 1}。`,
  shownOf: (shown, all) => `显示 ${count(shown)} / ${count(all)} 个头`,
  showAll: '全部显示',
  nothing: '在当前门槛下，没有这类头。',
  closed: (layers, session, size) =>
    `有 ${layers} 层没有打开。打开需要重新准备模型（上次用了 ${session}），这段文本要占用 ${size}。`,
  openLayers: '打开所有层',
  opening: '正在计算所有层的注意力图……',
  retry: '重试',
  closedMap: '未打开',
  gridLabel: '所有注意力头',
  legend: '注意力',
  reading: (head, scores, where) => `${head}：${scores.join('，')}（${where}）`,
  readingHint: '指向一个头，或用方向键移过去，即可读出准确分数。',
  score: (role, value) => `${role} ${value}`,
  pictureTitle: (model) => `${model} · 注意力头`,
  pictureScores: '标签依据',
};
