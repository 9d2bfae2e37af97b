// Chinese: what the model expected at every token of the text, and the text edited in the middle.
import type { Dictionary } from '../shape';

export const steps: Dictionary['steps'] = {
  title: '逐个词元',
  caption:
    '对文本中的每个词元：模型读完前文后认为它有多大可能、在所有词元中排第几，以及当时还有哪些可能。选另一个词元，就会把它换上去。',
  whole:
    '对文本中的每个词元：模型读过整段文本（包括该词元自身）后，认为它在此处有多大可能、在所有词元中排第几，以及还有哪些可能。把它换成掩码，就能看到模型仅凭其余词元的判断。',
  open: '读出每个词元',
  cost: (tokens, runTime) =>
    `需要把文本再运行一遍，并在 ${tokens} 个词元处都做预测${runTime === null ? '' : `（上次只运行文本用了 ${runTime}）`}。`,
  working: '正在读出每个词元…',
  retry: '重试',
  close: '关闭',
  short: '文本只有一个词元，它之前没有内容。',
  show: '显示',
  shown: { generated: '生成或选取的词元', all: '所有词元' },
  noneGenerated: '这段文本中没有生成或选取的词元。',
  rest: '替换一个词元后，它后面的文本',
  rests: { keep: '保留', cut: '删去' },
  restHint: '只从被替换的词元起重新计算，之前的部分用缓存。撤销可以恢复原来的文本。',
  listLabel: '文本中的词元',
  position: '位置',
  token: '词元',
  probability: '概率',
  rank: '排名',
  entropy: '不确定度（比特）',
  others: '当时还有哪些可能',
  first: '之前没有内容',
  choose: (token, probability, position, old) =>
    `${token} ${probability}：用它替换位置 ${position} 的 ${old}`,
  own: (token, probability) => `${token} ${probability}，即文本中的词元`,
  detail: (position, old) => `位置 ${position}（现为 ${old}）最可能的词元`,
  detailHint: '选中文本中的一个词元，可以看到它的位置上还有哪些可能。',
  total: (tokens, nats, perplexity) =>
    `${tokens} 个词元合计：ln p = ${nats}；困惑度 ${perplexity}。`,
  unreplaceable: '这个词元加在所有文本之前，不能替换。',
};
