// The page's Chinese. Its shape is given by en.ts.
import type { Dictionary } from './dictionary';
import { count, percent } from './number_format';

export const zh: Dictionary = {
  code: 'zh',
  htmlLanguage: 'zh-CN',
  pageTitle: 'Oriel：看进 Transformer 的内部',
  otherLanguage: 'English',
  skip: '跳到注意力图',
  tagline: '模型读你的句子时，看看它内部在做什么。',
  model: '模型',
  modelByAddress: '来自此地址',
  runsOn: '运行于',
  providers: { auto: '自动选择', webgpu: 'WebGPU', wasm: 'WebAssembly' },
  useLight: '切换到浅色',
  useDark: '切换到深色',
  layer: '层',
  layerShort: (layer) => `L${layer}`,
  headShort: (head) => `H${head}`,
  locked: '已锁定，按 Esc 释放',
  save: '另存为',
  copy: '复制完整值',
  copied: '已复制',
  stop: '。',
  source: '模型就在这个标签页里运行，你输入的内容不会离开本机。',

  loading: {
    label: '正在打开模型',
    phases: {
      manifest: '正在查找模型',
      runtime: '正在启动运行时',
      download: '正在下载权重',
      session: '正在准备模型',
    },
    bytes: (received, total) => `${received} / ${total}`,
    abort: '停止',
    retry: '重试',
    otherWays: {
      wasm: '改用 WebAssembly',
      'first-variant': '打开第一个变体',
      'exported-activations': '打开已导出的激活',
    },
    promise: '模型在你的电脑上、就在这个标签页里运行。页面上的每个数字都由它算出。',
  },

  errors: {
    got: '实际',
    expected: '应为',
    address: '地址',
    detail: '详情',
    known: '可选',
    aborted: { what: '加载已停止。', next: '没有丢失任何内容，随时可以重试。' },
    notFound: {
      what: '这个地址没有模型。',
      next: '请先导出一个模型（make demo 会生成自带的模型），或检查 VITE_MODEL_URL 中的地址。',
      expected: 'model.onnx 或 manifest.json',
    },
    network: {
      what: '无法取得模型。',
      next: '请确认网络可用、且该主机允许本页面的请求（CORS），然后重试。',
    },
    notAManifest: {
      what: '这个地址返回的内容不是本页面能读的清单文件。',
      next: '请把地址指向导出器写出的 manifest.json，或重新导出模型。',
    },
    contractVersion: {
      what: '这个模型是按另一个版本的契约导出的。',
      next: '请用与本页面配套的导出器重新导出。',
    },
    integrity: {
      what: '有一个文件与清单所述不符。',
      next: '下载可能中断，或文件在途中被改动。请重试；若仍如此，请重新导出或上传模型。',
      file: '文件',
    },
    tooLarge: {
      what: '模型中有一个文件超出了浏览器能容纳的大小。',
      next: '请换一个更小的模型，或以更低的精度导出。',
      expected: (limit) => `不超过 ${limit}`,
    },
    unknownVariant: { what: '模型没有这个名字的变体。', next: '请选择它已有的变体。' },
    unknownActivation: { what: '模型没有这个名字的激活。', next: '请打开它已导出的激活。' },
    noTokenizer: { what: '这个模型没有附带分词器，读不了文本。', next: '请改为输入词元编号。' },
    badTokens: {
      what: '其中有模型不认识的词元。',
      next: '请修改文本，或使用小于词表大小的编号。',
    },
    tooLong: {
      what: '文本超出了模型能读的长度。',
      next: '请缩短文本。',
      tokens: (tokens) => `${count(tokens)} 个词元`,
      expected: (limit) => `不超过 ${count(limit)} 个词元`,
    },
    providerUnavailable: {
      what: (provider) => `${provider} 在这里无法运行这个模型。`,
      next: '请选择随处可用的 WebAssembly，或换一个浏览器。',
    },
    session: {
      what: '运行时打不开这个模型。',
      next: '请重试，或在 WebGPU 与 WebAssembly 之间切换。若仍如此，请用 verify.py 检查导出结果。',
    },
    run: {
      what: '模型读这段文本时出错了。',
      next: '请修改文本或重新加载模型。下方的数字仍属于之前的文本。',
    },
  },

  prompt: {
    title: '文本',
    titleIds: '词元编号',
    placeholder: '输入一句话',
    placeholderIds: '例如 464 3290 318',
    examplesLabel: '示例文本',
    tokensLabel: '文本的词元',
    tokensCaption: '模型读的是词元而不是单词，下方小字是词元编号。点一个词元，整页都会跟随它。',
    tokenName: (position, label, id) => `第 ${position} 个词元：${label}，编号 ${id}`,
    count: (used, limit) => `${count(used)} / ${count(limit)} 个词元`,
    tooLong: (tokens, limit) =>
      `共 ${count(tokens)} 个词元。模型最多读 ${count(limit)} 个，最后 ${count(tokens - limit)} 个未计入下方结果。`,
    notIds: (text, vocab) =>
      `“${text}”不是词元编号。请输入 0 到 ${count(vocab - 1)} 之间的整数，用空格分隔。`,
    empty: '输入一句话，或选一个示例：只要有一个词元可读，模型就会开始。',
    examples: {
      indirectObject: {
        name: '书给了谁',
        why: 'John 给出，那么收到的是 Mary。哪些头会看向她的名字？',
      },
      induction: { name: '重复的列表', why: '列表从头重来。归纳头会找到上一次接下来的词。' },
      agreement: {
        name: '单数还是复数',
        why: '动词要与 keys 一致，尽管 shelf 和 window 离得更近。',
      },
      brackets: { name: '括号', why: '接下来该闭合哪一个括号？' },
      counting: { name: '数数', why: '按顺序的数字：七后面是什么？' },
      days: { name: '星期', why: '星期五的后一天，前面有一个例子可循。' },
      quotes: { name: '未闭合的引号', why: '有人开口说话，引号还没有合上。' },
    },
  },

  next: {
    title: '接下来是什么',
    caption: (vocab) =>
      `模型对它所知的全部 ${vocab} 个词元给出的概率，从高到低。点一个即可接在后面。`,
    token: '词元',
    truth: '模型给出',
    drawn: '采样时',
    cut: '被截去',
    append: '接上这个词元',
    appendNamed: (label) => `接上 ${label}`,
    rest: (tokens, probability) => `其余 ${tokens} 个词元共占 ${probability}。`,
    more: '显示更多',
    fewer: '显示更少',
    entropy: (bits, choices) => `不确定度 ${bits} 比特：相当于在 ${choices} 个等可能的选项中犹豫。`,
    beforeMark: '深色短线标出关闭注意力头之前的概率。',
  },

  generate: {
    label: '生成',
    play: '生成',
    stop: '停止',
    step: '一个词元',
    back: '删去末尾',
    temperature: '温度',
    likeliest: '0，取最高',
    all: '全部',
    contextFull: (limit) => `文本已占满模型能读的 ${count(limit)} 个词元。`,
    endToken: '模型结束了文本。',
  },

  attention: {
    title: '注意力',
    caption: (theme) =>
      `每张小图是一个注意力头。每一行是一个词元在回看它之前的词元，颜色越${theme === 'light' ? '深' : '亮'}，注意力越多。指向一张图可放大查看，点击可锁定。`,
    layersOpen: (layers) => `已打开第 ${layers.join('、')} 层。`,
    openOthers: (maps) => `打开其余 ${maps} 层`,
    noneOpen: '没有打开任何注意力图。可在下方的激活面板中打开。',
    kindLabel: 'softmax 之前或之后',
    probabilities: '概率',
    scores: '原始分数',
    root: '突出小的数值',
    gridLabel: '注意力头：纵向为层，横向为头',
    headName: (layer, head) => `第 ${layer} 层，头 ${head}`,
    headLabel: (layer, head, off) => `第 ${layer} 层，头 ${head}${off ? '，已关闭' : ''}`,
    off: '关',
    habits: (habits) =>
      `平均有 ${percent(habits.previous)} 落在前一个词元，${percent(habits.first)} 落在首个词元，${percent(habits.self)} 落在自身${habits.induction === null ? '' : `，${percent(habits.induction)} 落在同一词元上次出现时的后一个词元`}。`,
    mapRole: '注意力图',
    mapLabel: (layer, head) => `第 ${layer} 层头 ${head} 的注意力图。方向键移动，回车锁定一行。`,
    mapHint: '指向一格，或聚焦此图后用方向键，即可读出数值。',
    cell: (from, to, value) => `${from}  看向  ${to}，占 ${value}`,
    future: (from, to) => `${from}  看不到后面的  ${to}`,
    weight: '注意力',
    score: '分数',
    switchOff: '关闭这个头',
    switchOn: '重新打开',
    arcsTitle: (head) => `${head}，画在文本上`,
    arcsCaption:
      '被框住的词元沿着彩色线回看，线越粗，注意力越多。淡线是其他词元超过 30 % 的去向。指向另一个词元即可跟随它。',
    arcsLabel: '文本与一个词元的注意力',
    looksAt: '回看的词元：',
  },

  effect: {
    title: (heads) => `已关闭 ${heads} 个头`,
    restore: '全部打开',
    remove: (head) => `打开${head}`,
    before: '之前',
    after: '之后',
    change: '百分点',
    caption: (bits, rank) =>
      `对下一个词元的影响。前后两次预测相差 ${bits} 比特（KL 散度）；原先最可能的词元现在排第 ${rank}。`,
    afterGeneration: '生成停止后，会给出与原模型的对比。',
  },

  lens: {
    title: 'Logit lens：逐层预测',
    caption:
      '如果模型在某一层就停下，它会接什么词。每一列是文本中的一个位置，每一行是一层；最底下一行是真正的预测。颜色越浓，模型越有把握。',
    closed: '逐层预测没有导出，但就在模型里。',
    partly: (open, all) => `已在 ${all} 层中的 ${open} 层打开。`,
    open: (layers) => `在全部 ${layers} 层打开`,
    cell: (layer, input, guess, probability, right) =>
      `第 ${layer} 层，${input} 之后：${guess}，${probability}${right ? '，与原文一致' : ''}`,
    reading: (layer, input) => `第 ${layer} 层之后，位于  ${input}`,
    legend: '最可能词元的概率',
    right: '与原文的下一个词元一致',
  },

  panel: {
    title: '内部激活',
    caption:
      '模型一路上算出的全部内容，按层和种类排列。没有导出的也能在这里打开：无需下载，权重不变。点方块查看数值，点列名则在所有层打开这一种。',
    states: {
      exported: '随模型导出',
      tapped: '现场接出',
      closed: '可以打开',
      absent: '此模型没有',
    },
    cell: (name, state) =>
      `${name}：${{ exported: '已导出，已打开', tapped: '现场接出', closed: '未打开，点击打开', absent: '此模型没有' }[state]}`,
    wholeColumn: '点击在所有层打开，再点则关闭现场接出的部分',
    opened: (time) => `上一次更改用了 ${time}。`,
    close: '关闭',
    waiting: '正在打开…',
    elsewhere: '它有专门的视图，前往查看。',
  },

  strip: {
    role: '数值条带',
    label: (name) => `${name}：每行一个词元。方向键移动，回车锁定一行。`,
    ofHead: (head, index) => `头 ${head} 的 ${index}`,
    value: (token, dimension, value) => `${token}  第 ${dimension} 维：${value}`,
    row: (token, length, above) => `${token}  的长度为 ${length}，${above} % 的数值大于零。`,
    strongest: '离零最远',
    legend: '数值',
    clipped: (limit, most) => `超出 ±${limit} 的数值用同一种颜色；离零最远的为 ${most}。`,
    pooled: (columns) =>
      `每行有 ${count(columns)} 个数值，多于像素：每个像素显示其中离零最远的一个。`,
  },

  facts: {
    title: '运行情况',
    caption: '上面的数字出自这个模型，以及它在这台设备上的速度。',
    model: '模型',
    shape: (parameters, layers, heads, hidden, vocab, context) =>
      `${parameters} 参数，${layers} 层 × ${heads} 头，宽度 ${hidden}，${vocab} 个词元，上下文 ${context}`,
    source: '来源',
    sources: { hub: 'Hugging Face Hub', folder: '本地文件夹', bundled: 'Oriel 自带' },
    digest: '权重（SHA-256）',
    digestMeaning: '由导出器对检查点计算',
    variant: '变体',
    variantDetail: (precision, opset) => `${precision}，ONNX opset ${opset}`,
    provider: '运行于',
    reasons: {
      requested: '因为你选择了它',
      'webgpu-available': '因为浏览器支持 WebGPU',
      'no-webgpu': '因为浏览器不支持 WebGPU',
      'no-adapter': '因为没有可用的图形适配器',
      'software-adapter': '因为此处的 WebGPU 也由处理器模拟，反而更慢',
      'small-model': '因为模型很小，不经显卡反而更快',
    },
    threads: '线程',
    threadCount: (threads) => String(threads),
    isolated: '页面已跨源隔离',
    notIsolated: '只有一个：页面未跨源隔离',
    download: '下载',
    session: '会话',
    prompt: '上一次整段文本',
    promptTime: (tokens, time) => `${count(tokens)} 个词元，${time}`,
    step: '上一次缓存步进',
    stepTime: (total, time) => `第 ${count(total)} 个词元，${time}`,
    first: '首次预测',
    none: '尚无',
    exporter: '导出工具',
    contract: (version) => `契约 ${version}`,
  },
};
