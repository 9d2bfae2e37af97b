// Chinese: the text and its tokens.
import { count } from '../number_format';
import type { Dictionary } from '../shape';

export const prompt: Dictionary['prompt'] = {
  title: '文本',
  titleIds: '词元编号',
  placeholder: '输入一句话',
  placeholderIds: '例如 464 3290 318',
  examplesLabel: '示例文本',
  tokensLabel: '文本的词元',
  tokensCaption: '模型读的是词元而不是单词，下方小字是词元编号。点一个词元，整页都会跟随它。',
  tokenName: (position, label, id) => `${label} ${id}：第 ${position} 个词元及其编号`,
  count: (used, limit) => `${count(used)} / ${count(limit)} 个词元`,
  tooLong: (tokens, limit) =>
    `共 ${count(tokens)} 个词元。模型最多读 ${count(limit)} 个，最后 ${count(tokens - limit)} 个未计入下方结果。`,
  farTooLong: (limit) =>
    `模型最多读 ${count(limit)} 个词元，这段文本远不止这些：下方只是开头部分的结果。`,
  tokenizerUnsupported: (detail) =>
    `本页无法使用该模型的分词器（${detail}），因此请直接输入词元编号。可在 transformers 中用模型自带的分词器得到编号。`,
  tokenizerDiffers: (text, expected, got) =>
    `对于“${text}”，本页的分词器${got === null ? '得不到词元' : `得到编号 ${got}`}，而 transformers 得到 ${expected}。词元错了，数字也就错了，因此请直接输入词元编号，可用模型自带的分词器得到。`,
  undo: '撤销',
  redo: '重做',
  first: (tokens) => `该模型的分词器会在文本前加上 ${tokens}。`,
  firstAway: (tokens) => `该模型的分词器会在文本前加上 ${tokens}，现已去掉。`,
  takeFirst: '去掉它',
  takeAway: (token) => `× 去掉文本前的 ${token}`,
  putFirst: '加回来',
  keptIds: '这些词元不是分词器对这段文本的切分结果。它们的编号会原样保留，链接中也是如此。',
  idsGivenUp: '之前保留的编号与当前文本或模型不符，现在的词元由分词器重新切分得出。',
  retokenize: '重新分词',
  notInLink: '文本太长，无法放进链接：本页地址中不含这段文本。',
  notIds: (text, vocab) =>
    `“${text}”不是词元编号。请输入 0 到 ${count(vocab - 1)} 之间的整数，用空格分隔。`,
  empty: '输入一句话，或选一个示例：只要有一个词元可读，模型就会开始。',
  examples: {
    manyVerbs: {
      name: '多种接法',
      why: '这里能接许多动词，模型把概率分给了它们。点“生成”，看它会选中哪一个。',
    },
    indirectObject: {
      name: '书给了谁',
      why: 'John 把书给出去，收书的就该是 Mary。哪些注意力头会看向她的名字？',
    },
    induction: { name: '重复的列表', why: '列表从头重来。归纳头会找到上一次接下来的词。' },
    agreement: {
      name: '单数还是复数',
      why: '动词要与 keys 一致，尽管 shelf 和 window 离得更近。',
    },
    brackets: { name: '括号', why: '最后打开的先闭合，是哪一个？' },
    counting: { name: '数数', why: '按顺序的数字：七后面是什么？' },
    days: { name: '星期', why: '按顺序的星期：星期五后面是哪一天？' },
    quotes: { name: '未闭合的引号', why: '有人开口说话，引号还没有合上。' },
  },
};
