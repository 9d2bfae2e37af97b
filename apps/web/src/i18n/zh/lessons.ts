// Chinese: lessons and their panel.
import type { Dictionary } from '../shape';

export const lessons: Dictionary['lessons'] = {
  bar: '学习',
  newcomer: '第一次来？',
  tour: (steps) => `跟着导览走一遍：共 ${steps} 步`,
  other: (title, steps) => `${title}（${steps} 步）`,
  glossary: '术语解释',
  panel: '课程',
  fetching: '正在取课程…',
  step: (at, of) => `第 ${at} 步，共 ${of} 步`,
  stepTitle: (at, title) => `第 ${at} 步：${title}`,
  seenStep: '已看到',
  steps: '课程的步骤',
  back: '上一步',
  next: '下一步',
  finish: '完成',
  leave: '离开课程',
  leaveHint: '离开后，原来的文本和设置会恢复。',
  collapse: '收起课程',
  expand: '展开课程',
  show: '带我去看',
  doIt: '替我完成',
  again: '重做这一步',
  expected: '应该看到什么',
  seen: '已看到：页面上的数值与预期相符。',
  notYet: '还没有看到。',
  yours: '现在请动手试试，也可以让页面代劳。',
  measuring: '数值还在计算…',
  waitsFor: {
    lens: '需要先打开透镜',
    attention: '需要先打开注意力图',
    attribution: '正在计算归因',
    tokens: '模型还在加载',
  },
  unfit: (what) => `此模型或文本中没有 ${what}`,
  holds: '相符',
  fails: '不符',
  within: (least, most) => `预期 ${least} 到 ${most}`,
  above: (least) => `预期至少 ${least}`,
  below: (most) => `预期至多 ${most}`,
  equals: (what) => `预期 ${what}`,
  claims: {
    probability: (token) => `${token} 的概率`,
    likeliest: '最可能的下一个词元',
    difference: (token, other) => `${token} 与 ${other} 的 logit 之差`,
    lens: (layer) => `第 ${layer} 层之后最可能的词元`,
    attention: (head, from, to) => `头 ${head} 从 ${from} 看向 ${to} 的注意力`,
    attribution: (token, other) =>
      other === null ? `对 ${token} 贡献最大的头` : `最偏向 ${token} 而不是 ${other} 的头`,
    drawn: (token) => `采样抽到 ${token} 的概率`,
    kept: '采样可能抽到的词元数',
  },
  question: '想一想',
  answerLabel: '你的回答',
  check: '检查',
  right: '对了。',
  wrong: '还不对。',
  tryAgain: '再看一看，换一个答案试试。',
  end: '这是最后一步。',
  from: (host) => `这份课程来自 ${host}。`,
  errors: {
    unknown: (got, known) => `这里没有名为“${got}”的课程；需要 ${known} 之一，或一个 https 地址。`,
    address: (got) => `链接指定的课程是“${got}”；需要不含用户名和密码的 https 地址。`,
    origin: (got, allowed) =>
      `本页面不接受来自 ${got} 的课程，只接受来自 ${allowed} 的课程。请联系页面的维护者，把该主机加入允许范围。`,
    missing: (url, status) =>
      status === null
        ? `没能从 ${url} 取得课程：主机没有响应，或不允许其他页面读取（CORS）。请检查地址和网络。`
        : `${url} 处没有课程（HTTP ${status}）。请检查地址。`,
    tooLarge: (url, limit) => `${url} 处的课程超过了 ${limit}，请缩短。`,
    invalid: (url, detail) =>
      `${url} 处的内容不是本页面能读取的课程：${detail}。作者可以用“oriel lesson check”检查。`,
    version: (got, supported) =>
      `课程的版本是 ${got}，本页面只能读取 ${supported}。请刷新页面，或索取旧版格式的课程。`,
  },
  close: '关闭',
};
