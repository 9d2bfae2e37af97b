// Chinese: what holds for every view.
import type { Dictionary } from '../shape';

export const views: Dictionary['views'] = {
  notLoaded: (title) =>
    `此处缺少“${title}”：页面的这一部分没有加载成功。请检查网络后重试；如果页面刚刚更新过，请重新加载。`,
  reload: '重新加载页面',
  list: '视图',
  rail: '文本与预测',
  questions: {
    next: '模型接下来预期什么？',
    overview: '哪些头在做什么？',
    attention: '每个词元在看哪里？',
    lens: '每一层会怎样预测？',
    attribution: '是哪一部分促成了这个词元？',
    neurons: '哪些神经元在此激活，写入了什么？',
    features: '字典的哪些特征在此激活，起什么作用？',
    units: '这个神经元在整个语料上做什么？',
    steps: '它对每个词元有多大把握，还有哪些可能？',
    paths: '文本最可能怎样继续？',
    interventions: '如果改动某个部分会怎样？',
    activations: '内部流过哪些数值？',
    compare: '两次运行有什么不同？',
    facts: '这里运行的是什么，结果对吗？',
  },
  fold: (title) => `收起“${title}”`,
  unfold: (title) => `展开“${title}”`,
  alone: (title) => `只看此项：${title}`,
  onlyOne: '只看此项',
  all: '全部视图',
};
