// Chinese: the page itself, and what several of its parts share.
import { inTenThousands } from '../number_format';
import type { PageTexts } from '../shape';

export const page: PageTexts = {
  code: 'zh',
  pageTitle: 'Oriel：透视 Transformer 内部',
  otherLanguage: 'English',
  languageMissing: '英文文字没有下载成功。请检查网络连接，然后再按一次 English。',
  skip: '跳到注意力图',
  tagline: '看看模型读你的句子时，内部在做什么。',
  model: '模型',
  modelByAddress: '来自此地址',
  runsOn: '运行于',
  providers: { auto: '自动选择', webgpu: 'WebGPU', wasm: 'WebAssembly' },
  useLight: '切换到浅色',
  useDark: '切换到深色',
  layer: '层',
  layerShort: (layer) => `L${layer}`,
  headShort: (head) => `H${head}`,
  locked: '已锁定，按 Esc 解除',
  lockedByTouch: '已锁定，再点解除',
  save: '另存为',
  copy: '复制完整值',
  copied: '已复制',
  copyRefused: '浏览器不允许本页面复制。请选中下面的内容自行复制：',
  stop: '。',
  comma: '，',
  space: '',
  colon: '：',
  openAlone: '在 Oriel 中打开',
  source: '模型就在这个标签页里运行，你输入的内容不会离开本设备。',
  parameters: (value) => inTenThousands(value),
};
