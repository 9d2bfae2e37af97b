// Chinese: errors.
import { count } from '../number_format';
import type { Dictionary } from '../shape';

export const errors: Dictionary['errors'] = {
  got: '实际',
  expected: '应为',
  address: '地址',
  detail: '详情',
  known: '可选',
  aborted: { what: '加载已停止。', next: '没有丢失任何内容，随时可以重试。' },
  notFound: {
    model: '这个地址没有模型。',
    file: '模型的一个文件不在清单所说的位置。',
    fileNext: '请重新导出或上传模型的全部文件，然后重试。',
    page: '一个网页',
    modelNext: '请先导出一个模型（make demo 会生成自带的模型），或检查 VITE_MODEL_URL 中的地址。',
    expected: 'model.onnx 或 manifest.json',
  },
  network: {
    what: '无法获取模型。',
    next: '请确认网络可用、且该主机允许本页面的请求（CORS），然后重试。已下载的部分会保留。',
  },
  offline: {
    what: '当前没有网络，而这个模型没有保留在本设备上。',
    next: '联网后再试；打开过的模型没有网络也能打开。',
  },
  server: {
    what: '模型所在的服务器连续几次没能应答。',
    retryAfter: '要求等待',
    next: '请稍后再试：已下载的部分会保留。',
  },
  stalled: {
    what: '服务器不再响应，没有收到更多数据。',
    silence: (time) => `${time}内没有收到任何数据`,
    next: '请检查网络后再试：已下载的部分会保留。',
  },
  sandboxed: {
    what: '本页所在的框架受沙盒限制，不允许本页启动运行模型的部分。',
    next: '请用上面的地址单独打开本页，或请框架的作者为它写上 sandbox="allow-scripts allow-same-origin"。',
  },
  hung: {
    worker: {
      what: '页面中运行模型的部分没有启动。',
      next: '请检查网络，然后重试或刷新页面。',
    },
    runtime: {
      what: '运行时已经下载，但没有启动。',
      next: '请重试或刷新页面。如果仍然如此，请关闭其他占用大量内存的标签页。',
    },
  },
  noCors: {
    what: '模型所在的服务器不允许本页面读取它的文件。',
    header: (origin) => `Access-Control-Allow-Origin: ${origin}（或 *）`,
    next: '请在服务器上设置这个响应头（CORS）；oriel check-url 会指出还缺什么。',
  },
  notAManifest: {
    what: '这个地址返回的内容不是本页面能读的清单文件。',
    next: '请把地址指向导出器写出的 manifest.json，或重新导出模型。',
  },
  contractVersion: {
    what: '这个模型是按另一个版本的规范导出的。',
    next: '请用与本页面配套的导出器重新导出。',
  },
  integrity: {
    what: '有一个文件与清单所述不符。',
    next: '下载可能中断，或文件在途中被改动。请重试；若仍如此，请重新导出或上传模型。',
    file: '文件',
  },
  noRanges: {
    what: '模型所在的主机发来的不是所请求的那部分文件。',
    next: '请把模型发布到支持范围请求的主机，或从磁盘打开它的文件夹。',
    from: (begin) => `从第 ${begin} 字节起`,
  },
  tooLarge: {
    what: '模型中有一个文件超出了浏览器能容纳的大小。',
    next: '请换一个更小的模型，或以更低的精度导出。',
    expected: (limit) => `不超过 ${limit}`,
  },
  notAModel: {
    what: {
      damaged: '这个文件不是 ONNX 模型，或已损坏。',
      'no-contract': '这个 ONNX 模型没有说明它有哪些激活。',
      'bad-contract': '这个 ONNX 模型对其激活的说明不合规范。',
      mismatch: '这个 ONNX 模型所描述的并不是它自己的计算图。',
      'bad-location': '这个 ONNX 模型要到自己的文件夹之外寻找权重。',
    },
    expected: {
      damaged: '完整的 .onnx 文件',
      'no-contract': '元数据 oriel.activations',
      'bad-contract': '符合规范的说明文档',
      mismatch: '与元数据一致的输入和输出',
      'bad-location': '与模型同一文件夹内的文件',
    },
    next: {
      damaged: '请重新导出或完整复制一份，再打开。',
      'no-contract': '只能打开由 Oriel 导出的模型：请用 export.py 导出它。',
      'bad-contract': '请重新导出模型。',
      mismatch: '它在导出之后被改动过，请重新导出模型。',
      'bad-location': '请重新导出模型，或把权重放在同一文件夹里。',
    },
  },
  filesMissing: {
    what: (files) => `这个模型缺少 ${files} 个文件。`,
    names: '缺少',
    more: (files) => `另有 ${files} 个`,
    next: '请选择或拖入整个文件夹，或把这些文件与其余文件一起选中。',
  },
  noModelInFiles: {
    what: '这些文件里没有模型。',
    expected: 'manifest.json 或 .onnx 文件',
    none: '没有文件',
    next: '请选择或拖入导出器写出的文件夹，或由它生成的 .onnx 文件。',
  },
  tooManyFiles: {
    what: '文件太多，不像是一个模型。',
    expected: (limit) => `不超过 ${limit} 个文件`,
    next: '请选择或拖入模型自己的文件夹。',
  },
  addressRefused: {
    what: '无法打开这个链接所指的模型。',
    expected: {
      scheme: '以 http 或 https 开头的地址',
      credentials: '不带用户名和密码的地址',
      unreadable: '一个地址',
    },
    next: '请更正 ?model= 之后的地址。尚未请求任何内容。',
  },
  originRefused: {
    what: (origin) => `本页面不会因为一个链接就打开来自 ${origin} 的模型。`,
    allowed: '允许的来源',
    next: '尚未请求任何内容。本页面的维护者可以在构建时用 VITE_MODEL_ORIGINS 允许该来源。',
  },
  variantRefused: {
    what: (variant, provider, why) => `${variant} 在这里无法用 ${provider} 运行：${why}。`,
    next: '尚未下载任何内容。可以打开能运行的变体，或在全部变体中选择。',
    nothing: '这个模型没有其他变体能在这里运行。请换一个浏览器或设备。',
  },
  noVariantFits: {
    what: (provider) => `这个模型没有变体能在这里用 ${provider} 运行。`,
    next: '各变体的原因见上。请换一个浏览器或设备，或选更小的模型。',
    lossy: '超出误差界限，只在明确选择时打开',
  },
  failure: {
    session: (variant, provider) => `${variant} 无法在 ${provider} 上打开。`,
    run: (variant, provider) => `${variant} 在 ${provider} 上运行失败。`,
    causes: {
      'no-f16': '它用 float16 计算，而显卡拒绝了。',
      'device-lost': '浏览器收回了显卡。',
      'out-of-memory': '内存不足。',
      other: '原因见下方运行时的原文。',
    },
    next: '页面没有擅自换成别的变体。按设备所述应能运行的变体列在这里。',
    nothing: '这个模型在这里没有其他变体可试。',
  },
  unknownModel: {
    what: '这里没有该链接所指的模型。',
    next: '没有用别的模型代替：文本和所选内容都属于那个模型。请从上方列表中选择，或询问分享链接的人。',
  },
  unknownVariant: { what: '模型没有这个名字的变体。', next: '请选择它已有的变体。' },
  unknownLens: { what: '模型没有这个名字的透镜。', next: '请从下列透镜中选择。' },
  unfitLens: {
    what: {
      'other-model': (name) => `透镜“${name}”属于另一个模型。`,
      damaged: (name) => `透镜“${name}”的文件无法使用。`,
    },
    next: '仍在使用原来的透镜。请用 oriel fit-lens 重新拟合，再用 oriel add-lens 加入模型包。',
  },
  unknownDictionary: { what: '模型没有这个名字的字典。', next: '请从下列字典中选择。' },
  unfitDictionary: {
    what: {
      'other-model': (name) => `字典“${name}”属于另一个模型。`,
      damaged: (name) => `字典“${name}”的文件无法使用。`,
    },
    next: '请用 oriel add-dictionary 把它重新加入模型包，或换一个字典。',
  },
  unknownActivation: { what: '模型没有这个名字的激活。', next: '请打开它已导出的激活。' },
  noAttribution: {
    what: '这个变体没有归因数据。',
    next: '请用更新的 Oriel 重新导出模型。含专家层的模型，以及对注意力或 MLP 的输出再次归一化的模型，不支持归因。',
  },
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
    whyNot: (provider, why) => `${provider} 在这里无法运行这个模型：${why}。`,
    next: {
      webgpu: 'WebAssembly 不需要显卡。若要使用 WebGPU，请更新这个浏览器或换一个。',
      wasm: '请刷新页面。若仍如此，说明这个浏览器缺少本页面需要的功能，请更新或换一个。',
    },
  },
  session: {
    what: '运行时打不开这个模型。',
    next: '请重试或刷新页面。若仍如此，请用 verify.py 检查导出结果。',
  },
  run: {
    what: '模型读这段文本时出错了。',
    next: '请修改文本或重新加载模型。下方的数字仍属于之前的文本。',
  },
};
