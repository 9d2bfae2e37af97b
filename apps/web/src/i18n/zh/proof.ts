// Chinese texts of the comparison of this device with the publisher's numbers.
import type { Dictionary } from '../shape';

export const proof: Dictionary['proof'] = {
  title: '在本设备上',
  waiting: '尚未比对',
  none: '未经证明：发布者没有存放可供比对的数值',
  failed: '未经证明：比对没有完成',
  references: { pytorch: 'PyTorch', runtime: '发布者处的 ONNX Runtime' },
  right: (provider, reference, error) =>
    `${provider}：与 ${reference} 相差不超过 ${error}；最大处为 `,
  exactly: (provider, reference) => `${provider}：与 ${reference} 完全一致`,
  compared: (count, runtime) => `用一小段文本的 ${count} 个激活与 ${runtime} 比对`,
  wrong: (provider) => `${provider}：数值有误，最先出错于 `,
  note: {
    label: '数值有误',
    title: (provider) => `在本设备上，${provider} 对该模型的计算结果有误。`,
    inLayer: (layer) => `从第 ${layer} 层起：`,
    inWhole: '最先出错的激活：',
    off: (error, bound) => `相差 ${error}，而允许的上限是 ${bound}。`,
    noNumber: '含有 NaN 或无穷大。',
    advice: '请不要依据本页此时显示的数值下结论。',
  },
};
