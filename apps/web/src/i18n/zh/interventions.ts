// Chinese: the view of interventions, its list of edits and its patching sweep.
import type { Dictionary } from '../shape';

const quoted = (text: string): string => `“${text}”`;
/** A space stands between a letter or digit and what follows in Chinese. */
const spaced = (text: string): string => (/\w$/.test(text) ? `${text} ` : text);

export const interventions: Dictionary['interventions'] = {
  title: '干预',
  caption:
    '改动模型的计算，看看会发生什么。下面的编辑对所有视图和生成的文本都起作用，直到你把它们关掉。',
  none: '还没有编辑。模型按训练时的方式计算。',
  listLabel: '编辑列表',
  places: {
    resid_pre: (layer) => `第 ${layer} 层之前的残差流`,
    resid_mid: (layer) => `第 ${layer} 层中间的残差流`,
    resid_post: (layer) => `第 ${layer} 层之后的残差流`,
    attn_z: (layer) => `第 ${layer} 层的所有头`,
    attn_output: (layer) => `第 ${layer} 层的整个注意力`,
    mlp_act: (layer) => `第 ${layer} 层的所有神经元`,
    mlp_output: (layer) => `第 ${layer} 层的整个 MLP`,
    heads: (heads, layer) => `第 ${layer} 层的头 ${heads}`,
    neurons: (neurons, layer) => `第 ${layer} 层的神经元 ${neurons}`,
    other: (joint, layer) => `第 ${layer} 层的 ${joint}`,
  },
  everywhere: '所有位置',
  at: (positions) => `位置 ${positions}`,
  span: (first, last) => `${first}–${last}`,
  from: (first) => `从位置 ${first} 起`,
  until: (last) => `到位置 ${last} 为止`,
  off: (place, where) => `关闭${place}，${where}`,
  scaled: (place, factor, where) => `${spaced(place)}乘以 ${factor}，${where}`,
  blind: (query, key, layer, heads) =>
    `第 ${layer} 层${heads === null ? '' : `头 ${heads}`}：${spaced(query)}看不到${key}`,
  queries: (positions) => (positions === null ? '所有位置' : `位置 ${positions}`),
  steered: (place, strength, direction, where) =>
    `引导${place}：加上 ${strength} ×${direction}，${where}`,
  difference: (towards, away) => `（${quoted(towards)} − ${quoted(away)}）`,
  unembedding: (towards, away) =>
    away === null
      ? ` ${quoted(towards)} 的反嵌入方向`
      : `（${quoted(towards)} − ${quoted(away)}）的反嵌入方向`,
  pasted: (numbers) => ` 粘贴的 ${numbers} 维向量`,
  averaged: (place, text, where) => `${spaced(place)}换成它在${quoted(text)}上的均值，${where}`,
  patched: (place, text, where) => `${spaced(place)}换成${quoted(text)}中的值，${where}`,
  patchedFrom: (place, text, { at, layer }, where) =>
    `${spaced(place)}换成${quoted(text)}中位置 ${at} 在第 ${layer} 层之后的值，${where}`,
  clamped: (place, value, where) => `将${spaced(place)}的一个特征设为 ${value}，${where}`,
  other: (edit, place, where) => `${place}：${edit}，${where}`,
  switchLabel: (edit) => `启用：${edit}`,
  edit: '修改',
  editNamed: (edit) => `修改：${edit}`,
  remove: '删除',
  removeNamed: (edit) => `删除：${edit}`,
  strengthOf: (edit) => `强度：${edit}`,
  valueOf: (edit) => `数值：${edit}`,
  notLinked: '本页的链接不带这条编辑的数值，因此不包含它。',
  noNumbers: '这条编辑没有生效，因为算不出它的数值：',
  allOff: '全部关闭',
  form: {
    title: '新的编辑',
    titleOf: '修改这条编辑',
    kind: '做什么',
    kinds: {
      scale: '关闭或缩放',
      'knock-out': '不让一个词元看向另一个',
      steer: '引导残差流',
      mean: '换成一段文本上的均值',
    },
    part: '部分',
    parts: {
      head: '一个头',
      neuron: 'MLP 的一个神经元',
      attention: '整个注意力',
      mlp: '整个 MLP',
    },
    layer: '层',
    head: '头',
    everyHead: '全部',
    neuron: '神经元',
    factor: '倍数（0 为关闭）',
    positions: '位置',
    positionsHint: '留空为全部；3, 5–8 为其中几个；4– 为从第五个词元起的全部。',
    selected: (position, token) => `只在 ${position}，${token}`,
    query: '去看的词元',
    key: '看不到的词元',
    token: (position, label) => `${position}  ${label}`,
    direction: '方向',
    directions: { texts: '两段提示之差', tokens: '词元的反嵌入', numbers: '粘贴的数值' },
    tokenA: '词元',
    tokenB: '减去词元（可留空）',
    tokensHint:
      '写词元编号或一个词。方向取该词元在反嵌入矩阵中的列（减去另一个的），乘以最后归一化的权重（若该归一化减去均值则同样减去），再缩放到长度 1；因此强度就是加到残差流上的长度。',
    measure: '那里的残差流有多长？',
    measured: (layer, length) =>
      `第 ${layer} 层之后，不带编辑：${length}（本文各词元处长度的中位数）。`,
    towards: '朝向的提示',
    away: '远离的提示',
    directionHint: '该层之后的残差流在前一段提示最后一个词元处的值，减去后一段的。',
    numbers: (count) => `${count} 个数`,
    strength: '强度',
    reference: '参考文本',
    add: '添加',
    save: '保存',
    cancel: '取消',
  },
  problems: {
    range: (name, got, most) =>
      `${name}：${got === '' ? '没有填写' : `收到${quoted(got)}`}，应为 0 到 ${most} 的整数。`,
    number: (name, got) =>
      `${name}：${got === '' ? '没有填写' : `收到${quoted(got)}`}，应为一个数。`,
    positions: (got, most) => `位置：收到${quoted(got)}，应为 0 到 ${most} 的数，例如 3, 5–8。`,
    text: (name) => `${name}：请在这里写一段文本。`,
    count: (got, expected) => `粘贴的数值：收到 ${got} 个，应为 ${expected} 个，即残差流的宽度。`,
    notToken: (name, got) =>
      `${name}：${got === '' ? '没有填写' : `收到${quoted(got)}`}，应为一个词元：编号或一个词。`,
    sameToken: '两个词元相同，相减之后什么也不剩。',
    unread: (got) => `粘贴的数值：${quoted(got)}不是数。`,
    blind: '这样一来，某个词元就没有可看的词元了。请至少给它留一个。',
    other: (detail) => `模型中没有这条编辑的位置：${detail}`,
  },
  effect: {
    title: '基线与编辑后',
    caption: (nats) =>
      `最可能的下一个词元，分别为不带编辑和带编辑时。两次预测相差 ${nats} 奈特：KL(基线 ‖ 编辑后)。`,
    unchanged: '没有启用的编辑时，基线与编辑后相同。',
    baseline: '基线',
    edited: '编辑后',
    change: '百分点',
    lens: '逐层对比',
    lensCaption: (position) =>
      `位置 ${position} 处每一层之后最可能的词元（logit lens），分别为不带编辑和带编辑时。`,
    lensClosed: '打开上方的逐层预测，即可逐层对比。',
  },
  badge: {
    label: '启用的编辑',
    title: (edits) => `已启用 ${edits} 条编辑`,
    remove: (edit) => `关闭：${edit}`,
    show: '显示',
    edited: '编辑后',
    baseline: '基线',
    baselineShown: '所有视图都显示不带编辑的模型。',
  },
  sweep: {
    title: '激活修补扫描（patching sweep）',
    caption:
      '对模型的每一处各运行一次这段文本，每次把这一处的值换成第二段文本中的值，由此看出两段文本的差别由哪些地方承载。上面的编辑对它不起作用。',
    source: '第二段文本，词元数须与本文相同',
    over: '替换',
    places: {
      stream: '残差流，层 × 位置',
      mlp: 'MLP，层 × 位置',
      attention: '注意力输出，层 × 位置',
      heads: '头，层 × 头',
    },
    metric: '度量',
    metrics: {
      'logit-difference': '两个词元的 logit 之差',
      divergence: '与第二段文本的预测之间的 KL 散度',
    },
    answer: '词元',
    other: '减去词元',
    answerHint: '写词元编号或一个词。留空：第二段文本最可能的词元，减去本文最可能的词元。',
    memory: '内存至多',
    run: '开始扫描',
    cancel: '取消',
    progress: (done, of) => `已完成 ${done} / ${of} 次`,
    running: '正在读两段文本…',
    lengths: (here, there) =>
      `第二段文本有 ${there} 个词元，本文有 ${here} 个：两者须相同，位置才能对应。`,
    noText: '请写第二段文本。',
    notToken: (got) => `${quoted(got)}不是模型的一个词元。`,
    sameTokens: '两段文本最可能的词元相同：请写明要度量的两个词元。',
    unfit: (detail) => `无法运行这次扫描：${detail}`,
    cancelled: '已取消，没有保留结果。',
    stale: '这张图属于先前的文本。',
    summary: (clean, corrupted, metric) =>
      `${metric}：本文为 ${corrupted}，第二段文本为 ${clean}。`,
    metricOf: (answer, other) => `${answer} 与 ${other} 的 logit 之差`,
    klMetric: '与第二段文本的预测之间的 KL 散度（奈特）',
    legend: '替换带来的差别所占的比例',
    legendPlain: '度量的变化',
    mapLabel: '扫描结果图。方向键移动，回车把这次替换添加为编辑。',
    cellAt: (layer, token, value, share) =>
      `第 ${layer} 层，${token} 处：${value}${share === '' ? '' : `，占 ${share}`}`,
    cellHead: (layer, head, value, share) =>
      `第 ${layer} 层头 ${head}：${value}${share === '' ? '' : `，占 ${share}`}`,
    add: '把这次替换添加为编辑',
    added: '已添加到编辑中。',
    positionAxis: '文本中的位置',
    headAxis: '头',
  },
};
